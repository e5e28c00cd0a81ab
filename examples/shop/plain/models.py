"""The models of the shop by hand."""

import enum
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Numeric,
    String,
    Table,
    event,
    text,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Base of the models."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Currency(enum.Enum):
    """The currency of a price."""

    EUR = "EUR"
    USD = "USD"


class Category(Base):
    """A node in the tree of categories."""

    __tablename__ = "categories"

    name: Mapped[str] = mapped_column(String(100), unique=True)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("categories.id"), index=True)
    parent: Mapped["Category | None"] = relationship(
        remote_side="Category.id", back_populates="children"
    )
    children: Mapped[list["Category"]] = relationship(
        back_populates="parent", order_by="Category.name", passive_deletes="all"
    )


class Tag(Base):
    """A word about products."""

    __tablename__ = "tags"

    name: Mapped[str] = mapped_column(String(50), unique=True)


tagged = Table(
    "tagged",
    Base.metadata,
    Column[UUID]("product_id", ForeignKey("products.id"), primary_key=True),
    Column[UUID]("tag_id", ForeignKey("tags.id"), primary_key=True, index=True),
)

not_deleted = text("deleted_at IS NULL")


class Product(Base):
    """A product."""

    __tablename__ = "products"
    __table_args__ = (
        Index("sku", "sku", unique=True, sqlite_where=not_deleted, postgresql_where=not_deleted),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("stock >= 0", name="stock"),
    )

    sku: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    currency: Mapped[Currency] = mapped_column(default=Currency.EUR)
    stock: Mapped[int] = mapped_column(default=0)
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey(Category.id), index=True)
    thumbnail: Mapped[bytes | None]
    image: Mapped[bytes | None] = mapped_column(deferred=True)
    image_type: Mapped[str | None] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC)
    )
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    category: Mapped[Category | None] = relationship(lazy="selectin")
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by=Tag.name, lazy="selectin")


class Order(Base):
    """An order of products in one currency."""

    __tablename__ = "orders"

    customer: Mapped[str] = mapped_column(String(100))
    currency: Mapped[Currency]
    total: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC)
    )
    lines: Mapped[list["OrderLine"]] = relationship(
        cascade="all, delete-orphan", order_by="OrderLine.position", lazy="selectin"
    )


class OrderLine(Base):
    """Some pieces of a product, at the price of the day."""

    __tablename__ = "order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    order_id: Mapped[UUID] = mapped_column(ForeignKey(Order.id), index=True)
    position: Mapped[int]
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id), index=True)
    quantity: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))


class StoredResponse(Base):
    """The response to an order with an Idempotency-Key."""

    __tablename__ = "stored_responses"

    key: Mapped[str] = mapped_column(String(255), unique=True)
    request: Mapped[str]
    response: Mapped[str]


SessionLocal = async_sessionmaker(expire_on_commit=False)


def connect(url: str) -> AsyncEngine:
    """Return the engine of *url*, and let `SessionLocal` use it."""
    drivers = {"sqlite:": "sqlite+aiosqlite:", "postgresql:": "postgresql+asyncpg:"}
    for name, driver in drivers.items():
        url = driver + url.removeprefix(name) if url.startswith(name) else url
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", enforce_foreign_keys)
    SessionLocal.configure(bind=engine)
    return engine


def enforce_foreign_keys(connection: Any, _: object) -> None:
    """Let SQLite check foreign keys."""
    connection.cursor().execute("PRAGMA foreign_keys = ON")


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session for a request."""
    async with SessionLocal() as session:
        yield session


DB = Annotated[AsyncSession, Depends(get_db)]
