"""Step 3: a resource instead of handlers."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import Field

from brickwork import (
    Database,
    ListQuery,
    NaiveUTC,
    ReadSchema,
    Resource,
    Schema,
    Search,
    SortBy,
    crud_router,
    install,
)

from .database import connect
from .models import Base, Customer
from .orders import orders


class CustomerCreate(Schema):
    """A new customer."""

    name: str
    email: str
    credit: Annotated[Decimal, Field(ge=0)] = Decimal(0)


class CustomerUpdate(CustomerCreate, partial=True):
    """Changes to a customer."""


class CustomerRead(ReadSchema):
    """A customer in a response."""

    id: int
    name: str
    email: str
    credit: Decimal
    created: NaiveUTC


class CustomerQuery(ListQuery[Customer]):
    """The parameters of the list."""

    search_fields = ("name", "email")

    email: str | None = None
    q: Search = None
    sort: SortBy[Literal["name", "created"]] = None


class Customers(Resource[Customer]):
    """The customers."""


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    database = Database(connect(url))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        await database.create_all(Base.metadata)
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(title="Customers", lifespan=lifespan)
    install(app)
    app.include_router(orders(), prefix="/api")
    app.include_router(
        crud_router(
            "/customers",
            Customers,
            read=CustomerRead,
            create=CustomerCreate,
            update=CustomerUpdate,
            query=CustomerQuery,
        )
    )
    return app
