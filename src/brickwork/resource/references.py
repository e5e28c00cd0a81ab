"""Checks of references against the scopes of a resource."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, Select, inspect
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    PassiveFlag,
    RelationshipDirection,
    RelationshipProperty,
    Session,
)
from sqlalchemy.orm.attributes import get_history

from brickwork.models.model import is_deleted_marker
from brickwork.query.keys import primary_key, row_value, unwrap
from brickwork.query.lookup import selected_model
from brickwork.tracking.changes import stored_values

ReferenceScopes: TypeAlias = Mapping[str, Select[Any]]
"""The rows that attributes may refer to, by the name of the attribute.

The foreign key of rows that a request writes within a row has the name `lines.product_id`.
"""

_UNLOADED: Final = PassiveFlag.PASSIVE_NO_INITIALIZE | PassiveFlag.INCLUDE_PENDING_MUTATIONS
"""Flags for reading the history of an attribute without loading it or losing additions."""


def new_references(row: object, name: str, *, is_new: bool) -> Iterator[InstanceState[Any]]:
    """Yield the rows that hold the new references of *row* in its attribute *name*.

    These are the rows that were added to a collection, else *row* itself, for its foreign key. Call
    it during the flush, because the session then discards the history.
    """
    relationship = _relationship(inspect(row).mapper, name)
    if relationship is not None and relationship.uselist:
        yield from map(inspect, get_history(row, name, _UNLOADED).added or ())
        return
    names = {name, *_reference(inspect(row).mapper, name, None)}
    if is_new or any(get_history(row, attribute, _UNLOADED).added for attribute in names):
        yield inspect(row)


def own_scopes(scopes: ReferenceScopes, mapper: Mapper[Any]) -> Iterator[str]:
    """Yield the names of *scopes* for a row itself. Raises `TypeError` for a wrong name."""
    for name in scopes:
        outer, _, _ = name.partition(".")
        _relationship(mapper, outer)
        if outer == name:
            yield name


def nested_scopes(scopes: ReferenceScopes, relationship: str) -> Iterator[tuple[str, str]]:
    """Yield the names of *scopes* for the rows of *relationship*, and their attributes."""
    for name in scopes:
        outer, _, attribute = name.partition(".")
        if attribute and outer == relationship:
            yield name, attribute


def broken_references(
    session: Session,
    model: type[object],
    name: str,
    referring: AbstractSet[InstanceState[Any]],
    scope: Select[Any],
) -> tuple[Sequence[str], AbstractSet[InstanceState[Any]]]:
    """Return the rows of *referring* that leave *scope*, and the attributes of *model* that do.

    *referring* is the result of `new_references` for the attribute *name*.
    """
    mapper: Mapper[Any] = inspect(model)
    relationship = _relationship(mapper, name)
    local: Sequence[str]
    remote: Sequence[str]
    wanted: dict[InstanceState[Any], tuple[Any, ...]]
    if relationship is not None and relationship.uselist:
        local, remote = [name], _key_names(relationship.mapper)
        wanted = {state: state.identity for state in referring if state.identity}
    else:
        reference = _reference(mapper, name, inspect(selected_model(scope)).mapper)
        local, remote = [*reference], [*reference.values()]
        held = ((state, stored_values(state.obj(), local)) for state in referring)
        values = ((state, tuple(own[key] for key in local)) for state, own in held)
        wanted = {state: of_row for state, of_row in values if None not in of_row}
    if not wanted:
        return local, set()
    columns: Any = [getattr(selected_model(scope), key) for key in remote]
    only = scope.with_only_columns(*columns, maintain_column_froms=True).order_by(None)
    keys = [*map(unwrap, {*wanted.values()})]
    found = {tuple(row) for row in session.execute(only.where(row_value(columns).in_(keys)))}
    return local, {state for state, of_row in wanted.items() if of_row not in found}


def _relationship(mapper: Mapper[Any], name: str) -> RelationshipProperty[Any] | None:
    if name not in mapper.attrs:
        raise TypeError(
            f"reference_scopes() names {name}, which {mapper.class_.__name__} lacks. Name a column "
            "or a relationship of the model."
        )
    found = mapper.attrs[name]
    return found if isinstance(found, RelationshipProperty) else None


def _reference(mapper: Mapper[Any], name: str, target: Mapper[Any] | None) -> Mapping[str, str]:
    """Return the foreign key attributes of *name*, and the attributes of *target* they refer to.

    *name* is a column of the foreign key, or its relationship. A foreign key of several columns is
    one reference. None as the *target* stands for the targets of all foreign keys of *name*.
    """
    if (relationship := _relationship(mapper, name)) is not None:
        pairs = [
            (own, remote)
            for own, remote in relationship.local_remote_pairs or ()
            if isinstance(own, Column) and not is_deleted_marker(own)
        ]
        if relationship.direction is not RelationshipDirection.MANYTOONE or not pairs:
            raise TypeError(
                f"reference_scopes() names {mapper.class_.__name__}.{name}, which is not one "
                "foreign key. Name its columns instead."
            )
        goal: Mapper[Any] = relationship.mapper
        return {_attribute(mapper, own): _attribute(goal, remote) for own, remote in pairs}
    column: Column[Any] = mapper.columns[name]
    keys = [key.constraint for key in column.foreign_keys if key.constraint is not None]
    own_keys = [
        {
            _attribute(mapper, element.parent): element.column
            for element in key.elements
            if not is_deleted_marker(element.parent)
            and mapper.columns.contains_column(element.parent)
        }
        for key in keys
    ]
    if target is None:
        return {attribute: "" for key in own_keys for attribute in key} or {name: ""}
    for key in own_keys:
        if all(target.columns.contains_column(remote) for remote in key.values()):
            return {own: _attribute(target, remote) for own, remote in key.items()}
    return {name: _key_names(target)[0]}


def _attribute(mapper: Mapper[Any], column: Any) -> str:
    return mapper.get_property_by_column(column).key


def _key_names(mapper: Mapper[Any]) -> Sequence[str]:
    model: type[object] = mapper.class_
    return primary_key(model).names
