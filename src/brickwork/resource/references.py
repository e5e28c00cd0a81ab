"""Checks of references against the scopes of a resource."""

from collections.abc import Iterator, Mapping, Set as AbstractSet
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
from brickwork.query.lookup import selected_model
from brickwork.tracking.changes import stored_values

ReferenceScopes: TypeAlias = Mapping[str, Select[Any]]
"""The rows that attributes may refer to, by the name of the attribute."""

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
    names = {name, _local_attribute(inspect(row).mapper, name)}
    if is_new or any(get_history(row, attribute, _UNLOADED).added for attribute in names):
        yield inspect(row)


def broken_reference(
    session: Session,
    model: type[object],
    name: str,
    referring: AbstractSet[InstanceState[Any]],
    scope: Select[Any],
) -> str | None:
    """Return the attribute of *model* through which a row of *referring* leaves *scope*.

    None if all references are in the scope. *referring* is the result of `new_references` for the
    attribute *name*.
    """
    mapper: Mapper[Any] = inspect(model)
    relationship = _relationship(mapper, name)
    if relationship is not None and relationship.uselist:
        local, key = name, _key_attribute(relationship.mapper)
        wanted = {(state.identity or (None,))[0] for state in referring}
    else:
        local = _local_attribute(mapper, name)
        key = _remote_attribute(mapper, local, inspect(selected_model(scope)).mapper)
        rows = (state.obj() for state in referring)
        wanted = {stored_values(row, [local])[local] for row in rows}
    if not (wanted := wanted - {None}):
        return None
    column = getattr(selected_model(scope), key)
    only = scope.with_only_columns(column, maintain_column_froms=True).order_by(None)
    found = session.scalars(only.where(column.in_(wanted)))
    return None if wanted.issubset(found) else local


def _relationship(mapper: Mapper[Any], name: str) -> RelationshipProperty[Any] | None:
    if name not in mapper.attrs:
        raise TypeError(
            f"reference_scopes() names {name}, which {mapper.class_.__name__} lacks. Name a column "
            "or a relationship of the model."
        )
    found = mapper.attrs[name]
    return found if isinstance(found, RelationshipProperty) else None


def _local_attribute(mapper: Mapper[Any], name: str) -> str:
    """Return the foreign key attribute of *name*, which may be a relationship."""
    if (relationship := _relationship(mapper, name)) is None:
        return name
    own = [column for column in relationship.local_columns if not is_deleted_marker(column)]
    if relationship.direction is not RelationshipDirection.MANYTOONE or len(own) != 1:
        raise TypeError(
            f"reference_scopes() names {mapper.class_.__name__}.{name}, which is not one foreign "
            "key. Name its columns instead."
        )
    return mapper.get_property_by_column(own[0]).key


def _remote_attribute(mapper: Mapper[Any], local: str, target: Mapper[Any]) -> str:
    """Return the attribute of *target* that the foreign key *local* refers to."""
    column: Column[Any] = mapper.columns[local]
    columns = [key.column for key in column.foreign_keys if key.column in target.columns.values()]
    return target.get_property_by_column(columns[0]).key if columns else _key_attribute(target)


def _key_attribute(mapper: Mapper[Any]) -> str:
    return mapper.get_property_by_column(mapper.primary_key[0]).key
