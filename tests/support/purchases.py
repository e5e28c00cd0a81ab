"""Orders with lines and tags, which one request writes."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID

from fastapi import FastAPI, Header
from pydantic import Field
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    UniqueConstraint,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Entity,
    ExactNumeric,
    IsolationLevel,
    KeysOf,
    Limit,
    Limits,
    Model,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    SoftDelete,
    Timestamped,
    Versioned,
    crud_router,
    install,
)
from brickwork.models.model import now
from tests.support.tables import Rows


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class SoldProduct(Base):
    """A product of a seller."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    seller: Mapped[str] = mapped_column(String(10), default="ada")
    price: Mapped[int] = mapped_column(default=1)


class PurchaseTag(Base, SoftDelete):
    """A tag of a seller."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    seller: Mapped[str] = mapped_column(String(10), default="ada")


TAGGED: Final = Table(
    "tagged",
    Base.metadata,
    Column("order_id", Integer, ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True),
)

FOLLOWED: Final = Table(
    "followed",
    Base.metadata,
    Column("order_id", Integer, ForeignKey("orders.id"), primary_key=True),
    Column("person_id", String(10), ForeignKey("people.id"), primary_key=True),
)


class Follower(Base):
    """A follower of orders."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)


class Purchase(Base, Timestamped, Versioned):
    """An order, which owns its lines and refers to tags."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(10), unique=True)
    total: Mapped[int] = mapped_column(default=0)
    lines: Mapped[list["PurchaseLine"]] = relationship(
        cascade="all, delete-orphan", order_by="PurchaseLine.position", back_populates="order"
    )
    notes: Mapped[list["PurchaseNote"]] = relationship()
    tags: Mapped[list[PurchaseTag]] = relationship(secondary=TAGGED, order_by=PurchaseTag.id)
    people: Mapped[list[Follower]] = relationship(secondary=FOLLOWED)


class PurchaseLine(Base):
    """A line of an order."""

    __tablename__ = "lines"
    __table_args__ = (
        UniqueConstraint("order_id", "product_id"),
        CheckConstraint("quantity <> 13", name="lucky"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    position: Mapped[int] = mapped_column(default=0)
    quantity: Mapped[int] = mapped_column(default=1)
    serial: Mapped[str | None] = mapped_column(String(5), unique=True)
    discount: Mapped[Decimal | None] = mapped_column(ExactNumeric(5, 2))
    order: Mapped[Purchase] = relationship(back_populates="lines")
    product: Mapped[SoldProduct] = relationship()


class PurchaseNote(Base, SoftDelete):
    """A note on an order, which stays when it is left out."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    text: Mapped[str] = mapped_column(String(20))


class LineBody(Schema):
    product_id: int = Field(alias="productId")
    position: int = 0
    quantity: Annotated[int, Field(ge=1)] = 1
    serial: str | None = None
    discount: Decimal | None = None


class LineChange(LineBody):
    id: int | None = None


class NoteBody(Schema):
    text: str


class OrderCreate(Schema):
    number: str
    lines: list[LineBody] = Field(default_factory=list[LineBody])
    notes: list[NoteBody] = Field(default_factory=list[NoteBody])
    tag_ids: list[int] = Field(default_factory=list[int])
    follower_ids: Annotated[list[str], KeysOf("people")] = Field(default_factory=list[str])


class OrderUpdate(Schema, partial=True):
    number: str
    lines: list[LineChange]
    notes: list[NoteBody]
    tag_ids: list[int]
    follower_ids: Annotated[list[str], KeysOf("people")]


class ProductRead(ReadSchema):
    id: int
    price: int


class LineRead(ReadSchema):
    id: int
    product_id: int = Field(serialization_alias="productId")
    position: int
    quantity: int
    serial: str | None
    discount: Decimal | None
    product: ProductRead


class NoteRead(ReadSchema):
    text: str


class TagRead(ReadSchema):
    id: int


class OrderRead(ReadSchema):
    id: int
    number: str
    total: int
    version: int
    lines: Annotated[list[LineRead], Limit(100)]
    notes: Annotated[list[NoteRead], Limit(100)]
    tags: Annotated[list[TagRead], Limit(100)]
    tag_ids: Annotated[list[int], Limit(100)]
    follower_ids: Annotated[list[str], KeysOf("people"), Limit(100)]
    updated_at: datetime


class PlainOrderRead(ReadSchema):
    id: int
    number: str


class Orders(Resource[Purchase]):
    """Orders as declared, with no override."""


class SellerOrders(Resource[Purchase]):
    """Orders with the products and tags of one seller, and with numbers that begin with theirs."""

    seller: Annotated[str, Header()]

    @override
    def query(self) -> Select[Purchase]:
        return super().query().where(Purchase.number.startswith(self.seller[0]))

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {
            "lines.product_id": select(SoldProduct).where(SoldProduct.seller == self.seller),
            "tags": select(PurchaseTag).where(PurchaseTag.seller == self.seller),
        }


class Basket(Base, Entity):
    """A basket without a version, whose items the database removes with it."""

    __tablename__ = "baskets"

    items: Mapped[list["BasketItem"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="BasketItem.id"
    )


class BasketItem(Base, Entity):
    """An item of a basket."""

    __tablename__ = "items"

    basket_id: Mapped[UUID] = mapped_column(ForeignKey("baskets.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(10))
    marks: Mapped[list["ItemMark"]] = relationship(cascade="all, delete-orphan")


class ItemMark(Base, Entity):
    """A mark on an item, which goes with it."""

    __tablename__ = "item_marks"

    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id"))


class ItemBody(Schema):
    id: UUID | None = None
    name: str


class BasketCreate(Schema):
    items: list[ItemBody]


class BasketUpdate(BasketCreate, partial=True): ...


class ItemRead(ReadSchema):
    id: UUID
    name: str


class BasketRead(ReadSchema):
    id: UUID
    items: Annotated[list[ItemRead], Limit(100)]


class Baskets(Resource[Basket]):
    """Baskets as declared, with no override."""


orders = crud_router("/orders", Orders, read=OrderRead, create=OrderCreate, update=OrderUpdate)
seller_orders = crud_router(
    "/seller-orders", SellerOrders, read=OrderRead, create=OrderCreate, update=OrderUpdate
)
plain_orders = crud_router(
    "/plain-orders", Orders, read=PlainOrderRead, create=OrderCreate, update=OrderUpdate
)
baskets = crud_router(
    "/baskets", Baskets, read=BasketRead, create=BasketCreate, update=BasketUpdate
)

ROWS: Final[Rows] = {
    SoldProduct: [{"id": n, "seller": "ada" if n < 9 else "bob"} for n in range(1, 10)],
    PurchaseTag: [
        {"id": n, "seller": "ada" if n < 6 else "bob", "deleted_at": now() if n == 5 else None}
        for n in range(1, 7)
    ],
    Follower: [{"id": "bob"}, {"id": "cleo"}],
}
"""Products 1 to 8 and tags 1 to 5 are of ada, and tag 5 is deleted; the others are of bob."""


def create_app(url: str, isolation: IsolationLevel | None = None, **limits: int) -> FastAPI:
    """Create an application with all resources here."""
    app = FastAPI(lifespan=Database(url, isolation_level=isolation).lifespan)
    install(app, limits=Limits(**limits))
    for router in (orders, seller_orders, plain_orders, baskets):
        app.include_router(router)
    return app
