"""Errors in the log, without values."""

import asyncio
import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from traceback import format_exception
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import ResponseValidationError
from pydantic import AfterValidator, BaseModel, ValidationError
from sqlalchemy import (
    Enum,
    Integer,
    MetaData,
    String,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import Database, Model, ReadSchema, Resource, Schema, crud_router, install
from brickwork.database.redaction import redact_error
from tests.support.bodies import summary
from tests.support.databases import postgres_only
from tests.support.server import serving
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

SECRET = "s3cret"  # noqa: S105 — stands for what is sent and stored


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Colour(enum.Enum):
    RED = "red"


class Person(Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    born: Mapped[date | None]
    colour: Mapped[Colour | None] = mapped_column(
        Enum(Colour, native_enum=False, create_constraint=False, length=20)
    )


class Sized(BaseModel):
    size: int
    counts: dict[str, int] = {}


@pytest.fixture
async def engine(tables: Tables, backend: str) -> AsyncIterator[AsyncEngine]:
    """Return an engine without `hide_parameters`, on a database with one secret name."""
    url = await tables.of(Base.metadata, backend, {Person: [{"id": 1, "name": SECRET}]})
    driver = url.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(driver)
    yield engine
    await engine.dispose()


Work = Callable[[AsyncEngine], Awaitable[object]]


def execute(*statements: Any) -> Work:
    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for statement in statements:
                (await connection.execute(statement)).all()

    return work


INSERT_DUPLICATE = execute(insert(Person).values(id=2, name=SECRET))


async def raise_from_database_error(engine: AsyncEngine) -> None:
    try:
        await INSERT_DUPLICATE(engine)
    except IntegrityError as error:
        raise RuntimeError("The application's own words.") from error


async def raise_while_handling(engine: AsyncEngine) -> None:
    try:
        await INSERT_DUPLICATE(engine)
    except IntegrityError:
        raise KeyError("own") from None


async def fail_validation(_: AsyncEngine) -> None:
    Sized.model_validate({"size": SECRET, "counts": {SECRET: SECRET}})


async def fail_in_a_group(engine: AsyncEngine) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail_validation(engine))


async def fail_response_validation(_: AsyncEngine) -> None:
    fault = {"type": "int_type", "loc": ("response", 0, "size", SECRET), "msg": SECRET}
    raise ResponseValidationError([{**fault, "input": SECRET}], body=SECRET)


async def raise_in_a_circle(_: AsyncEngine) -> None:
    error = ValueError("own")
    error.__context__ = error
    raise error


NAMED = select(Person).where(Person.name == literal_column(f"'{SECRET}'"))

ERRORS = [
    pytest.param(INSERT_DUPLICATE, "IntegrityError", id="unique value"),
    pytest.param(raise_from_database_error, "The application's own words.", id="cause"),
    pytest.param(raise_while_handling, "own", id="context"),
    pytest.param(
        fail_validation, "size\n  A value does not fit. [type=int_parsing]", id="validation"
    ),
    pytest.param(fail_in_a_group, "2 validation errors for Sized", id="group"),
    pytest.param(fail_response_validation, "'loc': ('response', 0, 'size', '…')", id="answer"),
    pytest.param(raise_in_a_circle, "own", id="circle"),
    pytest.param(execute(NAMED.where(text("nope = 1"))), "nope", id="unknown column"),
    pytest.param(
        execute(
            update(Person).values(colour=literal(SECRET, String)).returning(Person.id),
            select(Person),
        ),
        "A value does not fit.",
        id="no member of an enumeration",
    ),
]


async def logged_traceback(engine: AsyncEngine, work: Work) -> str:
    """Return the traceback that the log has of the error of *work*."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011 — whatever it is
        await work(engine)
    return "".join(format_exception(redact_error(raised.value)))


@pytest.mark.parametrize(("work", "expected"), ERRORS)
async def test_error_is_logged_without_values(
    engine: AsyncEngine, work: Work, expected: str
) -> None:
    lines = await logged_traceback(engine, work)
    assert SECRET not in lines
    assert expected in lines


@pytest.mark.parametrize(("work", "_"), ERRORS)
async def test_representation_of_an_error_has_no_values(
    engine: AsyncEngine, work: Work, _: str
) -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011 — whatever it is
        await work(engine)
    assert SECRET not in repr(redact_error(raised.value))


@postgres_only
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (text("SELECT CAST(name AS integer) FROM people RETURNING"), "(42601)"),
        (text("SELECT CAST(name AS integer) FROM people"), "22P02"),
        (select(Person).where(Person.id == literal(SECRET, Integer)), "22000"),
        (text("DO $$ BEGIN RAISE EXCEPTION '%', (SELECT name FROM people); END $$"), "P0001"),
    ],
)
async def test_postgresql_error_is_logged_with_its_sqlstate(
    engine: AsyncEngine, statement: Any, expected: str
) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(statement)

    lines = await logged_traceback(engine, work)
    assert expected in lines
    assert SECRET not in lines


def test_error_without_values_is_unchanged() -> None:
    error = RuntimeError("own")
    assert redact_error(error) is error


def test_error_of_pydantic_keeps_its_traceback() -> None:
    with pytest.raises(ValidationError) as raised:
        Sized.model_validate({})
    other = redact_error(raised.value)
    assert isinstance(other, ValidationError)
    assert other.__traceback__ is raised.value.__traceback__


# --- In the log of a server --------------------------------------------------------------------


def _reject(value: str | None) -> str | None:
    raise ValueError(f"no {value}")


class PersonRead(ReadSchema):
    id: int
    name: Annotated[str | None, AfterValidator(_reject)]


class PersonCreate(Schema):
    name: str | None = None


class PersonUpdate(PersonCreate, partial=True): ...


class People(Resource[Person]): ...


PEOPLE = crud_router("/people", People, read=PersonRead, create=PersonCreate, update=PersonUpdate)
routes = APIRouter()


@routes.get("/bug")
async def bug() -> None:
    raise RuntimeError("the application's own words")


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ORM"])
async def test_unserialisable_response_is_logged_without_values(
    tables: Tables, backend: str, caplog: pytest.LogCaptureFixture, *, fast: bool
) -> None:
    url = await tables.of(Base.metadata, backend, {Person: [{"id": 1, "name": SECRET}]})
    app = FastAPI(lifespan=Database(url, fast_path=fast).lifespan)
    install(app)
    app.include_router(PEOPLE)
    app.include_router(routes)
    async with serving(app) as client:
        answers = [summary(await client.get(path)) for path in ("/people/1", "/people", "/bug")]
        assert summary(await client.put("/people/1", json={"id": 1})) == "500"
    assert answers == ["500"] * 3
    assert SECRET not in caplog.text
    assert "value_error" in caplog.text
    assert "the application's own words" in caplog.text
