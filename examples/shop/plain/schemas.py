"""The schemas of the shop by hand."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .models import Currency

Price = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]
Stock = Annotated[int, Field(ge=0, le=2**31 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ShortName = Annotated[str, Field(min_length=1, max_length=100)]
Sku = Annotated[str, Field(min_length=1, max_length=40)]
Thumbnail = Annotated[bytes, Field(max_length=10_000)]


class Input(BaseModel):
    """Base of bodies and queries."""

    model_config = ConfigDict(extra="forbid", val_json_bytes="base64")


class Output(BaseModel):
    """Base of responses."""

    model_config = ConfigDict(ser_json_bytes="base64", from_attributes=True)

    id: UUID


class CategoryCreate(Input):
    """A new category."""

    name: ShortName
    parent_id: UUID | None = None


class CategoryUpdate(Input):
    """Changes to a category."""

    name: ShortName = ""
    parent_id: UUID | None = None


class CategoryBrief(Output):
    """A category in another row."""

    name: str


class CategoryRead(CategoryBrief):
    """A category with its neighbours in the tree."""

    parent_id: UUID | None
    parent: CategoryBrief | None
    children: list[CategoryBrief]


class TagCreate(Input):
    """A new tag, or the new name of a tag."""

    name: Annotated[str, Field(min_length=1, max_length=50)]


class TagRead(Output):
    """A tag in a response."""

    name: str


class ProductCreate(Input):
    """A new product."""

    sku: Sku
    name: Name
    price: Price
    currency: Currency = Currency.EUR
    stock: Stock = 0
    category_id: UUID | None = None
    thumbnail: Thumbnail | None = None
    tag_ids: list[UUID] = Field(default_factory=list[UUID], max_length=100)


class ProductUpdate(Input):
    """Changes to a product."""

    sku: Sku = ""
    name: Name = ""
    price: Price = Decimal(0)
    currency: Currency = Currency.EUR
    stock: Stock = 0
    category_id: UUID | None = None
    thumbnail: Thumbnail | None = None
    tag_ids: list[UUID] = Field(default_factory=list[UUID], max_length=100)


class ProductRead(Output):
    """A product in a response."""

    sku: str
    name: str
    price: Decimal
    currency: Currency
    stock: int
    category_id: UUID | None
    category: CategoryBrief | None
    tags: list[TagRead]
    thumbnail: bytes | None
    image_type: str | None
    created_at: datetime


class PageQuery(Input):
    """The parameters of every list."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)


class CategoryQuery(PageQuery):
    """The parameters of the categories."""

    parent_id: UUID | None = None
    parent__name: str | None = None


class ProductQuery(PageQuery):
    """The parameters of the products."""

    sku: str | None = None
    price__gte: Decimal | None = None
    price__lte: Decimal | None = None
    currency: Currency | None = None
    category_id: UUID | None = None
    category__name: str | None = None
    tags__name: str | None = None
    q: str | None = Field(default=None, max_length=200)
    sort: Literal["name", "-name", "price", "-price"] | None = None


class ProductPage(BaseModel):
    """A page of products."""

    items: list[ProductRead]
    total: int


class OrderLineInput(Input):
    """A line of an order in a request."""

    product_id: UUID
    quantity: int = Field(gt=0, le=2**31 - 1)


class OrderCreate(Input):
    """A new order."""

    customer: ShortName
    lines: list[OrderLineInput] = Field(min_length=1, max_length=100)


class OrderLineRead(BaseModel):
    """A line of an order in a response."""

    model_config = ConfigDict(from_attributes=True)

    product_id: UUID
    quantity: int
    price: Decimal


class OrderRead(Output):
    """An order in a response."""

    customer: str
    currency: Currency
    total: Decimal
    lines: list[OrderLineRead]
    created_at: datetime


class OrderQuery(PageQuery):
    """The parameters of the orders."""

    customer: str | None = None
    total__gte: Decimal | None = None
