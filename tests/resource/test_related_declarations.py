"""Declarations of related rows that are refused."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import pytest
from pydantic import Field
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    KeysOf,
    Limit,
    Model,
    NotStored,
    ReadSchema,
    Resource,
    Schema,
    apply_changes,
    crud_router,
)
from tests.support.declaring import Refused, partial, schema


class Base(Model):
    """The base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


MARKED: Final = Table(
    "marked",
    Base.metadata,
    Column("wagon_id", Integer, ForeignKey("wagons.id"), primary_key=True),
    Column("mark_id", Integer, ForeignKey("marks.id"), primary_key=True),
)


class Mark(Base):
    """A mark on wagons."""

    __tablename__ = "marks"

    id: Mapped[int] = mapped_column(primary_key=True)


class Driver(Base):
    """A driver of wagons."""

    __tablename__ = "drivers"

    id: Mapped[int] = mapped_column(primary_key=True)


class Wagon(Base):
    """A wagon with wheels."""

    __tablename__ = "wagons"

    id: Mapped[int] = mapped_column(primary_key=True)
    driver_id: Mapped[int | None] = mapped_column(ForeignKey("drivers.id"))
    driver: Mapped[Driver | None] = relationship()
    wheels: Mapped[list["Wheel"]] = relationship(cascade="all, delete-orphan", viewonly=False)
    plain: Mapped[list["Wheel"]] = relationship(overlaps="wheels")
    seen: Mapped[list["Wheel"]] = relationship(viewonly=True)
    dynamic: Mapped[list["Wheel"]] = relationship(lazy="write_only", overlaps="wheels,plain")
    marks: Mapped[list[Mark]] = relationship(secondary=MARKED)
    categories: Mapped[list[Mark]] = relationship(secondary=MARKED, overlaps="marks")


class Wheel(Base):
    """A wheel of a wagon."""

    __tablename__ = "wheels"

    id: Mapped[int] = mapped_column(primary_key=True)
    wagon_id: Mapped[int] = mapped_column(ForeignKey("wagons.id"))
    size: Mapped[int]
    label: Mapped[str | None] = mapped_column(String(5))
    spokes: Mapped[list["Spoke"]] = relationship(cascade="all, delete-orphan")


class Spoke(Base):
    """A spoke of a wheel."""

    __tablename__ = "spokes"

    id: Mapped[int] = mapped_column(primary_key=True)
    wheel_id: Mapped[int] = mapped_column(ForeignKey("wheels.id"))


class Wagons(Resource[Wagon]):
    """Wagons as declared."""


WheelIn: Any = schema("WheelIn", size=int)


def wagons(
    read: Mapping[str, Any] | None = None, omit: Sequence[Any] = (), **fields: Any
) -> object:
    create = schema("WagonCreate", **fields)
    shown = schema("WagonRead", ReadSchema, id=int, **(read or {}))
    return crud_router(
        "/wagons",
        Wagons,
        read=shown,
        create=create,
        update=partial(create, "WagonUpdate"),
        omit=omit,
    )


refused = Refused()


@pytest.mark.parametrize(
    "fields",
    [
        {"wheels": list[WheelIn]},
        {"mark_ids": list[int]},
        {"category_ids": list[int]},
        {"others": Annotated[list[int], KeysOf("marks")]},
        {"wheels": list[schema("WheelIn", id=int | None, size=int)]},  # type: ignore[misc]
        {"wheels": list[schema("WheelIn", id=int, size=int)]},  # type: ignore[misc]
    ],
    ids=["rows", "keys", "irregular_keys", "named_keys", "keyed_rows", "rows_with_own_keys"],
)
def test_a_valid_declaration_is_accepted(fields: Mapping[str, Any]) -> None:
    assert wagons(**fields)


def test_rows_that_are_only_created_need_no_cascade() -> None:
    assert wagons(None, ("update", "update_batch", "replace"), plain=list[WheelIn])


@refused(
    "WagonCreate.plain replaces the rows of Wagon.plain, but it does not say what happens to rows "
    'that are left out. Give the relationship cascade="all, delete-orphan", let Wheel inherit from '
    "SoftDelete, or omit update, update_batch and replace."
)
def rows_that_cannot_be_removed() -> object:
    return wagons(plain=list[WheelIn])


@refused(
    "Wagon.seen is viewonly, so that WagonCreate.seen cannot set it. Declare another relationship "
    "to the same rows, or write an endpoint of your own."
)
def rows_of_a_relationship_without_writes() -> object:
    return wagons(seen=list[WheelIn])


@refused(
    "Wagon.dynamic is write_only, so that WagonCreate.dynamic cannot set it. Declare another "
    "relationship to the same rows, or write an endpoint of your own."
)
def rows_that_are_never_loaded() -> object:
    return wagons(dynamic=list[WheelIn])


@refused(
    "WagonCreate.wheels may be null, but Wagon.wheels is a list that is never null. Annotate it "
    "list[WheelIn]; [] has no rows."
)
def rows_that_may_be_null() -> object:
    return wagons(wheels=list[WheelIn] | None)


@refused(
    "WagonCreate.wheels is not a list, but Wagon.wheels is a list that is never null. Annotate it "
    "list[WheelIn]; [] has no rows."
)
def one_of_many_rows() -> object:
    return wagons(wheels=WheelIn)


@refused(
    "WagonCreate.wheels is None by default, but Wagon.wheels is a list. Give the field the "
    "default [], or make it required."
)
def rows_without_a_default() -> object:
    return wagons(wheels=(list[WheelIn], None))


@refused(
    "WagonCreate.mark_ids has a default that its own annotation rejects. Give the field the "
    "default [], or make it required."
)
def keys_with_an_invalid_default() -> object:
    return wagons(mark_ids=(list[int], "x"))


@refused(
    "WagonCreate.wheels takes other items than WheelIn, but each is a row of Wagon.wheels. "
    "Annotate it list[WheelIn]."
)
def rows_or_null() -> object:
    return wagons(wheels=list[WheelIn | None])


@refused(
    "WagonCreate.wheels takes other items than WheelIn, but each is a row of Wagon.wheels. "
    "Annotate it list[WheelIn]."
)
def rows_of_two_schemas() -> object:
    other: Any = schema("OtherWheelIn", size=int, label=str)
    return wagons(wheels=list[WheelIn | other])


@refused(
    "WagonCreate.wheels takes other items than WheelIn, but each is a row of Wagon.wheels. "
    "Annotate it list[WheelIn]."
)
def rows_in_lists_of_lists() -> object:
    return wagons(wheels=list[list[WheelIn]])


@refused("WheelIn.id is no key of Wheel. Annotate it int | None.")
def rows_with_a_key_of_another_type() -> object:
    return wagons(wheels=list[schema("WheelIn", id=str | None, size=int)])  # type: ignore[misc]


@refused(
    "WagonCreate.mark_ids and marked both set Wagon.marks, so that one list would be lost. Remove "
    "one of them."
)
def keys_of_one_relationship_in_two_fields() -> object:
    return wagons(mark_ids=list[int], marked=Annotated[list[int], KeysOf("marks")])


@refused(
    "Wagon.marks is a many-to-many relationship, whose rows belong to no row alone. Take their "
    "keys instead: mark_ids: list[int]."
)
def rows_of_a_many_to_many_relationship() -> object:
    return wagons(marks=list[schema("MarkIn")])  # type: ignore[misc]


@refused("WheelIn.wagon_id refers to the row around it, which Wagon.wheels sets. Remove it.")
def rows_with_the_key_of_their_owner() -> object:
    return wagons(wheels=list[schema("WheelIn", size=int, wagon_id=int)])  # type: ignore[misc]


@refused(
    "Wheel.size cannot be NULL, and WheelIn has no field for it. Add the field, or give the column "
    "a default."
)
def rows_without_a_required_value() -> object:
    return wagons(wheels=list[schema("WheelIn", label=str)])  # type: ignore[misc]


@refused(
    "WheelIn has colour, but Wheel does not. Add that attribute to the model, or mark the field "
    "with NotStored, or write your own endpoint."
)
def rows_with_an_unknown_field() -> object:
    return wagons(wheels=list[schema("WheelIn", size=int, colour=str)])  # type: ignore[misc]


@refused(
    "WheelIn.spokes has related rows within WagonCreate.wheels. Remove it: they are written by a "
    "resource of their own."
)
def rows_within_rows() -> object:
    spokes: Any = list[schema("SpokeIn")]  # type: ignore[misc]
    return wagons(wheels=list[schema("WheelIn", size=int, spokes=spokes)])  # type: ignore[misc]


@refused(
    "WheelIn.secret is NotStored within WagonCreate.wheels, where no code reads it. Remove it."
)
def rows_with_a_field_without_a_column() -> object:
    secret = Annotated[str, NotStored()]
    return wagons(wheels=list[schema("WheelIn", size=int, secret=secret)])  # type: ignore[misc]


@refused(
    "WheelPatch is partial, but WagonCreate.wheels has whole rows. Give it the schema that it "
    "inherits from."
)
def rows_of_a_partial_schema() -> object:
    return wagons(wheels=list[partial(WheelIn, "WheelPatch")])  # type: ignore[misc]


@refused(
    "mark_ids has KeysOf('tags'), but Wagon has no such relationship. Add it, or name another."
)
def keys_of_an_unknown_relationship() -> object:
    return wagons(mark_ids=Annotated[list[int], KeysOf("tags")])


@refused("WagonCreate.mark_ids is no list of keys of Mark. Annotate it list[int].")
def keys_of_another_type() -> object:
    return wagons(mark_ids=list[UUID])


@refused(
    "Wagon.wheels is no many-to-many relationship, so that WagonCreate.wheel_ids cannot set its "
    "rows. Set the foreign key of the other rows instead."
)
def keys_of_rows_that_belong_to_a_row() -> object:
    return wagons(wheel_ids=list[int])


@refused("WagonRead.mark_ids shows keys of Mark. Annotate it Annotated[list[int], Limit(100)].")
def shown_keys_of_another_type() -> object:
    return wagons({"mark_ids": Annotated[list[str], Limit(2)]})


@refused(
    "WagonRead.mark_ids has no limit: annotate it Annotated[list[…], Limit(10)] for ten rows at "
    "most. Within a related row, leave the list out."
)
def shown_keys_without_a_limit() -> object:
    return wagons({"mark_ids": list[int]})


@refused(
    "WagonRead.driver_id shows keys, so that neither Wagon nor an alias may name another "
    "attribute. Rename the field, with a serialization_alias."
)
def shown_keys_with_the_name_of_a_column() -> object:
    return wagons({"driver_id": Annotated[list[int], KeysOf("marks"), Limit(2)]})


@refused("DriverRead.wagon_ids is a list within a related row, which has no limit. Remove it.")
def shown_keys_within_a_related_row() -> object:
    keys = Annotated[list[int], KeysOf("wagons"), Limit(2)]
    Driver.wagons = relationship(Wagon, viewonly=True)
    return wagons({"driver": schema("DriverRead", ReadSchema, wagon_ids=keys) | None})


@refused(
    "WagonCreate.secret is NotStored, but no code reads it. Override create, which reads it with "
    "validated_data, or remove the field."
)
def a_field_without_a_column_or_a_reader() -> object:
    return wagons(secret=Annotated[str, NotStored()])


class FilledWagons(Resource[Wagon]):
    """Wagons that fill new rows."""

    @override
    async def create(self, row: Wagon, /) -> None:
        await super().create(row)


@refused(
    "WagonCreate.secret is NotStored, but no code reads it. Override update, which reads it with "
    "validated_data, or remove the field."
)
def a_field_that_a_put_does_not_read() -> object:
    create = schema("WagonCreate", secret=Annotated[str, NotStored()])
    read = schema("WagonRead", ReadSchema, id=int)
    return crud_router("/wagons", FilledWagons, read=read, create=create)


@refused(
    "WagonCreate.driver_id is NotStored, but Wagon stores driver_id. Rename the field, or remove "
    "the mark."
)
def a_column_that_is_not_stored() -> object:
    create = schema("WagonCreate", driver_id=Annotated[int, NotStored()])
    read = schema("WagonRead", ReadSchema, id=int)
    return crud_router("/wagons", FilledWagons, read=read, create=create, omit=["replace"])


def test_apply_changes_writes_no_related_rows() -> None:
    body: Any = schema("WagonPatch", wheels=list[WheelIn])
    with pytest.raises(TypeError, match="apply_changes does not write wheels, which has related"):
        apply_changes(Wagon(), body(wheels=[]))


def test_a_schema_cannot_contain_itself() -> None:
    class WheelWithin(Schema):
        wheels: "list[WheelWithin]"

    with pytest.raises(TypeError, match="contains itself"):
        wagons_of(WheelWithin)


def wagons_of(create: type[Schema]) -> object:
    read = schema("WagonRead", ReadSchema, id=int)
    return crud_router("/wagons", Wagons, read=read, create=create)


@refused(
    "WheelRead.label is never null, but a request can leave Wheel.label NULL. Annotate it "
    "str | None."
)
def a_shown_value_that_a_new_row_lacks() -> object:
    wheel = schema("WheelRead", ReadSchema, label=str)
    return wagons({"wheels": Annotated[list[wheel], Limit(2)]}, wheels=list[WheelIn])  # type: ignore[valid-type]


@refused(
    "WheelRead.size is narrower than WheelIn.size: a request could store a value that no response "
    "can show. Declare both alike."
)
def a_shown_value_that_is_narrower_than_an_item() -> object:
    wheel = schema("WheelRead", ReadSchema, size=Annotated[int, Field(ge=1)])
    return wagons({"wheels": Annotated[list[wheel], Limit(2)]}, wheels=list[WheelIn])  # type: ignore[valid-type]


@pytest.mark.parametrize(("declaration", "remedy"), refused.cases)
def test_an_invalid_declaration_is_rejected(declaration: Callable[[], object], remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declaration()
    assert str(error.value) == remedy
