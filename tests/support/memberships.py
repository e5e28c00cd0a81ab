"""An application with keys of several columns."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, FastAPI, Header
from pydantic import Field
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    Select,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Audited,
    Database,
    Entity,
    Limit,
    ListQuery,
    Model,
    PublishesEvents,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    Versioned,
    crud_router,
    install,
    soft_delete_foreign_key,
)


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class User(Base, Entity):
    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(20))
    memberships: Mapped[list["Membership"]] = relationship(back_populates="user", viewonly=True)


class Group(Base):
    __tablename__ = "groups"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)


class Membership(Base, SoftDelete, Versioned, Audited, PublishesEvents):
    """The usual association: its key is the foreign keys, which the client writes."""

    __tablename__ = "memberships"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    group_code: Mapped[str] = mapped_column(ForeignKey("groups.code"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), default="reader")
    user: Mapped[User] = relationship(viewonly=True)
    remarks: Mapped[list["Remark"]] = relationship(back_populates="membership", viewonly=True)


class Remark(Base, Entity):
    """A remark about a membership, which a soft-deleted membership hides."""

    __tablename__ = "remarks"

    user_id: Mapped[UUID]
    group_code: Mapped[str] = mapped_column(String(20))
    is_hidden: Mapped[bool] = mapped_column(default=False)
    text: Mapped[str] = mapped_column(String(20))
    membership: Mapped[Membership] = relationship(viewonly=True)
    __table_args__ = (soft_delete_foreign_key(("user_id", "group_code"), "is_hidden", Membership),)


class Slot(Base):
    """A slot of a room, with a natural key, and nothing that needs the ORM path."""

    __tablename__ = "slots"

    room: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    seats: Mapped[int | None] = mapped_column(CheckConstraint("seats >= 0", name="seats"))


class Booking(Base, Entity):
    """A booking of a slot, by a foreign key of several columns."""

    __tablename__ = "bookings"

    room: Mapped[int | None]
    day: Mapped[date | None]
    name: Mapped[str] = mapped_column(String(20))
    slot: Mapped[Slot | None] = relationship()
    __table_args__ = (ForeignKeyConstraint(["room", "day"], ["slots.room", "slots.day"]),)


class Label(Base, Versioned):
    """A text in a language, with text keys and aliases."""

    __tablename__ = "labels"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    language: Mapped[str] = mapped_column(String(10), primary_key=True)
    text: Mapped[str] = mapped_column(String(20), unique=True)
    tenant: Mapped[str] = mapped_column(String(10), default="")


class UserCreate(Schema):
    name: str


class UserUpdate(UserCreate, partial=True): ...


class MembershipBrief(ReadSchema):
    group_code: str
    role: str


class UserRead(ReadSchema):
    id: UUID
    name: str
    memberships: Annotated[list[MembershipBrief], Limit(2)]


class GroupCreate(Schema):
    code: str


class GroupUpdate(GroupCreate, partial=True): ...


class GroupRead(ReadSchema):
    code: str


class MembershipCreate(Schema):
    user_id: UUID
    group_code: str
    role: str = "reader"


class MembershipUpdate(MembershipCreate, partial=True): ...


class UserBrief(ReadSchema):
    name: str


class RemarkBrief(ReadSchema):
    text: str


class MembershipRead(ReadSchema):
    user_id: UUID
    group_code: str
    role: str
    version: int
    user: UserBrief
    remarks: Annotated[list[RemarkBrief], Limit(2)]


class MembershipQuery(ListQuery[Membership]):
    user_id: UUID | None = None
    role: str | None = None
    sort: SortBy[Literal["role", "group_code"]] = None


class RemarkCreate(Schema):
    user_id: UUID
    group_code: str
    text: str


class RemarkUpdate(RemarkCreate, partial=True): ...


class RemarkRead(RemarkCreate, ReadSchema):
    id: UUID


class SlotCreate(Schema):
    room: int
    day: date
    title: str
    seats: int | None = None


class SlotUpdate(SlotCreate, partial=True): ...


class SlotRead(ReadSchema):
    room: int
    day: date
    title: str
    seats: int | None


class SlotQuery(ListQuery[Slot]):
    room: int | None = None
    day__gte: date | None = None
    sort: SortBy[Literal["room", "day", "title", "seats"]] = None


class BookingCreate(Schema):
    room: int | None = None
    day: date | None = None
    name: str


class BookingUpdate(BookingCreate, partial=True): ...


class SlotBrief(ReadSchema):
    title: str


class BookingRead(ReadSchema):
    id: UUID
    room: int | None
    day: date | None
    name: str
    slot: SlotBrief | None


class LabelCreate(Schema):
    name: Annotated[str, Field(alias="labelName")]
    language: Annotated[str, Field(alias="label-language")]
    text: str


class LabelUpdate(LabelCreate, partial=True): ...


class LabelRead(ReadSchema):
    name: Annotated[str, Field(alias="labelName")]
    language: Annotated[str, Field(alias="label-language")]
    text: str
    version: int


class Users(Resource[User]): ...


class Groups(Resource[Group]): ...


class Memberships(Resource[Membership]): ...


class Remarks(Resource[Remark]): ...


class Slots(Resource[Slot]):
    allow_upsert = True


class Bookings(Resource[Booking]): ...


class Labels(Resource[Label]):
    """The labels of a tenant."""

    allow_upsert = True
    tenant: Annotated[str, Header()] = ""

    @override
    def query(self) -> Select[Label]:
        return super().query().where(Label.tenant == self.tenant)

    @override
    async def create(self, row: Label, /) -> None:
        row.tenant = self.tenant
        await super().create(row)


class CarefulLabels(Labels):
    require_if_match = True


def _routers() -> Sequence[APIRouter]:
    memberships = crud_router(
        "/memberships",
        Memberships,
        read=MembershipRead,
        create=MembershipCreate,
        update=MembershipUpdate,
        query=MembershipQuery,
    )

    @memberships.get("/{user_id}/groups")
    async def list_groups(user_id: UUID) -> dict[str, Any]:
        return {"groups of": str(user_id)}

    @memberships.post("/{user_id}/{group_code}/greet")
    async def greet(user_id: UUID, group_code: str) -> dict[str, Any]:
        return {"greeted": [str(user_id), group_code]}

    return (
        crud_router("/users", Users, read=UserRead, create=UserCreate, update=UserUpdate),
        crud_router("/groups", Groups, read=GroupRead, create=GroupCreate, update=GroupUpdate),
        memberships,
        crud_router("/remarks", Remarks, read=RemarkRead, create=RemarkCreate, update=RemarkUpdate),
        crud_router(
            "/slots", Slots, read=SlotRead, create=SlotCreate, update=SlotUpdate, query=SlotQuery
        ),
        crud_router(
            "/bookings", Bookings, read=BookingRead, create=BookingCreate, update=BookingUpdate
        ),
        crud_router("/labels", Labels, read=LabelRead, create=LabelCreate, update=LabelUpdate),
        crud_router(
            "/careful-labels",
            CarefulLabels,
            read=LabelRead,
            create=LabelCreate,
            update=LabelUpdate,
        ),
    )


ROUTERS: Final = _routers()
"""The routers of all applications."""


def create_app(url: str) -> FastAPI:
    """Return the application, on the database *url*."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app, cursor_keys=["c" * 32])
    for router in ROUTERS:
        app.include_router(router)
    return app
