"""The models of the old application."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import DateTime, ForeignKey, Numeric, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def utc_now() -> datetime:
    """Return the time in UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    """Base of all models."""


class Customer(Base):
    """A customer. The columns have the names of an older system."""

    __tablename__ = "tbl_customer"

    id: Mapped[int] = mapped_column("customer_id", primary_key=True)
    name: Mapped[str] = mapped_column("cust_name", String(100))
    email: Mapped[str] = mapped_column("email_addr", String(254), unique=True)
    credit: Mapped[Decimal] = mapped_column("credit_limit", Numeric(10, 2), default=0)
    created: Mapped[datetime] = mapped_column("created_on", DateTime, default=utc_now)
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    """An order of a customer."""

    __tablename__ = "tbl_order"

    id: Mapped[int] = mapped_column("order_id", primary_key=True)
    customer_id: Mapped[int] = mapped_column("customer", ForeignKey(Customer.id))
    total: Mapped[Decimal] = mapped_column("total_amount", Numeric(10, 2))
    placed: Mapped[datetime] = mapped_column("placed_on", DateTime, default=utc_now)
    customer: Mapped[Customer] = relationship(back_populates="orders")
