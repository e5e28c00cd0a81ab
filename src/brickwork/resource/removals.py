"""Removals: the database decides about references to removed rows."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.unitofwork import UOWTransaction

from brickwork.database.unit_of_work import unit_of_work
from brickwork.sqlalchemy_internals import set_flush_history

_UNLOADED: Final = {"dynamic", "write_only"}
"""Loading strategies of relationships that keep no rows."""


def leave_references_to_database(session: AsyncSession) -> None:
    """Leave references to rows that *session* removes to the database.

    SQLAlchemy would set them to NULL if a relationship has no cascade. Then a foreign key could
    neither prevent the removal nor apply its ON DELETE.
    """
    unit_of_work(session).leaves_references = True


def keep_references(session: Session, context: UOWTransaction, *_: object) -> None:
    """Keep SQLAlchemy from clearing references to removed rows. A hook of `before_flush`."""
    removed = [*session.deleted] if unit_of_work(session).leaves_references else []
    for row in removed:
        for relationship, kept in _cleared_relationships(row, removed):
            key = relationship.key
            if relationship.lazy in _UNLOADED:
                set_flush_history(context, row, key, kept)
            else:
                value = kept if relationship.uselist else next(iter(kept), None)
                set_committed_value(row, key, value)


def _cleared_relationships(
    row: object, removed: Sequence[object]
) -> Iterator[tuple[RelationshipProperty[Any], list[object]]]:
    """Yield the relationships that SQLAlchemy would clear for *row*, and the rows they keep.

    They keep other *removed* rows, which must be deleted before *row*. A relationship that the
    application changed itself is not yielded.
    """
    state = inspect(row, raiseerr=True)
    for relationship in state.mapper.relationships:
        history = state.attrs[relationship.key].history
        changed = history.added or history.deleted
        if relationship.viewonly or relationship.cascade.delete or changed:
            continue
        if relationship.direction is RelationshipDirection.ONETOMANY:
            others = (other for other in removed if other is not row)
            yield relationship, [other for other in others if _refers(other, row, relationship)]
        elif relationship.direction is RelationshipDirection.MANYTOONE and _refers(
            row, row, relationship
        ):
            yield relationship, []


def _refers(other: object, row: object, by: RelationshipProperty[Any]) -> bool:
    """Return whether *by* leads from *row* to *other*."""
    return inspect(other, raiseerr=True).mapper.isa(by.mapper) and all(
        _value(row, own) == _value(other, remote) for own, remote in by.local_remote_pairs or ()
    )


def _value(row: object, column: ColumnElement[Any]) -> object:
    return getattr(row, inspect(row, raiseerr=True).mapper.get_property_by_column(column).key)
