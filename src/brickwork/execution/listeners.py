"""Detection of event listeners that the fast path would not trigger."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, inspect

from brickwork.database.database import Database
from brickwork.database.pool import FairPool
from brickwork.database.transactions import transaction_session
from brickwork.sqlalchemy_internals import all_listeners, registered_listeners, unwrap_listener

_OWN_PREFIX: Final = "brickwork."
"""The prefix of modules whose listeners the fast path does not need to trigger."""

_RELATIONSHIP_EVENTS: Final = ("append", "append_wo_mutation", "bulk_replace", "remove", "set")
_STANDARD_LISTENERS: Final = {
    ("connect", "sqlalchemy.engine.create"),
    ("connect", "sqlalchemy.engine.default"),  # the isolation level of a Database's engine
    ("init", "sqlalchemy.orm.mapper"),
    ("mapper_configured", "sqlalchemy.ext.mutable"),
    *((name, "sqlalchemy.orm.attributes") for name in _RELATIONSHIP_EVENTS),
    *((name, "sqlalchemy.orm.unitofwork") for name in _RELATIONSHIP_EVENTS),
}
"""Events and modules of SQLAlchemy's own listeners, which every application has."""


@dataclass(frozen=True, eq=False)
class RegistryState:
    """The state of SQLAlchemy's registry of listeners."""

    last: object
    """The collections of the listener that was added last."""
    collections: int
    """The number of these collections."""
    listeners: int
    """The number of listeners."""

    def is_current(self) -> bool:
        """Return whether no listener was added or removed since."""
        last, listeners = registered_listeners()
        # Compare identities: a listener that is removed and added again has other collections.
        return last is self.last and len(last) == self.collections and listeners == self.listeners


def registry_state() -> RegistryState:
    """Return the current state of SQLAlchemy's registry of listeners."""
    last, listeners = registered_listeners()
    return RegistryState(last, len(last), listeners)


class ListenerCheck:
    """Detects application code that SQLAlchemy calls for rows of some models."""

    def __init__(self, *models: type[object]) -> None:
        """Store *models*; `find_observer` inspects them."""
        self._models = models
        self._results: WeakKeyDictionary[Database, tuple[RegistryState, str | None]]
        self._results = WeakKeyDictionary()

    def find_observer(self, database: Database) -> str | None:
        """Return the name of an observer of *database* or of a model.

        None if all listeners are Brickwork's or SQLAlchemy's, and the engines are unmodified. The
        result is cached until a listener is added or removed.
        """
        engines = (database.reader.sync_engine, database.writer.sync_engine)
        for engine in engines:
            if difference := _engine_difference(engine):
                return difference
        result = self._results.get(database)
        if result is None or not result[0].is_current():
            state = registry_state()  # before the search: listeners may be added meanwhile
            self._results[database] = result = state, next(self._find_observers(*engines), None)
        return result[1]

    def _find_observers(self, *engines: Engine) -> Iterator[str]:
        for engine in engines:
            yield from _foreign_listeners(engine, engine.dialect, engine.pool)
        yield from _foreign_listeners(transaction_session())
        for model in self._models:
            mapper = inspect(model)
            yield from _overridden_methods(model)
            attributes = [getattr(model, attribute.key) for attribute in mapper.attrs]
            yield from _foreign_listeners(mapper, mapper.class_manager, *attributes)


def _engine_difference(engine: Engine) -> str | None:
    """Return how *engine* differs from an engine of `Database`. None if it does not."""
    if type(engine) is not Engine or type(engine.pool) is not FairPool:
        return f"{type(engine).__name__} with {type(engine.pool).__name__}"
    return next((f"the execution option {name}" for name in engine.get_execution_options()), None)


def _overridden_methods(model: type[object]) -> Iterator[str]:
    """Yield the methods of *model* that Python calls to create, read or change a row."""
    for name in ("__new__", "__getattribute__", "__setattr__", "__delattr__"):
        if getattr(model, name) is not getattr(object, name):
            yield f"{model.__name__}.{name}"
    if hasattr(model, "__getattr__"):
        yield f"{model.__name__}.__getattr__"


def _foreign_listeners(*targets: Any) -> Iterator[str]:
    """Yield the names of the application's listeners to *targets*."""
    for target in targets:
        for event, listener in all_listeners(target):
            for function in unwrap_listener(listener):
                if not _is_standard(event, function):
                    name = getattr(function, "__qualname__", type(function).__qualname__)
                    yield f"{name}, a listener to {event}"


def _is_standard(event: str, function: object) -> bool:
    module = str(getattr(function, "__module__", None))
    return module.startswith(_OWN_PREFIX) or (event, module) in _STANDARD_LISTENERS
