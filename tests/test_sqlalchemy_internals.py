"""The private parts of SQLAlchemy, each by what it is used for."""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Engine,
    ForeignKey,
    String,
    Text,
    bindparam,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.orm.unitofwork import UOWTransaction
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.visitors import cloned_traverse

from brickwork import sqlalchemy_internals as internals

pytestmark = pytest.mark.anyio


class Base(DeclarativeBase):
    """A base of SQLAlchemy alone, with a registry of its own."""


class Shelf(Base):
    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10), default="")
    books: WriteOnlyMapped["Book"] = relationship(passive_deletes=True)


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id))


@pytest.fixture
async def engine(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """Return an engine of SQLAlchemy alone, over a database with the tables."""
    engine = create_async_engine(empty_url)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


# --- Types and statements -------------------------------------------------------------------------


def test_type_has_its_variants() -> None:
    variant = postgresql.JSONB()
    assert internals.variant_types(JSON().with_variant(variant, "postgresql")) == {
        "postgresql": variant
    }
    assert internals.variant_types(Text()) == {}


def test_conditions_of_a_statement_select_the_same_rows() -> None:
    statement = select(Shelf).where(Shelf.id > 1).where(Shelf.name == "a")
    rebuilt = select(Shelf).where(*internals.where_conditions(statement))
    assert len(internals.where_conditions(statement)) == 2
    assert rebuilt.compare(statement)
    assert not internals.where_conditions(select(Shelf))


def test_order_and_limits_are_found() -> None:
    statement = select(Shelf).where(Shelf.id > 1)
    assert not internals.has_order_or_limit(statement)
    others = (statement.order_by(Shelf.id), statement.limit(1), statement.offset(0))
    assert [internals.has_order_or_limit(other) for other in others] == [True, True, True]


def test_options_with_criteria_are_found() -> None:
    criteria = with_loader_criteria(Shelf, Shelf.name == "a")
    statement = select(Shelf).execution_options(stream_results=True).options(criteria)
    assert [*internals.criteria_options(statement)] == [criteria]


def test_cache_key_separates_structure_and_values() -> None:
    statements = [select(Shelf).where(Shelf.name == name) for name in ("a", "b")]
    keys = [internals.statement_cache_key(statement) for statement in statements]
    assert keys[0]
    assert keys[1]
    assert keys[0].key == keys[1].key
    assert [key.bindparams[0].effective_value for key in keys if key] == ["a", "b"]
    other = internals.statement_cache_key(select(Shelf).where(Shelf.name != "a"))
    assert other
    assert other.key != keys[0].key


def test_copy_of_a_parameter_knows_its_original() -> None:
    statement = select(Shelf).where(Shelf.name == "a")
    key = internals.statement_cache_key(statement)
    assert key
    assert statement.whereclause is not None
    (parameter,) = key.bindparams
    copied: Any = cloned_traverse(statement.whereclause, {}, {})
    assert copied.right is not parameter
    assert parameter in internals.copied_parameters(copied.right)
    assert parameter not in internals.copied_parameters(bindparam("other", "a"))


def test_values_of_required_parameters_are_none() -> None:
    compiled: Any = select(Shelf).where(Shelf.name == bindparam("name"), Shelf.id == 7).compile()
    values = internals.unchecked_params(compiled)
    assert values["name"] is None
    assert sorted(values.values(), key=str) == [7, None]


# --- Connections ----------------------------------------------------------------------------------


async def test_each_connection_is_intercepted(engine: AsyncEngine) -> None:
    lent: list[PoolProxiedConnection] = []

    def lend() -> PoolProxiedConnection:
        lent.append(connection := own())
        return connection

    own = internals.intercept_connections(engine.sync_engine, lend)
    async with engine.connect() as connection:
        assert await connection.scalar(select(1)) == 1
    async with engine.execution_options(stream_results=True).connect():
        assert len(lent) == 1, "an engine with options is another engine"
    await engine.raw_connection()
    assert len(lent) == 2


async def test_connection_is_returned_without_an_await(engine: AsyncEngine) -> None:
    pool: Any = engine.pool
    lent = await engine.raw_connection()
    driver = lent.driver_connection
    assert pool.checkedout() == 1
    internals.return_connection(lent)
    assert (pool.checkedout(), pool.checkedin()) == (0, 1)
    again = await engine.raw_connection()
    assert again.driver_connection is driver
    internals.return_connection(again)


def test_dialect_has_the_isolation_level_of_its_engine() -> None:
    for level in ("AUTOCOMMIT", None):
        options = {"isolation_level": level} if level else {}
        engine = create_async_engine("sqlite+aiosqlite://", **options)
        assert internals.connect_isolation_level(engine.dialect) == level


async def test_returned_rows_are_counted(engine: AsyncEngine) -> None:
    counts: list[int] = []

    def count(_: object, cursor: Any, *__: object) -> None:
        counts.append(internals.count_returned_rows(cursor))

    event.listen(engine.sync_engine, "after_cursor_execute", count)
    async with engine.connect() as connection:
        await connection.execute(insert(Shelf).returning(Shelf.id), [{}, {}, {}])
        await connection.execute(select(Shelf))
        await connection.execute(select(Shelf).where(Shelf.id < 0))
    assert counts == [3, 3, 0]


async def test_statement_of_a_flush_is_recognised(engine: AsyncEngine) -> None:
    found: list[tuple[str, bool]] = []

    def record(_: object, __: object, sql: str, ___: object, context: Any, *____: object) -> None:
        found.append((sql.split(maxsplit=1)[0], internals.is_flush_statement(context)))

    event.listen(engine.sync_engine, "after_cursor_execute", record)

    def write(connection: Any) -> None:
        with Session(connection) as session:
            session.add(shelf := Shelf(name="a"))
            session.flush()
            shelf.name = "b"
            session.flush()
            session.delete(shelf)
            session.flush()
            session.execute(insert(Shelf).values(name="c"))
            session.scalars(select(Shelf)).all()

    async with engine.connect() as connection:
        await connection.run_sync(write)
    assert found == [
        ("INSERT", True),
        ("UPDATE", True),
        ("DELETE", True),
        ("INSERT", False),
        ("SELECT", False),
    ]
    assert not internals.is_flush_statement(None)


async def test_error_of_a_driver_is_recognised(unused_port: int) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://u:p@127.0.0.1:{unused_port}/d")
    with pytest.raises(OSError, match=str(unused_port)) as refused:
        await engine.raw_connection()
    assert internals.is_driver_error(refused.value)
    with pytest.raises(OSError, match=str(unused_port)) as own:
        await asyncio.open_connection("127.0.0.1", unused_port)
    assert not internals.is_driver_error(own.value)


@pytest.fixture
def unused_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


# --- Listeners ------------------------------------------------------------------------------------


def ignore(*_: object) -> None: ...


def test_listeners_to_an_event_are_found() -> None:
    engine = create_engine("sqlite://")
    assert ignore not in internals.listeners_to(engine, "begin")
    event.listen(engine, "begin", ignore)
    assert ignore in internals.listeners_to(engine, "begin")
    assert ("begin", ignore) in [*internals.all_listeners(engine)]
    assert not internals.listeners_to(engine, "rollback")
    with pytest.raises(AttributeError):
        internals.listeners_to(engine, "other")


def test_listeners_of_classes_are_found() -> None:
    event.listen(Engine, "rollback", ignore)
    try:
        assert ignore in internals.listeners_to(create_engine("sqlite://"), "rollback")
    finally:
        event.remove(Engine, "rollback", ignore)


@pytest.mark.parametrize("target", [Session(), inspect(Shelf), inspect(Shelf).class_manager])
def test_targets_of_any_kind_have_listeners(target: Any) -> None:
    assert isinstance([*internals.all_listeners(target)], list)


@pytest.mark.parametrize(
    ("target", "name", "listener", "options"),
    [
        (create_engine("sqlite://"), "begin", ignore, {"once": True}),
        (create_engine("sqlite://"), "begin", partial(ignore, 1), {}),
        (create_engine("sqlite://"), "before_execute", ignore, {"retval": False}),
        (inspect(Book), "before_insert", ignore, {}),
    ],
)
def test_listener_is_unwrapped(
    target: Any, name: str, listener: Any, options: dict[str, Any]
) -> None:
    event.listen(target, name, listener, **options)
    found = [*internals.listeners_to(target, name)][-1]
    assert [*internals.unwrap_listener(found)] == [getattr(listener, "func", listener)]


def test_registry_changes_with_each_listener() -> None:
    engine = create_engine("sqlite://")
    before = internals.registered_listeners()
    assert internals.registered_listeners() == before
    event.listen(engine, "begin", ignore)
    last, count = internals.registered_listeners()
    assert last is not before[0]
    assert count == before[1] + 1
    event.remove(engine, "begin", ignore)
    event.listen(engine, "begin", ignore)
    assert internals.registered_listeners()[0] is not last


# --- Mappers and flushes --------------------------------------------------------------------------


def test_constructor_of_a_model_is_found() -> None:
    class Own(Base):
        __tablename__ = "own"

        id: Mapped[int] = mapped_column(primary_key=True)

        def __init__(self) -> None: ...

    assert internals.has_own_constructor(inspect(Own))
    assert not internals.has_own_constructor(inspect(Shelf))

    class Rack(Shelf):
        """A mapped subclass without a constructor."""

    assert not internals.has_own_constructor(inspect(Rack))


def test_changes_are_found_by_the_comparison_that_was_set() -> None:
    class Draft(Base):
        __tablename__ = "drafts"

        id: Mapped[int] = mapped_column(primary_key=True)
        document: Mapped[Any] = mapped_column(JSON)

    Base.registry.configure()
    internals.set_comparison(Draft.document, lambda x, y: repr(x) == repr(y))
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(draft := Draft(id=1, document=[1]))
        session.flush()
        draft.document = [True]
        session.flush()
        session.expire(draft)
        assert draft.document == [True]
        assert type(draft.document[0]) is bool


def test_flush_uses_the_history_that_was_set() -> None:
    found: list[Any] = []
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([shelf := Shelf(id=1), book := Book(shelf_id=1)])
        session.flush()

        @event.listens_for(session, "before_flush")
        def keep(_: Session, context: UOWTransaction, __: object) -> None:
            internals.set_flush_history(context, shelf, "books", [book])
            unit: Any = context
            found.append(unit.get_attribute_history(inspect(shelf), "books"))

        session.delete(shelf)
        session.flush()
    assert [[*history.unchanged] for history in found] == [[inspect(book)]]
