"""Listeners to SQLAlchemy's events: ours, and those of an application."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, inspect
from sqlalchemy.event import registry
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.database import Database, transaction_session
from brickwork.database.pool import FairPool

_OURS: Final = "brickwork."
"""The beginning of the modules whose listeners the fast lane may leave out."""

_RELATIONSHIP_EVENTS: Final = ("append", "append_wo_mutation", "bulk_replace", "remove", "set")
_USUAL: Final = {
    ("connect", "sqlalchemy.engine.create"),
    ("connect", "sqlalchemy.engine.default"),  # the isolation level of an engine of ours
    ("init", "sqlalchemy.orm.mapper"),
    ("mapper_configured", "sqlalchemy.ext.mutable"),
    *((name, "sqlalchemy.orm.attributes") for name in _RELATIONSHIP_EVENTS),
    *((name, "sqlalchemy.orm.unitofwork") for name in _RELATIONSHIP_EVENTS),
}
"""The events and modules of SQLAlchemy's own listeners, which every application has."""

_WRAPPERS: Final = {
    "sqlalchemy.engine.events",
    "sqlalchemy.orm.events",
    "sqlalchemy.util.langhelpers",
}
"""The modules of the functions that SQLAlchemy puts around a listener."""


@dataclass(frozen=True, eq=False)
class Stamp:
    """A state of all listeners of the process."""

    last: object
    """The collections of the listener that was added last."""
    collections: int
    """The number of these collections."""
    listeners: int
    """The number of listeners."""

    def is_now(self) -> bool:
        """Tell whether no listener was added or removed since."""
        now = stamp()
        # The identity counts: a listener that is removed and added again has other collections.
        return (
            now.last is self.last
            and now.collections == self.collections
            and now.listeners == self.listeners
        )


def stamp() -> Stamp:
    """Return the state of all listeners of the process."""
    # SQLAlchemy keeps it in the order in which listeners were added, and shows it nowhere else.
    known: Any = registry._key_to_collection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    last = known[next(reversed(known))]
    return Stamp(last, len(last), len(known))


class ListenerCheck:
    """The code of an application that SQLAlchemy calls, or asks, for rows of some models."""

    def __init__(self, *models: type[DeclarativeBase]) -> None:
        """Look for nothing yet."""
        self._models = models
        self._known: WeakKeyDictionary[Database, tuple[Stamp, str | None]]
        self._known = WeakKeyDictionary()

    def of(self, database: Database) -> str | None:
        """Return the name of an observer of *database*, or of a model.

        The answer is None where all listeners are ours, and the engines are as we made them. It is
        looked up once for each state of all listeners.
        """
        engines = (database.reader.sync_engine, database.writer.sync_engine)
        for engine in engines:
            if unlike := _unlike_ours(engine):
                return unlike
        known = self._known.get(database)
        if known is None or not known[0].is_now():
            self._known[database] = known = stamp(), next(self._found(*engines), None)
        return known[1]

    def _found(self, *engines: Engine) -> Iterator[str]:
        for engine in engines:
            yield from _foreign(engine, engine.dialect, engine.pool)
        yield from _foreign(transaction_session())
        for model in self._models:
            mapper = inspect(model)
            yield from _of_class(model)
            attributes = [getattr(model, each.key) for each in mapper.attrs]
            yield from _foreign(mapper, mapper.class_manager, *attributes)


def _unlike_ours(engine: Engine) -> str | None:
    """Return the way in which *engine* is not as we made it; None if it is."""
    if type(engine) is not Engine or type(engine.pool) is not FairPool:
        return f"{type(engine).__name__} with {type(engine.pool).__name__}"
    return next((f"the execution option {each}" for each in engine.get_execution_options()), None)


def _of_class(model: type[DeclarativeBase]) -> Iterator[str]:
    """Yield the methods by which *model* sees that a row is made, read or changed."""
    for name in ("__new__", "__getattribute__", "__setattr__", "__delattr__"):
        if getattr(model, name) is not getattr(object, name):
            yield f"{model.__name__}.{name}"
    if hasattr(model, "__getattr__"):
        yield f"{model.__name__}.__getattr__"


def _foreign(*targets: Any) -> Iterator[str]:
    """Yield the names of the listeners to *targets* that are neither ours nor SQLAlchemy's own."""
    for target in targets:
        dispatch = target.dispatch
        for event in dispatch._event_names:  # noqa: SLF001
            for listener in getattr(dispatch, event):
                for function in _inside(listener):
                    if not _is_usual(event, function):
                        name = getattr(function, "__qualname__", type(function).__qualname__)
                        yield f"{name}, a listener to {event}"


def _is_usual(event: str, function: object) -> bool:
    module = str(getattr(function, "__module__", None))
    return module.startswith(_OURS) or (event, module) in _USUAL


def _inside(listener: object) -> Iterable[object]:
    """Return the functions that *listener* calls, where it only wraps them."""
    while isinstance(listener, partial):
        listener = listener.func
    if not isinstance(listener, FunctionType) or listener.__module__ not in _WRAPPERS:
        return [listener]
    cells = [cell.cell_contents for cell in listener.__closure__ or ()]
    return [each for cell in cells if callable(cell) for each in _inside(cell)]
