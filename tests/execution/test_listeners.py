"""Event listeners that disable the fast path."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import pytest
from sqlalchemy import Engine, MetaData, Pool, event, inspect
from sqlalchemy.orm import Mapped, Session, mapped_column, reconstructor, validates
from sqlalchemy.pool import NullPool
from typing_extensions import override

from brickwork import Database, Model
from brickwork.execution.listeners import ListenerCheck, registry_state
from tests.support.library import Book
from tests.support.shop import Store


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


DATABASE = Database("sqlite+aiosqlite:///unused.db")
TARGETS: dict[str, Any] = {
    "engine": DATABASE.writer.sync_engine,
    "every engine": Engine,
    "dialect": DATABASE.writer.dialect,
    "pool": DATABASE.writer.pool,
    "every pool": Pool,
    "reading pool": DATABASE.reader.pool,
    "every session": Session,
    "mapper": inspect(Store),
    "class": Store,
    "base class": Store.__mro__[1],
    "attribute": Store.name,
    "relationship": Book.writer,
}
OBSERVED = ListenerCheck(Store, Book)

NOWHERE = {("mapper", "after_configured"), ("mapper", "before_configured")}
"""Events that SQLAlchemy has for all mappers together."""


def event_names(target: str) -> list[str]:
    """Return the names of all events that SQLAlchemy has for a target."""
    of: Any = inspect(Store).class_manager if "class" in target else TARGETS[target]
    names: list[str] = of.dispatch._event_names  # noqa: SLF001 — shown nowhere else
    return [name for name in names if (target, name) not in NOWHERE]


@pytest.mark.parametrize(
    ("target", "name"), [(target, name) for target in TARGETS for name in event_names(target)]
)
def test_listener_to_any_event_is_an_observer(target: str, name: str) -> None:
    options = {"propagate": True} if target == "base class" else {}

    def listener(*_: object, **__: object) -> None: ...

    assert OBSERVED.find_observer(DATABASE) is None
    event.listen(TARGETS[target], name, listener, **options)
    assert OBSERVED.find_observer(DATABASE) == f"{listener.__qualname__}, a listener to {name}"
    event.remove(TARGETS[target], name, listener)
    assert OBSERVED.find_observer(DATABASE) is None


class Recorder:
    def record(self, *_: object) -> None: ...

    def __call__(self, *_: object) -> None: ...


def ignore_event(*_: object) -> None: ...


@pytest.mark.parametrize(
    ("listener", "options"),
    [
        pytest.param(ignore_event, {"once": True}, id="once"),
        pytest.param(partial(ignore_event, 1), {}, id="partial"),
        pytest.param(Recorder().record, {}, id="method"),
        pytest.param(Recorder(), {}, id="object"),
    ],
)
def test_listener_of_any_kind_is_an_observer(
    listener: Callable[..., Any], options: dict[str, Any]
) -> None:
    database = Database("sqlite+aiosqlite:///unused.db")
    event.listen(database.writer.sync_engine, "begin", listener, **options)
    assert str(ListenerCheck(Store).find_observer(database)).endswith(", a listener to begin")


def test_replaced_listener_changes_the_registry_state() -> None:
    def first(*_: object) -> None: ...

    def second(*_: object) -> None: ...

    event.listen(Session, "after_begin", first)
    before = registry_state()
    event.remove(Session, "after_begin", first)
    event.listen(Session, "after_begin", second)
    assert not before.is_current()
    event.remove(Session, "after_begin", second)
    event.listen(Session, "after_begin", first)
    assert not before.is_current()
    event.remove(Session, "after_begin", first)


def test_listener_check_is_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    observers = ListenerCheck(Store)
    assert observers.find_observer(DATABASE) is None
    monkeypatch.setattr(observers, "_find_observers", pytest.fail)
    assert observers.find_observer(DATABASE) is None


# --- Engines and classes --------------------------------------------------------------------------


def test_engine_with_another_pool_class_is_an_observer() -> None:
    database = Database("sqlite+aiosqlite:///unused.db")
    database.reader.sync_engine.pool = NullPool(pytest.fail)
    assert ListenerCheck(Store).find_observer(database) == "Engine with NullPool"


def test_engine_of_a_subclass_is_an_observer() -> None:
    database = Database("sqlite+aiosqlite:///unused.db")
    database.reader.sync_engine = database.reader.sync_engine.execution_options()
    assert ListenerCheck(Store).find_observer(database) == "OptionEngine with FairPool"


def test_execution_option_is_an_observer() -> None:
    database = Database("sqlite+aiosqlite:///unused.db")
    database.writer.sync_engine.update_execution_options(schema_translate_map={None: "other"})
    assert (
        ListenerCheck(Store).find_observer(database) == "the execution option schema_translate_map"
    )


def test_execution_option_set_later_is_an_observer() -> None:
    database, observers = Database("sqlite+aiosqlite:///unused.db"), ListenerCheck(Store)
    assert observers.find_observer(database) is None
    database.writer.sync_engine.update_execution_options(schema_translate_map={None: "other"})
    assert observers.find_observer(database) == "the execution option schema_translate_map"


def test_mutable_extension_is_no_observer() -> None:
    importlib.import_module("sqlalchemy.ext.mutable")  # which listens to every mapper
    assert ListenerCheck(Store).find_observer(DATABASE) is None


class WithReconstructor(Base):
    __tablename__ = "loading"

    id: Mapped[int] = mapped_column(primary_key=True)

    @reconstructor
    def load(self) -> None: ...


class WithValidator(Base):
    __tablename__ = "validating"

    id: Mapped[int] = mapped_column(primary_key=True)

    @validates("id")
    def check(self, _: str, value: int) -> int:
        return value


class WithNew(Base):
    __tablename__ = "making"

    id: Mapped[int] = mapped_column(primary_key=True)

    def __new__(cls, **_: object) -> Self:
        return super().__new__(cls)


class WithGetattribute(Base):
    __tablename__ = "guarding"

    id: Mapped[int] = mapped_column(primary_key=True)

    @override
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class WithSetattr(Base):
    __tablename__ = "setting"

    id: Mapped[int] = mapped_column(primary_key=True)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)


class WithGetattr(Base):
    __tablename__ = "missing"

    id: Mapped[int] = mapped_column(primary_key=True)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@pytest.mark.parametrize(
    ("model", "observer"),
    [
        (WithReconstructor, "_event_on_load, a listener to load"),
        (WithValidator, "append, a listener to append"),
        (WithNew, "WithNew.__new__"),
        (WithGetattribute, "WithGetattribute.__getattribute__"),
        (WithSetattr, "WithSetattr.__setattr__"),
        (WithGetattr, "WithGetattr.__getattr__"),
    ],
)
def test_code_of_a_model_is_an_observer(model: type[Base], observer: str) -> None:
    assert str(ListenerCheck(model).find_observer(DATABASE)).endswith(observer)
