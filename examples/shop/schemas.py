"""The schemas of requests and responses."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Ge, Gt, Len

from brickwork import Fields, Filter, Limit, ListQuery, ReadSchema, Schema, Search, SortBy

from .models import Category, Currency, Order, Product, Tag


class CategoryCreate(Schema):
    """A new category."""

    name: Annotated[str, Len(1, 100)]
    parent_id: UUID | None = None


class CategoryUpdate(CategoryCreate, partial=True):
    """Changes to a category."""


class CategoryBrief(ReadSchema):
    """A category in another row."""

    id: UUID
    name: str


class CategoryRead(CategoryBrief):
    """A category with its neighbours in the tree."""

    parent_id: UUID | None
    parent: CategoryBrief | None
    children: Annotated[list[CategoryBrief], Limit(100)]


class CategoryQuery(ListQuery[Category]):
    """The parameters of the categories."""

    parent_id: Filter[UUID] = None
    parent__name: Filter[str] = None
    sort: SortBy[Literal["name"]] = None


class TagCreate(Schema):
    """A new tag."""

    name: Annotated[str, Len(1, 50)]


class TagUpdate(TagCreate, partial=True):
    """Changes to a tag."""


class TagRead(ReadSchema):
    """A tag in a response."""

    id: UUID
    name: str


class TagQuery(ListQuery[Tag]):
    """The parameters of the tags."""

    name: Filter[str] = None
    sort: SortBy[Literal["name"]] = None


class ProductCreate(Schema):
    """A new product."""

    sku: Annotated[str, Len(1, 40)]
    name: Annotated[str, Len(1, 200)]
    price: Annotated[Decimal, Ge(0)]
    currency: Currency = Currency.EUR
    stock: int = 0
    category_id: UUID | None = None
    thumbnail: Annotated[bytes, Len(0, 10_000)] | None = None
    tag_ids: Sequence[UUID] = ()


class ProductUpdate(ProductCreate, partial=True):
    """Changes to a product."""


class ProductRead(ReadSchema):
    """A product in a response."""

    id: UUID
    sku: str
    name: str
    price: Decimal
    currency: Currency
    stock: int
    category_id: UUID | None
    category: CategoryBrief | None
    tag_ids: Annotated[list[UUID], Limit(100)]
    tags: Annotated[list[TagRead], Limit(100)]
    thumbnail: bytes | None
    image_type: str | None
    created_at: datetime
    version: int


class ProductQuery(ListQuery[Product], envelope=True):
    """The parameters of the products."""

    search_fields = ("sku", "name")

    sku: Filter[str] = None
    price: Filter[Decimal] = None
    currency: Filter[Currency] = None
    stock: Filter[int] = None
    category_id: Filter[UUID] = None
    category__name: Filter[str] = None
    tags__name: Filter[str] = None
    q: Search = None
    fields: Fields = None
    sort: SortBy[Literal["name", "price", "created_at"]] = None


class OrderLineInput(Schema):
    """A line of an order in a request."""

    product_id: UUID
    quantity: Annotated[int, Gt(0)]


class OrderCreate(Schema):
    """A new order."""

    customer: Annotated[str, Len(1, 100)]
    lines: Annotated[list[OrderLineInput], Len(1)]


class OrderUpdate(OrderCreate, partial=True):
    """Changes to an order."""


class OrderLineRead(ReadSchema):
    """A line of an order in a response."""

    product_id: UUID
    quantity: int
    price: Decimal


class OrderRead(ReadSchema):
    """An order in a response."""

    id: UUID
    customer: str
    currency: Currency
    total: Decimal
    lines: Annotated[list[OrderLineRead], Limit(100)]
    created_at: datetime
    version: int


class OrderQuery(ListQuery[Order]):
    """The parameters of the orders."""

    customer: Filter[str] = None
    total: Filter[Decimal] = None
    lines__product__sku: Filter[str] = None
    sort: SortBy[Literal["created_at", "total"]] = None
