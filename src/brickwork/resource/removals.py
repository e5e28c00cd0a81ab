"""Removals of rows: the foreign keys of the database decide about rows that refer to them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, event, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipDirection, RelationshipProperty, Session
from sqlalchemy.orm.attributes import History, set_committed_value
from sqlalchemy.orm.base import PassiveFlag
from sqlalchemy.orm.unitofwork import UOWTransaction

_LEFT: Final = "brickwork.removals"

_UNLOADED: Final = {"dynamic", "write_only"}
"""The ways to load a relationship that keep no rows."""


def leave_references_to_database(session: AsyncSession) -> None:
    """Have *session* leave the references to rows that it removes to the database.

    SQLAlchemy would set them to NULL where a relationship has no cascade. Then a foreign key could
    neither refuse the removal nor do what its ON DELETE says.
    """
    session.info[_LEFT] = True


@event.listens_for(Session, "before_flush")
def _leave(session: Session, context: UOWTransaction, *_: object) -> None:
    removed = [*session.deleted] if session.info.get(_LEFT) else []
    for row in removed:
        for each, kept in _cleared(row, removed):
            if each.lazy in _UNLOADED:
                _have_history(context, row, each.key, kept)
            else:
                set_committed_value(row, each.key, kept if each.uselist else next(iter(kept), None))


def _have_history(context: UOWTransaction, row: object, name: str, kept: list[object]) -> None:
    """Have a flush take *kept* for all rows in the relationship *name*, which holds none itself."""
    history = History((), kept, ())
    place = ("history", inspect(row, raiseerr=True), name)
    # SQLAlchemy keeps there what it reads in a flush, and has no other way to tell it.
    known = cast("dict[Any, Any]", context.attributes)
    known[place] = (history, history.as_state(), PassiveFlag.PASSIVE_OFF)


def _cleared(
    row: object, removed: Sequence[object]
) -> Iterator[tuple[RelationshipProperty[Any], list[object]]]:
    """Yield the relationships that SQLAlchemy would clear as *row* is removed, and what they keep.

    They keep other rows that are *removed*, which have to go before *row*. A relationship that the
    application changed itself stays as it is.
    """
    state = inspect(row, raiseerr=True)
    for each in state.mapper.relationships:
        history = state.attrs[each.key].history
        if each.viewonly or each.cascade.delete or history.added or history.deleted:
            continue
        if each.direction is RelationshipDirection.ONETOMANY:
            yield (
                each,
                [other for other in removed if other is not row and _refers(other, row, each)],
            )
        elif each.direction is RelationshipDirection.MANYTOONE and _refers(row, row, each):
            yield each, []


def _refers(other: object, row: object, by: RelationshipProperty[Any]) -> bool:
    """Tell whether *by* leads from *row* to *other*."""
    return inspect(other, raiseerr=True).mapper.isa(by.mapper) and all(
        _value(row, own) == _value(other, remote) for own, remote in by.local_remote_pairs or ()
    )


def _value(row: object, column: ColumnElement[Any]) -> object:
    return getattr(row, inspect(row, raiseerr=True).mapper.get_property_by_column(column).key)
