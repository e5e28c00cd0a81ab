"""Rows with documents, and the most expensive bodies."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal

from annotated_types import MaxLen
from fastapi import Depends, FastAPI, HTTPException
from httpx2 import AsyncClient
from pydantic import Field, JsonValue
from sqlalchemy import MetaData, String
from sqlalchemy.orm import Mapped, mapped_column

from brickwork import (
    Database,
    JSONDocument,
    Model,
    ReadSchema,
    Resource,
    Schema,
    crud_router,
    install,
)
from brickwork.limits import Limits
from tests.support.bodies import JSON
from tests.support.calls import calling


class Base(Model):
    """The base of the model, with its own metadata."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Record(Base):
    """A row with documents of several types."""

    __tablename__ = "records"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), default="a")
    slug: Mapped[str] = mapped_column(String(50), default="a")
    meta: Mapped[dict[str, Any] | None]
    any: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    texts: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    numbers: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    points: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    lines: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    steps: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    mixed: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    counts: Mapped[dict[str, Any] | None] = mapped_column(JSONDocument)


class Line(Schema):
    kind: Literal["a", "b"]
    count: int
    price: float
    text: str
    note: str | None = None


class Step(Schema):
    number: int = 1
    text: str | None = None
    is_last: bool = False


class RecordCreate(Schema):
    name: str = "a"
    slug: Annotated[str, Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")] = "a"
    meta: dict[str, Any] | None = None
    any: JsonValue = None
    texts: list[Annotated[str, MaxLen(20)]] | None = None
    numbers: list[float] | None = None
    points: list[list[int]] | None = None
    lines: list[Line] | None = None
    steps: list[Step] | None = None
    mixed: list[Line | Step | int] | None = None
    counts: dict[str, list[int] | int] | None = None


class RecordUpdate(RecordCreate, partial=True): ...


class RecordRead(ReadSchema):
    id: int
    name: str
    meta: dict[str, Any] | None
    any: JsonValue
    texts: list[str] | None
    numbers: list[float] | None
    points: list[list[int]] | None
    lines: list[Line] | None
    steps: list[Step] | None
    mixed: list[Any] | None
    counts: dict[str, Any] | None


class Records(Resource[Record]): ...


async def nobody() -> None:
    """Reject every caller."""
    raise HTTPException(401)


def create_app(database: Database, limits: Limits | None = None) -> FastAPI:
    """Return an application with records at `/records`, and at `/closed`, which rejects all."""
    app = FastAPI(lifespan=database.lifespan)
    install(app, limits=limits)
    for prefix, dependencies in (("/records", []), ("/closed", [Depends(nobody)])):
        router = crud_router(
            prefix, Records, read=RecordRead, create=RecordCreate, update=RecordUpdate
        )
        app.include_router(router, dependencies=dependencies)
    return app


SIZE: Final = Limits().body
VALUES: Final = Limits().values - 10


def array(element: str, *, most: int = SIZE, begin: str = "[", end: str = "]") -> str:
    """Return an array that repeats *element* up to *most* values or the longest body."""
    count = min(most, (SIZE - 200) // (len(element) + 1))
    return begin + ",".join([element] * count) + end


def members(form: str, *, most: int = SIZE) -> str:
    """Return an object with members up to *most* values or the longest body."""
    count = min(most, (SIZE - 200) // (len(form.format(99_999)) + 1))
    return "{" + ",".join(form.format(number) for number in range(count)) + "}"


def nested(depth: int, inside: str = "") -> str:
    """Return *inside* in *depth* nested arrays."""
    return "[" * depth + inside + "]" * depth


def field(name: str, value: str) -> str:
    """Return an object with one member."""
    return f'{{"{name}":{value}}}'


def text(part: str) -> str:
    """Return a text that repeats *part* up to the longest body."""
    return f'"{part * ((SIZE - 40) // len(part))}"'


def meta(value: str) -> str:
    """Return a body with *value* in free JSON."""
    return field("meta", field("a", value))


NULL: Final = r'"\u0000"'
SURROGATE: Final = r'"\ud800"'
LINE: Final = '{"kind":"a","count":1,"price":1.5,"text":""}'

TOO_MANY: Final[Mapping[str, str]] = {
    "null characters 55 deep": meta(nested(55, array(NULL))),
    "huge numbers": meta(array("1e999")),
    "null characters in keys": field("meta", members(r'"\u0000{}":1')),
    "unknown fields": members('"k{}":1'),
    "arrays 900 deep": array(nested(900)),
    "arrays 60 deep": array(nested(60)),
    "numbers": meta(array("1")),
    "objects": meta(array("{}")),
    "texts": array('""'),
    "brackets": "[" * SIZE,
}
"""Bodies with more values than the limit."""

FAULTY: Final[Mapping[str, str]] = {
    "null characters 50 deep": meta(nested(50, array(NULL, most=VALUES - 60))),
    "infinite numbers": meta(array("1e999", most=VALUES)),
    "null characters in names": field("meta", members(r'"\u0000{}":1', most=VALUES)),
    "surrogates": meta(array(SURROGATE, most=VALUES)),
    "null characters in JsonValue": field("any", array(NULL, most=VALUES)),
    "fields that are unknown": members('"k{}":1', most=VALUES),
    "texts for numbers": field("numbers", array('""', most=VALUES)),
    "texts that are too long": field("texts", array(f'"{"a" * 21}"', most=VALUES)),
    "booleans in points": field("points", array("[true]", most=VALUES // 2)),
    "booleans for counts": field("counts", members('"{}":true', most=VALUES)),
    "lines without their fields": field("lines", array("{}", most=VALUES)),
    "unknown fields in lines": field(
        "lines", array(members('"k{}":1', most=90), most=VALUES // 91)
    ),
    "booleans for two kinds of object": field("mixed", array("true", most=VALUES)),
    "objects of no kind": field("mixed", array('{"z":1}', most=VALUES // 2)),
    "rows with unknown fields": array(members('"k{}":1', most=400), most=100),
    "rows with null characters": array(meta(array(NULL, most=400)), most=100),
    "too many rows": array("{}", most=VALUES),
    "faults under a long name": field("meta", field("k" * 500_000, array(NULL, most=VALUES))),
    "wrong numbers under a long name": field(
        "counts", field("k" * 500_000, array("true", most=VALUES))
    ),
}
"""Bodies with as many values as the limit allows, and as many faults as possible."""

GOOD: Final[Mapping[str, str]] = {
    "many numbers": meta(array("1", most=VALUES)),
    "many arrays": meta(array("[]", most=VALUES)),
    "many objects": meta(array("{}", most=VALUES)),
    "many members": field("meta", members('"{}":1', most=VALUES)),
    "many arrays in JsonValue": field("any", array("[]", most=VALUES)),
    "many floats": field("numbers", array("-0.5", most=VALUES)),
    "many points": field("points", array("[1]", most=VALUES // 2)),
    "many lines": field("lines", array(LINE, most=VALUES // 5)),
    "many steps": field("steps", array("{}", most=VALUES)),
    "rows with many numbers": array(meta(array("1", most=490)), most=100),
}
"""Bodies with as many values as the limit allows, and no fault."""

LONG: Final[Mapping[str, str]] = {
    "a name": field("name", f'"{"a" * (SIZE - 20)}"'),
    "a slug": field("slug", f'"{"a-" * (SIZE // 2 - 20)}!"'),
    "a key": field("a" * (SIZE - 20), "1"),
    "escapes": meta(text(r"\u0041")),
    "pairs of surrogates": meta(text(r"\ud83d\ude00")),
    "halves of pairs": meta(text(r"\ud83d")),
    "a number": meta("9" * (SIZE - 40)),
    "numbers of 4 300 digits": meta(array("9" * 4300)),
    "numbers before one of 5 000 digits": meta(array("1", most=VALUES - 1, end=f",{'9' * 5000}]")),
    "a fraction": meta("0." + "1" * (SIZE - 40)),
}
"""Bodies of the largest length, with one long value."""

BROKEN: Final[Mapping[str, str]] = {
    "a key twice": members('"a":1', most=VALUES),
    "blanks": " " * SIZE,
    "quotes": '"' * SIZE,
    "an error at the end": array("1", most=VALUES, end="}"),
    "empty lines": "\n" * (SIZE - 1) + "x",
    "a text without end": '"' + "é" * (SIZE // 2 - 10),
}
"""Bodies of the largest length that are no JSON."""

_HEADERS: Final = Limits().headers - 1_000

HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    "escapes in a cookie": {"cookie": 'a="' + "\\\\" * (_HEADERS // 2) + '"'},
    "some escapes in a cookie": {"cookie": 'a="' + "\\\\" * 500 + "a" * (_HEADERS - 2_000) + '"'},
    "cookies": {"cookie": "a;" * (_HEADERS // 2)},
    "media types": {"accept": "a/b," * (_HEADERS // 4)},
    "parameters of a media type": {"content-type": f"{JSON}{';a=b' * (_HEADERS // 4)}"},
    "semicolons": {"content-type": f"{JSON}{';' * _HEADERS}"},
    "a long parameter": {"content-type": f'{JSON};a="' + '\\"' * (_HEADERS // 2)},
    "tags": {"if-none-match": '"1",' * (_HEADERS // 4) + '"1"'},
    "commas": {"if-match": '"a"' + ", " * (_HEADERS // 2) + "x"},
    "preferences": {"prefer": "a;" * (_HEADERS // 2)},
    "quotes in a key": {"idempotency-key": '"' + '\\"' * (_HEADERS // 2)},
    "many headers": {f"x-{number}": "a" for number in range(3_500)},
}
"""Headers of the largest length."""

QUERIES: Final[Mapping[str, str]] = {
    "unknown parameters": "&".join(f"a{number}" for number in range(1_300)),
    "the same parameter": "a&" * 4_000,
    "a known parameter": "limit=1&" * 1_000,
    "escapes in a query": "%61" * 2_700,
    "a cursor": "cursor=" + "A" * 8_000,
    "no names": "=&" * 4_000,
}
"""Queries of the largest length."""

BODIES: Final = {**TOO_MANY, **FAULTY, **GOOD, **LONG, **BROKEN}


@asynccontextmanager
async def calling_records(database: Database) -> AsyncGenerator[AsyncClient]:
    """Make the tables in *database*, and yield a client of its records."""
    await database.create_all(Base.metadata)
    async with calling(create_app(database)) as client:
        yield client
