"""The models."""

import enum
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Enum, ForeignKey, MetaData, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import (
    Entity,
    ExactNumeric,
    SoftDelete,
    Timestamped,
    Versioned,
    unique_unless_deleted,
)


class Base(Entity):
    """Base of the models, with its own tables."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


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
        back_populates="parent", order_by="Category.name"
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


class Product(Base, Timestamped, Versioned, SoftDelete):
    """A product."""

    __tablename__ = "products"
    __table_args__ = (
        unique_unless_deleted("sku"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("stock >= 0", name="stock"),
    )

    sku: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    price: Mapped[Decimal] = mapped_column(ExactNumeric(10, 2))
    currency: Mapped[Currency] = mapped_column(Enum(Currency), default=Currency.EUR)
    stock: Mapped[int] = mapped_column(default=0)
    category_id: Mapped[UUID | None] = mapped_column(ForeignKey(Category.id), index=True)
    thumbnail: Mapped[bytes | None]
    image: Mapped[bytes | None] = mapped_column(deferred=True)
    image_type: Mapped[str | None] = mapped_column(String(20))
    category: Mapped[Category | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by=Tag.name)


class Order(Base, Timestamped, Versioned):
    """An order of products in one currency."""

    __tablename__ = "orders"

    customer: Mapped[str] = mapped_column(String(100))
    currency: Mapped[Currency] = mapped_column(Enum(Currency))
    total: Mapped[Decimal] = mapped_column(ExactNumeric(12, 2))
    lines: Mapped[list["OrderLine"]] = relationship(
        cascade="all, delete-orphan", order_by="OrderLine.id"
    )


class OrderLine(Base):
    """Some pieces of a product, at the price of the day."""

    __tablename__ = "order_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    order_id: Mapped[UUID] = mapped_column(ForeignKey(Order.id), index=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id), index=True)
    quantity: Mapped[int]
    price: Mapped[Decimal] = mapped_column(ExactNumeric(10, 2))
    product: Mapped[Product] = relationship()
