"""Listeners for events of SQLAlchemy in random applications."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from fastapi import HTTPException
from sqlalchemy import Engine, Select, event, inspect, text
from sqlalchemy.orm import Mapper, Session, with_loader_criteria
from sqlalchemy.pool import Pool

from brickwork import Conflict, Database
from brickwork.database.unit_of_work import unit_of_work
from tests.support.applications.context import ASKING, EVE, masked, record
from tests.support.applications.draft import Change, Draft, Run, part

Targets = Callable[[Run], Sequence[Any]]

_UNEQUAL: Final = {
    *("connect", "first_connect", "do_connect", "close", "close_detached", "detach", "checkin"),
    *("reset", "invalidate", "soft_invalidate", "engine_disposed", "checkout"),
}
"""Events that depend on the open connections."""

_OF_ALL: Final = {"after_configured", "before_configured"}
"""Events of all mappers together."""


def listen(
    draft: Draft, targets: Targets, name: str, function: Callable[..., Any], **options: Any
) -> str:
    """Register *function* as a listener for some time; return the name of the event."""

    def make(run: Run) -> Callable[[], object]:
        found = targets(run)
        for target in found:
            event.listen(target, name, function, **options)

        def undo() -> None:
            for target in found:
                _remove(target, name, function)

        return undo

    start, end = draft.time()
    draft.changes.append(Change(name, make, start, end))
    return f"{name} {options or ''} from request {start} to {end}"


def _remove(target: Any, name: str, function: Callable[..., Any]) -> None:
    if event.contains(target, name, function):
        event.remove(target, name, function)


def _engines(run: Run) -> Sequence[Any]:
    both = (run.database, run.other)
    return [
        engine.sync_engine for database in both for engine in (database.reader, database.writer)
    ]


def _every_engine(_: Run) -> Sequence[Any]:
    return [Engine]


def _readers(run: Run) -> Sequence[Any]:
    return [run.database.reader.sync_engine]


def _writers(run: Run) -> Sequence[Any]:
    return [run.database.writer.sync_engine]


def _dialects(run: Run) -> Sequence[Any]:
    return [engine.dialect for engine in _engines(run)]


def _pools(run: Run) -> Sequence[Any]:
    return [engine.pool for engine in _engines(run)]


def _every_pool(_: Run) -> Sequence[Any]:
    return [Pool]


def _sessions(_: Run) -> Sequence[Any]:
    return [Session]


def _every_mapper(_: Run) -> Sequence[Any]:
    return [Mapper]


_DIALECT: Final = Database("sqlite+aiosqlite:///unused.db").writer.dialect
_ENGINES: Final = (_engines, _every_engine)
_POOLS: Final = (_pools, _every_pool)


def _of(*targets: Any) -> Targets:
    return lambda _: targets


# --- Any event ------------------------------------------------------------------------------------


class _Listener:
    """An object with methods that listen."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: object, **__: object) -> None:
        self.listen()

    def listen(self, *_: object, **__: object) -> None:
        if self._name not in _UNEQUAL:
            record(f"listener to {self._name}")


def _listener(draft: Draft, name: str) -> Callable[..., Any]:
    def note(*_: object, **__: object) -> None:
        if name not in _UNEQUAL:
            record(f"listener to {name}")

    own = _Listener(name)
    return draft.pick(note, note, partial(note, name), own, own.listen)  # type: ignore[no-any-return]


@part("listener")
def any_event(draft: Draft) -> str:
    """Listen to any event of any target, and record the call."""
    item: Any = draft.model
    attribute = getattr(item, draft.pick(*item.__mapper__.attrs.keys()))
    kinds: dict[str, tuple[Targets, Any, dict[str, Any]]] = {
        "engines": (_engines, Engine, {}),
        "every engine": (_every_engine, Engine, {}),
        "reader": (_readers, Engine, {}),
        "writer": (_writers, Engine, {}),
        "dialects": (_dialects, _DIALECT, {}),
        "pools": (_pools, Pool, {}),
        "every pool": (_every_pool, Pool, {}),
        "sessions": (_sessions, Session, {}),
        "mapper": (_of(inspect(item)), inspect(item), {}),
        "every mapper": (_every_mapper, inspect(item), {}),
        "class": (_of(item), item.__mapper__.class_manager, {}),
        "base class": (_of(draft.base), item.__mapper__.class_manager, {"propagate": True}),
        "attribute": (_of(attribute), attribute, {}),
        "group": (_of(inspect(draft.group)), inspect(draft.group), {}),
    }
    kind = draft.pick(*kinds)
    targets, example, options = kinds[kind]
    known = example.dispatch._event_names  # noqa: SLF001 — there is no public list
    name = draft.pick(*(known_name for known_name in known if known_name not in _OF_ALL))
    if draft.chance(0.15):
        options = {**options, "insert": True}
    return f"{kind}: {listen(draft, targets, name, _listener(draft, name), **options)}"


# --- Events of sessions ---------------------------------------------------------------------------


@part("listener")
def orm_execution(draft: Draft) -> str:
    def narrow(state: Any) -> None:
        if state.is_select:
            tenant = ASKING.get()
            state.statement = state.statement.options(
                with_loader_criteria(draft.model, lambda kind: kind.tenant == tenant)
            )

    return listen(draft, _sessions, "do_orm_execute", narrow)


@part("listener")
def flush(draft: Draft) -> str:
    def complete(session: Any, *_: object) -> None:
        for row in (*session.new, *session.dirty):
            if isinstance(row, draft.model):
                row.tenant = ASKING.get()

    def refuse(session: Any, *_: object) -> None:
        if session.new and ASKING.get() == "bob":
            raise Conflict("Not now.")

    return listen(draft, _sessions, "before_flush", draft.pick(complete, refuse))


@part("listener")
def transaction(draft: Draft) -> str:
    """Raise an error or insert a row when a session begins or ends a transaction."""

    def refuse(*_: object) -> None:
        if ASKING.get() in {"bob", EVE}:
            raise HTTPException(403, "Not you.")

    def log(session: Any, *_: object) -> None:
        if unit_of_work(session).writable:
            session.execute(text("INSERT INTO logs VALUES (:text)"), {"text": ASKING.get()})

    name, function = draft.pick(
        ("after_begin", refuse),
        ("after_transaction_create", refuse),
        ("before_commit", refuse),
        ("before_commit", log),
        ("after_flush", log),
        ("after_commit", refuse),
    )
    return f"{function.__name__} {listen(draft, _sessions, name, function)}"


@part("listener", backend="postgresql")
def setting_at_the_beginning(draft: Draft) -> str:
    """Set the schema, or the tenant, for each transaction or each connection."""

    def path() -> str:
        return f"SET LOCAL search_path TO {'other' if ASKING.get() == 'bob' else 'public'}"

    def setting() -> str:
        return f"SELECT set_config('app.tenant', '{ASKING.get()}', true)"

    sql = draft.pick(path, setting)

    def of_session(_: Any, __: Any, connection: Any) -> None:
        connection.exec_driver_sql(sql())

    def of_engine(connection: Any) -> None:
        connection.exec_driver_sql(sql())

    def of_pool(connection: Any, *_: object) -> None:
        cursor = connection.cursor()
        cursor.execute(sql().replace("LOCAL ", "").replace("true)", "false)"))
        cursor.close()

    targets, name, function = draft.pick(
        (_sessions, "after_begin", of_session),
        (draft.pick(*_ENGINES), "begin", of_engine),
        (draft.pick(*_POOLS), "checkout", of_pool),
    )
    return f"{sql.__name__} {listen(draft, targets, name, function)}"


# --- Events of engines and pools ------------------------------------------------------------------


@part("listener")
def execution(draft: Draft) -> str:
    """Change, reject or replace a statement before it is sent."""
    item: Any = draft.model

    def narrow(_: Any, element: Any, multi: Any, values: Any, __: Any) -> Any:
        sent: Any = element
        if isinstance(element, Select) and item.__table__ in sent.get_final_froms():
            sent = sent.where(item.__table__.c.rank < 50)
        return sent, multi, values

    def rewrite(_: Any, __: Any, sql: str, values: Any, ___: Any, ____: Any) -> Any:
        return sql.replace("rank < 100", "rank < 1000").replace("LIMIT", "  LIMIT"), values

    def refuse(*_: Any) -> None:
        if ASKING.get() in {"bob", EVE}:
            raise Conflict("Not now.")

    targets = draft.pick(*_ENGINES, _readers, _writers)
    name, function, options = draft.pick(
        ("before_execute", narrow, {"retval": True}),
        ("before_cursor_execute", rewrite, {"retval": True}),
        ("before_cursor_execute", refuse, {}),
        ("after_cursor_execute", refuse, {}),
        ("do_execute", refuse, {}),
        ("commit", refuse, {}),
        ("begin", refuse, {}),
    )
    return f"{function.__name__} {listen(draft, targets, name, function, **options)}"


@part("listener")
def checkout(draft: Draft) -> str:
    def refuse(*_: Any) -> None:
        if ASKING.get() in {"bob", EVE}:
            raise HTTPException(403, "Not you.")

    return listen(draft, draft.pick(*_POOLS), "checkout", refuse)


# --- Events of mappers, rows and attributes -------------------------------------------------------


def _classes(draft: Draft) -> Sequence[tuple[Targets, dict[str, Any]]]:
    item: Any = draft.model
    return [
        (_of(item), {}),
        (_of(inspect(item)), {}),
        (_of(draft.base), {"propagate": True}),
        (_every_mapper, {}),
    ]


@part("listener")
def write_of_a_row(draft: Draft) -> str:
    def complete(_: Any, __: Any, row: Any) -> None:
        if isinstance(row, draft.model):
            row.tenant = ASKING.get()

    def refuse(_: Any, __: Any, row: Any) -> None:
        if isinstance(row, draft.model) and ASKING.get() == "bob":
            raise Conflict("Not now.")

    def log(_: Any, connection: Any, row: Any) -> None:
        if isinstance(row, draft.model):
            connection.execute(text("INSERT INTO logs VALUES (:text)"), {"text": ASKING.get()})

    name, function = draft.pick(
        ("before_insert", complete),
        ("before_update", complete),
        ("before_insert", refuse),
        ("before_update", refuse),
        ("before_delete", refuse),
        ("after_insert", log),
        ("after_update", log),
        ("after_delete", log),
    )
    targets, options = draft.pick(*_classes(draft))
    return f"{function.__name__} {listen(draft, targets, name, function, **options)}"


@part("listener")
def row_that_is_made(draft: Draft) -> str:
    """Change a row when it is loaded, refreshed or constructed."""

    def load(row: Any, *_: object) -> None:
        if isinstance(row, draft.model) and "name" in vars(row):
            vars(row)["name"] = masked(vars(row)["name"])

    def construct(row: Any, _: Any, values: dict[str, Any]) -> None:
        if isinstance(row, draft.model):
            values["note"] = "constructed"

    name, function = draft.pick(
        ("load", load), ("refresh", load), ("init", construct), ("refresh_flush", load)
    )
    targets, options = draft.pick(*_classes(draft)[::2])
    return listen(draft, targets, name, function, **options)


@part("listener")
def attribute(draft: Draft) -> str:
    def shout(_: Any, value: Any, *__: object) -> Any:
        return value.upper() if isinstance(value, str) else value

    def usual(_: Any, __: Any, values: dict[str, Any]) -> Any:
        values["note"] = "usual"
        return "usual"

    name, column, function = draft.pick(
        ("set", "name", shout), ("init_scalar", "note", usual), ("set", "note", shout)
    )
    target = getattr(draft.model, column, draft.model.name)
    options = {"retval": True, "propagate": draft.chance(0.5)}
    return f"{column} {listen(draft, _of(target), name, function, **options)}"


@part("listener")
def row_of_another_model(draft: Draft) -> str:
    """Change the group that is shown in a row."""

    def load(row: Any, *_: object) -> None:
        if "name" in vars(row):
            vars(row)["name"] = masked(vars(row)["name"])

    return listen(draft, _of(draft.group), "load", load)
