"""References of written rows to rows of a scope."""

from collections.abc import Iterator, Mapping, Set as AbstractSet
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Column, Select, inspect
from sqlalchemy.orm import (
    DeclarativeBase,
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
"""By the attribute that refers, the rows that it may refer to."""

_UNLOADED: Final = PassiveFlag.PASSIVE_NO_INITIALIZE | PassiveFlag.INCLUDE_PENDING_MUTATIONS
"""How the history of an attribute is asked for: nothing is loaded, and no addition is lost."""


def new_references(
    row: DeclarativeBase, name: str, *, is_new: bool
) -> Iterator[InstanceState[Any]]:
    """Yield the rows that tell what *row* newly refers to by its attribute *name*.

    These are the rows that were added to a collection, else *row* itself, for its foreign key. The
    session forgets the difference when a flush ends.
    """
    relationship = _relationship(inspect(row).mapper, name)
    if relationship is not None and relationship.uselist:
        yield from map(inspect, get_history(row, name, _UNLOADED).added or ())
        return
    names = {name, _local(inspect(row).mapper, name)}
    if is_new or any(get_history(row, each, _UNLOADED).added for each in names):
        yield inspect(row)


def broken_reference(
    session: Session,
    model: type[DeclarativeBase],
    name: str,
    referring: AbstractSet[InstanceState[Any]],
    scope: Select[Any],
) -> str | None:
    """Return the attribute of *model* to blame if one of *referring* leads out of *scope*.

    *referring* are what the function of that name has found for the attribute *name*.
    """
    mapper: Mapper[Any] = inspect(model)
    relationship = _relationship(mapper, name)
    if relationship is not None and relationship.uselist:
        local, key = name, _key(relationship.mapper)
        wanted = {(each.identity or (None,))[0] for each in referring}
    else:
        local = _local(mapper, name)
        key = _remote(mapper, local, inspect(selected_model(scope)).mapper)
        rows = (cast("DeclarativeBase", each.obj()) for each in referring)
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
            f"reference_scopes() names {name}, which {mapper.class_.__name__} does not have: name "
            "a column or a relationship of the model."
        )
    found = mapper.attrs[name]
    return found if isinstance(found, RelationshipProperty) else None


def _local(mapper: Mapper[Any], name: str) -> str:
    """Return the attribute of the foreign key that *name* is, or that its relationship uses."""
    if (relationship := _relationship(mapper, name)) is None:
        return name
    own = [each for each in relationship.local_columns if not is_deleted_marker(each)]
    if relationship.direction is not RelationshipDirection.MANYTOONE or len(own) != 1:
        raise TypeError(
            f"reference_scopes() names {mapper.class_.__name__}.{name}, which is not one foreign "
            "key: name its columns."
        )
    return mapper.get_property_by_column(own[0]).key


def _remote(mapper: Mapper[Any], local: str, target: Mapper[Any]) -> str:
    """Return the attribute of *target* that the foreign key *local* refers to."""
    column: Column[Any] = mapper.columns[local]
    others = [each.column for each in column.foreign_keys]
    known = [each for each in others if each in target.columns.values()]
    return target.get_property_by_column(known[0]).key if known else _key(target)


def _key(mapper: Mapper[Any]) -> str:
    return mapper.get_property_by_column(mapper.primary_key[0]).key
