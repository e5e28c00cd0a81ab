"""The private parts of SQLAlchemy that Brickwork uses.

Each is behind one function. `tests/test_sqlalchemy_internals.py` fails when one of them changes.
`database/pool.py` has the private parts of its connection pool, in one overridden class.
"""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from functools import partial
from types import FunctionType
from typing import Any, Final, cast

from sqlalchemy import BindParameter, Dialect, Engine, Select, inspect
from sqlalchemy.event import registry
from sqlalchemy.orm import InstrumentedAttribute, LoaderCriteriaOption, Mapper
from sqlalchemy.orm.attributes import History
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.orm.unitofwork import UOWTransaction
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.cache_key import CacheKey
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import concurrency

# --- Types ----------------------------------------------------------------------------------------


def variant_types(kind: TypeEngine[Any]) -> Mapping[str, TypeEngine[Any]]:
    """Return `_variant_mapping`: the types that replace *kind*, by the name of their dialect."""
    return kind._variant_mapping  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


# --- Statements -----------------------------------------------------------------------------------


def where_conditions(statement: Select[Any]) -> Sequence[Any]:
    """Return `_where_criteria`: the conditions of *statement*, to add them to another."""
    return statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def has_order_or_limit(statement: Select[Any]) -> bool:
    """Return whether *statement* has `_order_by_clauses`, a `_limit_clause` or `_offset_clause`."""
    clauses = (*statement._order_by_clauses, statement._limit_clause, statement._offset_clause)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return any(clause is not None for clause in clauses)


def criteria_options(statement: Select[Any]) -> Sequence[LoaderCriteriaOption]:
    """Return the options with criteria in `_with_options`, for a statement around *statement*."""
    options: Iterable[Any] = statement._with_options  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return [option for option in options if isinstance(option, LoaderCriteriaOption)]


def statement_cache_key(statement: Select[Any]) -> CacheKey | None:
    """Return `_generate_cache_key()`: the structure and the parameters of *statement*.

    None for a statement that SQLAlchemy does not cache.
    """
    return statement._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def copied_parameters(bind: BindParameter[Any]) -> Collection[Any]:
    """Return `_cloned_set`: the parameters that *bind* is a copy of, and *bind* itself."""
    copied: Any = bind
    return cast("Collection[Any]", copied._cloned_set)  # noqa: SLF001


def unchecked_params(compiled: SQLCompiler) -> Mapping[str, Any]:
    """Return `construct_params(_check=False)`: the values. None for a required one."""
    return compiled.construct_params(_check=False)


# --- Connections ----------------------------------------------------------------------------------


def intercept_connections(
    engine: Engine, lend: Callable[[], PoolProxiedConnection]
) -> Callable[[], PoolProxiedConnection]:
    """Make *engine* call *lend* for each connection, and return the function that it called.

    SQLAlchemy has no event for it: a `checkout` listener cannot wait, and sees no error.
    """
    own = engine.raw_connection
    engine.raw_connection = lend  # type: ignore[method-assign]
    return own


def return_connection(connection: PoolProxiedConnection) -> None:
    """Return *connection* with `_close_special`: without a rollback, which needs an await."""
    lent: Any = connection
    lent._close_special(transaction_reset=True)  # noqa: SLF001


def connect_isolation_level(dialect: Dialect) -> str | None:
    """Return `_on_connect_isolation_level`: the level of `create_engine(isolation_level=…)`.

    None if the engine has the level of its database.
    """
    return dialect._on_connect_isolation_level  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def count_returned_rows(cursor: Any) -> int:
    """Return the length of `_rows`: no public attribute of a *cursor* has the unread rows."""
    return len(cursor._rows)  # noqa: SLF001


def is_flush_statement(context: Any) -> bool:
    """Return whether a flush sends the statement: only those use the `compiled_cache` of a mapper.

    *context* is None for a statement that SQLAlchemy sends itself.
    """
    return context is not None and "compiled_cache" in context.execution_options


def is_driver_error(error: BaseException) -> bool:
    """Return whether *error* was raised below `concurrency`, which awaits the drivers."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == concurrency.__name__ for frame, _ in frames)


# --- Listeners ------------------------------------------------------------------------------------

_WRAPPER_MODULES: Final = {
    "sqlalchemy.engine.events",
    "sqlalchemy.orm.events",
    "sqlalchemy.util.langhelpers",
}
"""Modules of the functions in which SQLAlchemy wraps a listener."""


def registered_listeners() -> tuple[Sized, int]:
    """Return the last entry of `_key_to_collection`, and the number of entries.

    There is an entry for each listener, in the order in which they were added. It has the
    collections that the listener is in.
    """
    entries: Any = registry._key_to_collection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return entries[next(reversed(entries))], len(entries)


def listeners_to(target: Any, event: str) -> Collection[Any]:
    """Return the listeners to *event* in `dispatch` of *target*, its classes included."""
    listeners: Collection[Any] = getattr(target.dispatch, event)
    return listeners


def all_listeners(target: Any) -> Iterator[tuple[str, object]]:
    """Yield the listeners to each event in `dispatch._event_names` of *target*."""
    for event in target.dispatch._event_names:  # noqa: SLF001
        for listener in listeners_to(target, event):
            yield event, listener


def unwrap_listener(listener: object) -> Iterable[object]:
    """Return the functions in the closure of a *listener* that SQLAlchemy wrapped, or itself."""
    while isinstance(listener, partial):
        listener = listener.func
    if not isinstance(listener, FunctionType) or listener.__module__ not in _WRAPPER_MODULES:
        return [listener]
    cells = [cell.cell_contents for cell in listener.__closure__ or ()]
    return [inner for cell in cells if callable(cell) for inner in unwrap_listener(cell)]


# --- Mappers and flushes --------------------------------------------------------------------------


def has_own_constructor(mapper: Mapper[Any]) -> bool:
    """Return whether `original_init` of the mapped class is not that of its registry.

    A mapped subclass inherits the instrumented constructor, which has an `_sa_original_init`.
    """
    constructor: Any = mapper.class_manager.original_init
    while (inherited := getattr(constructor, "_sa_original_init", None)) is not None:
        constructor = inherited
    return constructor is not mapper.registry.constructor


def forget_types(engine: Engine) -> None:
    """Drop what *engine* has derived from its `colspecs`: `_type_memos`, compiled statements.

    A statement that was compiled before has them.
    """
    vars(engine.dialect).pop("_type_memos", None)
    engine.clear_compiled_cache()


def set_comparison(
    attribute: InstrumentedAttribute[Any], equal: Callable[[object, object], bool]
) -> None:
    """Compare the values of *attribute* with *equal*, by `impl.is_equal`, to find its changes."""
    attribute.impl.is_equal = equal


def set_flush_history(
    context: UOWTransaction, row: object, name: str, kept: Sequence[object]
) -> None:
    """Set *kept* as all rows of the unloaded relationship *name*, in the flush of *context*.

    A flush caches histories in `attributes`, under `("history", …)`.
    """
    history = History((), [*kept], ())
    place = ("history", inspect(row, raiseerr=True), name)
    cache = cast("dict[Any, Any]", context.attributes)
    cache[place] = (history, history.as_state(), PassiveFlag.PASSIVE_OFF)
