"""The first resource: orders, over a table that the application has."""

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from brickwork import ListQuery, NaiveUTC, ReadSchema, Resource, Schema, SortBy, crud_router

from .database import DB
from .models import Order


class OrderCreate(Schema):
    """A new order."""

    customer_id: int
    total: Annotated[Decimal, Field(ge=0)]


class OrderUpdate(OrderCreate, partial=True):
    """Changes to an order."""


class OrderRead(ReadSchema):
    """An order in a response."""

    id: int
    customer_id: int
    total: Decimal
    placed: NaiveUTC


class OrderQuery(ListQuery[Order]):
    """The parameters of the list."""

    customer_id: int | None = None
    total__gte: Decimal | None = None
    placed__gte: NaiveUTC | None = None
    sort: SortBy[Literal["placed", "total"]] = None


class Orders(Resource[Order]):
    """Orders, in the sessions of the application."""

    session: DB


def orders() -> APIRouter:
    """Return the routes of the orders."""
    return crud_router(
        "/orders",
        Orders,
        read=OrderRead,
        create=OrderCreate,
        update=OrderUpdate,
        query=OrderQuery,
    )
