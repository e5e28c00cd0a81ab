"""Unions of read schemas, and attributes that a class inherits."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from brickwork import ReadSchema, crud_router
from tests.support.declaring import Base, Refused, declare, model_of, partial, resource_of, schema

refused = Refused()


@pytest.mark.parametrize(("declaration", "remedy"), refused.cases)
def test_an_invalid_declaration_is_rejected(declaration: Callable[[], object], remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declaration()
    assert str(error.value) == remedy


class Being(Base):
    __tablename__ = "beings"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "being"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(20))


class Fish(Being):
    __mapper_args__ = {"polymorphic_identity": "fish"}  # noqa: RUF012

    fins: Mapped[int | None]


class Bird(Being):
    __tablename__ = "birds"
    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Being.id), primary_key=True)
    wings: Mapped[int]


class Shrub(Base):
    __tablename__ = "plants"
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(20))


class Tree(Shrub):
    __mapper_args__ = {"polymorphic_identity": "tree"}  # noqa: RUF012

    height: Mapped[int | None]


class Moss(Shrub):
    __mapper_args__ = {"polymorphic_identity": "moss"}  # noqa: RUF012

    area: Mapped[int | None]


BeingRead = schema("BeingRead", ReadSchema, name=str)
FishRead = schema("FishRead", ReadSchema, name=str, fins=int | None)
BirdRead = schema("BirdRead", ReadSchema, name=str, wings=int)
TreeRead = schema("TreeRead", ReadSchema, height=int | None)
MossRead = schema("MossRead", ReadSchema, area=int | None)
NameCreate = schema("NameCreate", name=str)


def beings(read: Any) -> object:
    """Declare the beings of all classes with the schemas *read*."""
    return declare(Being, read=read, create=NameCreate)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(BeingRead | FishRead | BirdRead, id="all classes"),
        pytest.param(BeingRead | BirdRead, id="a class as its parent"),
        pytest.param(BeingRead, id="one schema"),
        pytest.param(Annotated[BeingRead | FishRead, Field(title="Being")], id="annotated"),
    ],
)
def test_a_union_that_shows_all_rows_is_accepted(read: Any) -> None:
    beings(read)


@refused(
    "read has no schema for rows of Being. Add BeingRead to the union, or map Being with "
    "polymorphic_abstract=True."
)
def a_union_without_the_rows_of_the_parent() -> object:
    return beings(FishRead | BirdRead)


@refused(
    "read has no schema for rows of Bird. Add BirdRead to the union. Give it the field kind: "
    "Literal[…], with the polymorphic_identity of its classes."
)
def a_union_without_the_rows_of_a_subclass() -> object:
    return beings(schema("Any", ReadSchema, kind=Literal["being"]) | FishRead)


@refused(
    "OddRead names Being.kind 'stone', but no mapped class has this polymorphic_identity. Remove "
    "it."
)
def a_union_with_an_unknown_identity() -> object:
    return beings(BeingRead | schema("OddRead", ReadSchema, kind=Literal["stone"]))


@refused(
    "OddRead shows scales, but neither Being nor a subclass has all its attributes. Add it to a "
    "class, or give the field a default."
)
def a_union_with_an_unknown_attribute() -> object:
    return beings(BeingRead | schema("OddRead", ReadSchema, fins=int | None, scales=int))


@refused(
    "BeingRead and OddRead both show Being. Give it the field kind: Literal[…], with the "
    "polymorphic_identity of its classes."
)
def a_union_with_two_schemas_of_one_class() -> object:
    return beings(BeingRead | schema("OddRead", ReadSchema, id=int))


@refused(
    "read is a union of schemas, but Row has no subclasses. Give crud_router one schema. Another "
    "schema for some callers is Resource.read_schema."
)
def a_union_of_a_model_without_subclasses() -> object:
    return declare(model_of(), read=BeingRead | FishRead)


@refused("read is RowRead | None. Give crud_router a class that is a BaseModel.")
def a_union_with_none() -> object:
    return declare(model_of(), read=schema("RowRead", ReadSchema, id=int) | None)


@refused("BirdRead.wings is str, but Bird.wings holds int. Annotate the field with that.")
def a_union_with_a_field_of_another_type() -> object:
    return beings(BeingRead | schema("BirdRead", ReadSchema, wings=str))


@refused(
    "Shrub has no polymorphic_identity, so that a new row has no class. Leave create out, and "
    "create rows by the resource of a subclass."
)
def a_new_row_of_an_abstract_class() -> object:
    return declare(Shrub, read=TreeRead | MossRead, create=NameCreate)


def test_an_abstract_class_without_create_is_accepted() -> None:
    crud_router("/plants", resource_of(Shrub), read=TreeRead | MossRead, update=partial(NameCreate))


@refused(
    "PetRead fits Tree and Moss. Give it the field kind: Literal[…], with the "
    "polymorphic_identity of its classes."
)
def a_union_with_a_schema_of_two_classes() -> object:
    read = schema("PetRead", ReadSchema, same=int)
    for kind in (Tree, Moss):
        kind.same = property(lambda _: 1)
    return crud_router("/plants", resource_of(Shrub), read=read | TreeRead)


class Cage(Base):
    __tablename__ = "cages"

    id: Mapped[int] = mapped_column(primary_key=True)
    being_id: Mapped[int] = mapped_column(ForeignKey(Being.id))
    being: Mapped[Being] = relationship()


@refused(
    "CageRead.being is a union of schemas, but related rows have one. Annotate it with a schema of "
    "Being, or give the union to the crud_router of these rows."
)
def a_union_for_a_related_row() -> object:
    read = schema("CageRead", ReadSchema, being=BeingRead | FishRead)
    return crud_router("/cages", resource_of(Cage), read=read)


# --- Attributes of a parent class -----------------------------------------------------------------


@refused(
    "Bird.name cannot be NULL, and WingCreate has no field for it. Add the field, give the column "
    "a default, or set it in Rows.create."
)
def a_required_column_of_the_parent_class() -> object:
    return declare(Bird, create=schema("WingCreate", wings=int))


@refused(
    "Bird.wings cannot be NULL, and NameCreate has no field for it. Add the field, give the column "
    "a default, or set it in Rows.create."
)
def a_required_column_beside_the_parent_class() -> object:
    return declare(Bird, create=NameCreate)


@refused(
    "BirdRead.fins shows fins, but Bird has no such attribute. Add it to the model, or give the "
    "field a default."
)
def an_attribute_of_a_sibling_class() -> object:
    return declare(
        Bird,
        read=schema("BirdRead", ReadSchema, name=str, fins=int),
        create=schema("BirdCreate", name=str, wings=int),
    )


@refused("Clients cannot set Bird.kind: it names the class of a row. Remove kind from BirdCreate.")
def the_class_of_a_row_in_the_input() -> object:
    return declare(Bird, create=schema("BirdCreate", name=str, wings=int, kind=str))
