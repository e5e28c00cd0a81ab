"""Declarations of association proxies."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship, synonym

from brickwork import Filter, Limit, ListQuery, OneOf, ReadSchema, SortBy, crud_router
from tests.support.declaring import Base, Refused, declare, partial, resource_of, schema

refused = Refused()


@pytest.mark.parametrize(("declaration", "remedy"), refused.cases)
def test_an_invalid_declaration_is_rejected(declaration: Callable[[], object], remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declaration()
    assert str(error.value) == remedy


class Port(Base):
    __tablename__ = "ports"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    depth: Mapped[int | None]
    ships: Mapped[list["Ship"]] = relationship(back_populates="port")
    sailors: AssociationProxy[list[str]] = association_proxy("ships", "sailor_names")

    def close(self) -> None: ...


class Sailor(Base):
    __tablename__ = "sailors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    rank: Mapped[int | None]
    ship_id: Mapped[int] = mapped_column(ForeignKey("ships.id"))


def new_sailor(name: str) -> Sailor:
    return Sailor(name=name)


def new_port(name: str) -> Port:
    return Port(name=name)


def deep_port(depth: int) -> Port:
    return Port(name="", depth=depth)


class Ship(Base):
    __tablename__ = "ships"

    id: Mapped[int] = mapped_column(primary_key=True)
    port_id: Mapped[int] = mapped_column(ForeignKey(Port.id))
    port: Mapped[Port] = relationship(back_populates="ships")
    crew: Mapped[list[Sailor]] = relationship()
    crew_set: Mapped[set[Sailor]] = relationship(viewonly=True)
    viewed: Mapped[list[Sailor]] = relationship(viewonly=True)
    sailor_names: AssociationProxy[list[str]] = association_proxy("crew", "name")
    made_names: AssociationProxy[list[str]] = association_proxy("crew", "name", creator=new_sailor)
    more_names: AssociationProxy[list[str]] = association_proxy("crew", "name", creator=new_sailor)
    ranks: AssociationProxy[list[int | None]] = association_proxy("crew", "rank")
    set_names: AssociationProxy[list[str]] = association_proxy("crew_set", "name")
    viewed_names: AssociationProxy[list[str]] = association_proxy(
        "viewed", "name", creator=new_sailor
    )
    port_name: AssociationProxy[str] = association_proxy("port", "name", creator=new_port)
    port_depth: AssociationProxy[int | None] = association_proxy("port", "depth")
    made_depth: AssociationProxy[int | None] = association_proxy("port", "depth", creator=deep_port)
    harbour_id: Mapped[int] = synonym("port_id")
    port_ships: AssociationProxy[Any] = association_proxy("port", "ships")
    port_flags: AssociationProxy[Any] = association_proxy("port", "flags")


def shown(**fields: Any) -> object:
    """Declare ships with these *fields* in the read schema."""
    return crud_router("/ships", resource_of(Ship), read=schema("ShipRead", ReadSchema, **fields))


def new(omit: Any = ("replace",), **fields: Any) -> object:
    """Declare ships with these *fields* in the create schema."""
    return crud_router(
        "/ships",
        resource_of(Ship),
        read=schema("ShipRead", ReadSchema, id=int),
        create=schema("ShipCreate", **fields),
        omit=omit,
    )


def test_values_of_related_rows_are_accepted() -> None:
    shown(sailor_names=list[str], ranks=list[int | None], port_name=str, port_depth=int | None)
    new(made_names=list[str], port_name=str, made_depth=int)
    new(made_names=list[str], port_id=int)


@refused("ShipRead.sailor_names is str, but Ship.sailor_names is a list. Annotate it list[…].")
def a_value_for_a_list() -> object:
    return shown(sailor_names=str)


@refused("ShipRead.port_name is list[str], but Ship.port_name is one value. Annotate it … | None.")
def a_list_for_a_value() -> object:
    return shown(port_name=list[str])


@refused(
    "ShipRead.sailor_names is list[int], but the values of Ship.sailor_names are str. Annotate "
    "the field with that."
)
def a_list_of_another_type() -> object:
    return shown(sailor_names=list[int])


@refused(
    "ShipRead.ranks is list[int], but the values of Ship.ranks are int or None. Annotate the "
    "field with that."
)
def a_list_without_nulls() -> object:
    return shown(ranks=list[int])


@refused(
    "ShipRead.port_depth is never null, but Ship.port_depth may refer to no row. Annotate it "
    "int | None."
)
def a_value_without_null() -> object:
    return shown(port_depth=int)


@refused("Ship.set_names is not a list. Give the relationship the type list.")
def a_set_of_rows() -> object:
    return shown(set_names=list[str])


@refused(
    "Ship.port_ships leads to Port.ships, which ShipRead.port_ships cannot show. Declare a "
    "property."
)
def a_proxy_to_a_list_of_rows() -> object:
    return shown(port_ships=list[schema("Any", ReadSchema, id=int)])  # type: ignore[misc]


@refused(
    "Ship.port_flags leads to Port.flags, which ShipRead.port_flags cannot show. Declare a "
    "property."
)
def a_proxy_to_an_unknown_attribute() -> object:
    return shown(port_flags=str | None)


@refused("Port.sailors is an association proxy to another proxy. Declare a property.")
def a_proxy_to_another_proxy() -> object:
    read = schema("PortRead", ReadSchema, sailors=list[str])
    return crud_router("/ports", resource_of(Port), read=read)


@refused("ShipRead shows Ship.crew with two limits. Give its fields the same Limit.")
def two_limits_of_one_list() -> object:
    return shown(sailor_names=list[str], ranks=Annotated[list[int | None], Limit(2)])


@refused(
    "Ship.sailor_names cannot make a Sailor of one value. Give the association_proxy a creator: "
    "creator=lambda value: Sailor(name=value)."
)
def a_proxy_without_a_creator() -> object:
    return new(sailor_names=list[str])


@refused(
    "Ship.viewed_names cannot be written. Remove viewed_names from ShipCreate, or write an "
    "endpoint."
)
def a_proxy_of_a_view() -> object:
    return new(viewed_names=list[str])


@refused("Ship.made_names is a list, and never None: annotate ShipCreate.made_names list[…].")
def an_optional_list() -> object:
    return new(made_names=(list[str] | None, None))


@refused(
    "ShipCreate.made_names is list[int], but Ship.made_names holds str. Annotate the field with "
    "that, or add a PlainSerializer that returns it."
)
def an_input_of_another_type() -> object:
    return new(made_names=list[int])


@refused(
    "Ship.made_names is an association proxy, which makes new rows, so that only a POST can set "
    'it, and no PUT. Declare omit={"replace"}, or write an endpoint.'
)
def a_proxy_in_a_put() -> object:
    return new(omit=(), made_names=list[str], port_id=int)


@refused(
    "Ship.made_names is an association proxy, which makes new rows, so that only a POST can set "
    "it, and no PATCH. Remove made_names from RowUpdate, or write an endpoint."
)
def a_proxy_in_a_patch() -> object:
    create = schema("ShipCreate", made_names=list[str], port_id=int)
    return declare(Ship, create=create, update=partial(create), omit={"replace"})


@refused(
    "ShipCreate.made_names and ShipCreate.crew both set the rows of Ship.crew. Remove one of them."
)
def a_proxy_beside_its_rows() -> object:
    item = schema("SailorItem", name=str)
    return new(crew=(list[item], []), made_names=list[str])  # type: ignore[valid-type]


@refused(
    "ShipItem.made_names is an association proxy within PortCreate.ships, which replaces values. "
    "Remove it, or write it by a resource of its own."
)
def a_proxy_within_related_rows() -> object:
    item = schema("ShipItem", made_names=list[str])
    create = schema("PortCreate", name=str, ships=(list[item], []))  # type: ignore[valid-type]
    read = schema("PortRead", ReadSchema, id=int)
    return crud_router("/ports", resource_of(Port), read=read, create=create, omit={"replace"})


def listed(**fields: Any) -> object:
    """Declare a list of ships with these *fields* in its query."""
    return schema("ShipQuery", ListQuery[Ship], **fields)


def test_a_filter_of_one_value_is_accepted() -> None:
    listed(port_name=(str | None, None), port_depth__in=(OneOf[int] | None, None))
    depth: Any = listed(port_depth=(Filter[int], None), crew__name=(Filter[str], None))  # type: ignore[misc]
    assert {"port_depth__lt", "crew__name__in"} < depth.model_fields.keys()
    assert "port_depth__isnull" not in depth.model_fields


@refused(
    "ShipQuery.made_names: Ship.made_names is an association proxy. Call a filter crew__name, and "
    "sort by a column_property. Mark a parameter that filter() reads: Annotated[…, CustomFilter]."
)
def a_filter_of_several_values() -> object:
    return listed(made_names=(str | None, None))


@refused(
    "ShipQuery.port_name__isnull: Ship.port_name is an association proxy: filter the foreign key "
    "with isnull, or call the filter port__name__isnull. Mark a parameter that filter() reads: "
    "Annotated[…, CustomFilter]."
)
def a_filter_of_a_missing_value() -> object:
    return listed(port_name__isnull=(bool | None, None))


@refused(
    "Ship.port_name is an association proxy. Call a filter port__name, and sort by a "
    "column_property."
)
def a_sort_by_a_proxy() -> object:
    return listed(sort=(SortBy[Literal["port_name"]], None))  # type: ignore[misc]


@refused(
    "ShipCreate.made_names and ShipCreate.more_names both set the rows of Ship.crew. Remove one of "
    "them."
)
def two_proxies_to_one_list() -> object:
    return new(made_names=list[str], more_names=list[str], port_id=int)


@refused(
    "ShipCreate.port_name and ShipCreate.port_id both set Ship.port: port_name makes a new Port, "
    "port_id refers to an existing one. Remove one of them, or declare a router for each."
)
def a_proxy_beside_its_foreign_key() -> object:
    return new(port_name=str, port_id=int)


@refused(
    "ShipCreate.port_name and ShipCreate.harbour_id both set Ship.port: port_name makes a new "
    "Port, harbour_id refers to an existing one. Remove one of them, or declare a router for each."
)
def a_proxy_beside_a_synonym_of_its_foreign_key() -> object:
    return new(port_name=str, harbour_id=int)
