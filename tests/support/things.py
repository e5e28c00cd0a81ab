"""An application of things with a column of each type."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

from annotated_types import MaxLen
from fastapi import FastAPI
from pydantic import EmailStr, HttpUrl
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Database,
    ExactNumeric,
    JSONDocument,
    Model,
    NaiveUTC,
    ReadSchema,
    Resource,
    Schema,
    Timestamped,
    crud_router,
    install,
)
from brickwork.models.model import new_key


class Colour(Enum):
    """An enum with names that differ from its values."""

    RED = "red"
    GREEN = "vert é"


class Base(Model):
    """The base of the model here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Thing(Timestamped, Base):
    """A row with a column of each type."""

    __tablename__ = "things"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_key)
    string: Mapped[str] = mapped_column(String(20))
    text: Mapped[str | None] = mapped_column(Text)
    small: Mapped[int] = mapped_column(SmallInteger)
    integer: Mapped[int] = mapped_column(Integer)
    big: Mapped[int | None] = mapped_column(BigInteger)
    number: Mapped[float] = mapped_column(Float)
    double: Mapped[float | None] = mapped_column(Double)
    flag: Mapped[bool | None]
    key: Mapped[UUID | None]
    instant: Mapped[datetime | None]
    day: Mapped[date | None]
    hour: Mapped[time | None]
    colour: Mapped[Colour | None]
    size: Mapped[Literal["S", "M", "L"]]
    document: Mapped[dict[str, Any] | None]
    items: Mapped[list[Any] | None] = mapped_column(JSONDocument)
    plain_document: Mapped[Any] = mapped_column(JSON)
    binary_document: Mapped[Any] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    money: Mapped[Decimal | None] = mapped_column(ExactNumeric(18, 4))
    weight: Mapped[Decimal | None] = mapped_column(Numeric(15, 3))
    period: Mapped[timedelta | None] = mapped_column(Interval)
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    naive: Mapped[datetime | None] = mapped_column(DateTime)
    zoned: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    website: Mapped[str | None] = mapped_column(String(40))
    email: Mapped[str | None] = mapped_column(String(40))
    address: Mapped[str | None] = mapped_column(String(15))
    shade: Mapped[str | None] = mapped_column(String(10))


class ThingCreate(Schema):
    string: Annotated[str, MaxLen(20)]
    text: str | None
    small: int
    integer: int
    big: int | None
    number: float
    double: float | None
    flag: bool | None
    key: UUID | None
    instant: datetime | None
    day: date | None
    hour: time | None
    colour: Colour | None
    size: Literal["S", "M", "L"]
    document: dict[str, Any] | None
    items: list[Any] | None
    plain_document: dict[str, Any] | list[Any] | None
    binary_document: dict[str, Any] | list[Any] | None
    money: Decimal | None
    weight: Decimal | None
    period: timedelta | None
    content: bytes | None
    naive: NaiveUTC | None
    zoned: datetime | None
    website: HttpUrl | None
    email: EmailStr | None
    address: IPv4Address | None
    shade: Colour | None


class ThingUpdate(ThingCreate, partial=True): ...


class ThingRead(ReadSchema):
    id: UUID
    string: str
    text: str | None
    small: int
    integer: int
    big: int | None
    number: float
    double: float | None
    flag: bool | None
    key: UUID | None
    instant: datetime | None
    day: date | None
    hour: time | None
    colour: Colour | None
    size: Literal["S", "M", "L"]
    document: dict[str, Any] | None
    items: list[Any] | None
    plain_document: dict[str, Any] | list[Any] | None
    binary_document: dict[str, Any] | list[Any] | None
    money: Decimal | None
    weight: Decimal | None
    period: timedelta | None
    content: bytes | None
    naive: NaiveUTC | None
    zoned: datetime | None
    website: HttpUrl | None
    email: EmailStr | None
    address: IPv4Address | None
    shade: Colour | None
    created_at: datetime
    updated_at: datetime


class Things(Resource[Thing]): ...


router = crud_router("/things", Things, read=ThingRead, create=ThingCreate, update=ThingUpdate)


class Store(Database):
    """A database with the table of things."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str) -> FastAPI:
    """Return an application of things over the empty database at *url*."""
    app = FastAPI(lifespan=Store(url).lifespan)
    install(app)
    app.include_router(router)
    return app
