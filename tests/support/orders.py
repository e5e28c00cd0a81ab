"""Orders with lines, tags and other orders, for tests of lists."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import (
    Filter,
    Limit,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Search,
    SoftDelete,
    SortBy,
    Versioned,
)
from tests.support.tables import Rows


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Customer(Base, SoftDelete):
    """A customer, with orders."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", passive_deletes="all")


class Tagging(Base):
    """The association of an order and a tag."""

    __tablename__ = "tagging"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id"), primary_key=True)


class Tag(Base):
    """A tag of orders."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    orders: Mapped[list["Order"]] = relationship(secondary="tagging", back_populates="tags")


class Order(Base, Versioned):
    """An order of a customer, perhaps a part of another order."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20))
    priority: Mapped[int] = mapped_column(default=0)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey(Customer.id))
    whole_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    customer: Mapped[Customer | None] = relationship(back_populates="orders")
    whole: Mapped["Order | None"] = relationship(back_populates="parts", remote_side="Order.id")
    parts: Mapped[list["Order"]] = relationship(back_populates="whole", passive_deletes="all")
    tags: Mapped[list[Tag]] = relationship(secondary="tagging", back_populates="orders")
    lines: Mapped[list["Line"]] = relationship(back_populates="order", passive_deletes="all")

    @property
    def label(self) -> str:
        """Return the number and the priority."""
        return f"{self.number}/{self.priority}"


class Line(Base, SoftDelete):
    """A line of an order."""

    __tablename__ = "lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey(Order.id))
    product: Mapped[str] = mapped_column(String(20))
    quantity: Mapped[int]
    note: Mapped[str | None] = mapped_column(String(20))
    order: Mapped[Order] = relationship(back_populates="lines")


class OrderCreate(Schema):
    """A new order."""

    number: str
    priority: int = 0
    customer_id: int | None = None


class OrderUpdate(OrderCreate, partial=True):
    """Changes to an order."""


class OrderRead(ReadSchema):
    """An order, without related rows."""

    id: int
    number: str
    priority: int
    customer_id: int | None
    version: int


class CustomerBrief(ReadSchema):
    """A customer in another row."""

    id: int
    name: str


class LineBrief(ReadSchema):
    """A line in another row."""

    product: str
    quantity: int


class FullOrderRead(OrderRead):
    """An order, with its customer and its lines."""

    customer: CustomerBrief | None
    lines: Annotated[list[LineBrief], Limit(2)]


class OrderQuery(ListQuery[Order]):
    """Filters of orders, of related rows as well."""

    number: Filter[str] = None
    priority: Filter[int] = None
    customer__name: Filter[str] = None
    customer__orders__number: str | None = None
    lines__product: Filter[str] = None
    lines__quantity: Filter[int] = None
    lines__note: Filter[str] = None
    tags__name: Filter[str] = None
    tags__orders__number: str | None = None
    parts__number: Filter[str] = None
    parts__lines__product: str | None = None
    parts__parts__number: str | None = None
    whole__tags__name: str | None = None
    sort: SortBy[Literal["number", "priority"]] = None
    q: Search = None
    search_fields = ("number",)


class Orders(Resource[Order]):
    """All orders."""


def _order(key: int, number: str, **values: Any) -> dict[str, Any]:
    return {
        "priority": 0,
        "customer_id": None,
        "whole_id": None,
        "version": 1,
        **values,
        "id": key,
        "number": number,
    }


def _line(key: int, order: int, product: str, quantity: int, **values: Any) -> dict[str, Any]:
    return {
        "note": None,
        "deleted_at": None,
        **values,
        "id": key,
        "order_id": order,
        "product": product,
        "quantity": quantity,
    }


_THEN = datetime(2020, 1, 1, tzinfo=UTC)

ROWS: Final[Rows] = {
    Customer: [
        {"id": 1, "name": "Ada", "deleted_at": None},
        {"id": 2, "name": "Bob", "deleted_at": None},
        {"id": 3, "name": "Gone", "deleted_at": _THEN},
    ],
    Tag: [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}, {"id": 3, "name": "green"}],
    Order: [
        _order(1, "A-1", priority=1, customer_id=1),
        _order(2, "A-2", priority=2, customer_id=1),
        _order(3, "B-1", priority=1, customer_id=2),
        _order(4, "C-1", priority=3, customer_id=3),
        _order(5, "A-1-1", whole_id=1),
        _order(6, "A-1-1-1", whole_id=5),
    ],
    Line: [
        _line(1, 1, "brick", 10),
        _line(2, 1, "brick", 20, note="late"),
        _line(3, 1, "tile", 1),
        _line(4, 2, "brick", 1),
        _line(5, 2, "tile", 30),
        _line(6, 3, "tile", 5, deleted_at=_THEN),
        _line(7, 5, "sand", 7),
    ],
    Tagging: [
        {"order_id": 1, "tag_id": 1},
        {"order_id": 1, "tag_id": 2},
        {"order_id": 2, "tag_id": 1},
        {"order_id": 4, "tag_id": 3},
    ],
}
"""Rows of all models: an order without related rows, one with many, deleted ones."""
