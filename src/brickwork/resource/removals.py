"""Removals: the database decides about references to removed rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Load, RelationshipDirection, RelationshipProperty, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.unitofwork import UOWTransaction

from brickwork.database.unit_of_work import unit_of_work
from brickwork.query.keys import primary_key
from brickwork.query.related import key_of
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


async def load_cascades(session: AsyncSession, rows: Sequence[object]) -> None:
    """Load the rows that a removal of *rows* removes with them, and the rows below these.

    It is one statement for each relationship. SQLAlchemy would send one for each row.
    """
    models: Iterable[type[object]] = dict.fromkeys(map(type, rows))
    for model in models:
        if loaders := [*_cascade_loaders(model)]:
            keys = [key_of(row) for row in rows if type(row) is model]
            statement = select(model).where(primary_key(model).is_in(keys))
            statement = statement.options(*loaders).execution_options(populate_existing=True)
            await session.execute(statement)


def removes_at_depth(model: type[object]) -> bool:
    """Return whether a removal of a row of *model* removes rows, and rows below these."""
    return any(
        True
        for by in _loaded_cascades(model)
        if by.cascade.delete
        for _ in _loaded_cascades(by.mapper.class_)
    )


def _cascade_loaders(model: type[object], known: frozenset[object] = frozenset()) -> Iterator[Load]:
    """Yield loader options of the rows to remove with a row of *model*, and of the rows below.

    *known* are the relationships that lead to *model*.
    """
    for by in _loaded_cascades(model):
        if by not in known:
            loader = Load(model).selectinload(getattr(model, by.key))
            if by.cascade.delete:
                loader = loader.options(*_cascade_loaders(by.mapper.class_, known | {by}))
            yield loader


def _loaded_cascades(model: type[object]) -> Iterator[RelationshipProperty[Any]]:
    """Yield the relationships whose rows SQLAlchemy loads to remove a row of *model*."""
    for by in inspect(model).relationships:
        is_loaded = not (by.viewonly or by.passive_deletes or by.lazy in _UNLOADED)
        if is_loaded and (by.cascade.delete or by.secondary is not None):
            yield by


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
