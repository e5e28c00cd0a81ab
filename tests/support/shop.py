"""An application with keys of every type and overridden methods."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from annotated_types import Len
from fastapi import APIRouter, Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, Select, String, TypeDecorator
from sqlalchemy.orm import Mapped, column_property, mapped_column
from typing_extensions import override

from brickwork import Database, Model, ReadSchema, Resource, Schema, crud_router, install
from tests.support.calls import client_of


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Country(Base):
    """A country with a text key of the client."""

    __tablename__ = "countries"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(30), unique=True)


class City(Base):
    """A city of a tenant, with an integer key of the database."""

    __tablename__ = "cities"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    people: Mapped[int] = mapped_column(CheckConstraint("people >= 0", name="people"), default=0)
    visits: Mapped[int] = mapped_column(server_default="0")
    tenant: Mapped[str] = mapped_column(String(20), default="")
    motto: Mapped[str | None] = mapped_column(String(20), default="none")
    country_code: Mapped[str | None] = mapped_column(
        ForeignKey("countries.code", deferrable=True, initially="DEFERRED")
    )


class Capitals(TypeDecorator[str]):
    """Text that is lowercase in the database and uppercase in Python."""

    impl = String(20)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[str]:
        return str

    @override
    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and value.lower()

    @override
    def process_result_value(self, value: str | None, dialect: object) -> str | None:
        return value and value.upper()


class Store(Base):
    """A store with a key of the client, and a deferred foreign key to its country."""

    __tablename__ = "stores"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(Capitals)
    rank: Mapped[int] = mapped_column(CheckConstraint("rank < 100", name="rank"), default=1)
    country_code: Mapped[str | None] = mapped_column(
        ForeignKey("countries.code", deferrable=True, initially="DEFERRED")
    )
    sign = column_property(name + "!")


class CountryCreate(Schema):
    code: Annotated[str, Len(2, 2)]
    name: str


class CountryUpdate(CountryCreate, partial=True): ...


class CountryRead(ReadSchema):
    code: str
    name: str


class CityCreate(Schema):
    name: str
    people: int = 0
    country_code: str | None = None


class CityUpdate(CityCreate, partial=True): ...


class CityRead(ReadSchema):
    id: int
    name: str
    people: int
    visits: int
    country_code: str | None


class StoreCreate(Schema):
    code: str
    name: str = "bread"
    rank: int = 1
    country_code: str | None = None


class StoreUpdate(StoreCreate, partial=True): ...


class StoreRead(ReadSchema):
    code: str
    name: str
    rank: int
    country_code: str | None


def current_tenant(tenant: Annotated[str, Header()] = "") -> str:
    """Return the tenant of the caller."""
    return tenant


class Countries(Resource[Country]): ...


class Cities(Resource[City]):
    """The cities of a tenant, with capitalised names."""

    tenant: Annotated[str, Depends(current_tenant)]

    @override
    def query(self) -> Select[City]:
        return super().query().where(City.tenant == self.tenant)

    @override
    async def create(self, row: City, /) -> None:
        row.tenant = self.tenant
        row.name = row.name.title()
        await super().create(row)

    @override
    async def update(self, row: City, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)
        row.name = row.name.title()


class Stores(Resource[Store]): ...


countries = crud_router(
    "/countries", Countries, read=CountryRead, create=CountryCreate, update=CountryUpdate
)
cities = crud_router("/cities", Cities, read=CityRead, create=CityCreate, update=CityUpdate)


def stores(resource: type[Resource[Store]] = Stores, **schemas: Any) -> APIRouter:
    """Return the routes of *resource*; *schemas* may replace the usual ones."""
    usual: dict[str, Any] = {"read": StoreRead, "create": StoreCreate, "update": StoreUpdate}
    return crud_router("/stores", resource, **usual | schemas)


def app_of(database: Database, *routers: APIRouter, **options: Any) -> FastAPI:
    """Return an application of only *routers* over *database*."""
    app = FastAPI(lifespan=database.lifespan, **options)
    install(app)
    for router in routers:
        app.include_router(router)
    return app


_plain_stores = app_of(Database("sqlite:///unused.db"), stores())


@asynccontextmanager
async def calling_stores(database: Database) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application of stores, which all tests share."""
    async with database.lifespan(None) as state, client_of(_plain_stores, state) as client:
        yield client


@cities.post("/{id}/visit", response_model=CityRead)
async def visit(id: str, rows: Annotated[Cities, Depends()]) -> City:  # noqa: A002
    """Read a city, and increment its visits."""
    city = await rows.get(id)
    city.visits += 1
    await rows.session.flush()
    return city


class Shop(Database):
    """A database with the tables of the shop."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str, **options: Any) -> FastAPI:
    """Return the shop over the database at *url*."""
    app = FastAPI(lifespan=Shop(url, **options).lifespan)
    install(app)
    app.include_router(countries)
    app.include_router(cities)
    return app
