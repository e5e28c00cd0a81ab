"""Places of nested rows that an error of the database is about."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Column, ForeignKeyConstraint, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from brickwork.database.flush_log import FlushLog, NestedRow, known_value
from brickwork.schemas.names import RequestPlace

_MAX_TARGETS: Final = 1000
"""The targets of references that one query looks up. Of more, only the list is named."""


async def nested_places(
    columns: Collection[Column[Any]],
    written: FlushLog,
    session: AsyncSession,
    *,
    is_reference: bool,
) -> set[RequestPlace]:
    """Return the places of *columns* in the nested rows that violate a constraint.

    The rows are those with a dangling reference, or with the values of an earlier row. If no such
    row is found, the place is their list. Empty if no nested row has the columns.
    """
    rows = [row for row in _last_states(written) if row.locate(columns)]
    if is_reference:
        wrong = await _dangling_rows(columns, rows, written, session)
    else:
        wrong = [*_repeated_rows(columns, rows)]
    if wrong:
        return {place for row in wrong for place in row.locate(columns)}
    return {place for row in rows for place in row.locate_list(columns)}


def _last_states(written: FlushLog) -> Collection[NestedRow]:
    """Return the nested rows as they were flushed last."""
    places = ((row, row.place) for row in written.nested)
    return {(id(at.owner), at.attribute, at.path): row for row, at in places}.values()


def _repeated_rows(
    columns: Collection[Column[Any]], rows: Sequence[NestedRow]
) -> Iterator[NestedRow]:
    """Yield the rows with the values of an earlier row. NULL equals nothing."""
    known = set[object]()
    for row in rows:
        own = [column for column in columns if column in row.values]
        values = {column: known_value(column, row.values) for column in own}
        if any(value is None for column, value in values.items() if row.locate([column])):
            continue
        # The key of a new owner is not known yet.
        key = (*(id(row.place.owner) if v is None else v for v in values.values()),)
        if key in known:
            yield row
        known.add(key)


async def _dangling_rows(
    columns: Collection[Column[Any]],
    rows: Sequence[NestedRow],
    written: FlushLog,
    session: AsyncSession,
) -> Sequence[NestedRow]:
    """Return the rows whose foreign key in *columns* refers to no row."""
    tables = {column.table for column in columns}
    keys = {key for table in tables for key in table.foreign_key_constraints}
    wrong: list[NestedRow] = []
    for key in (key for key in keys if {*key.columns} <= {*columns}):
        targets = {id(row): _target(key, row) for row in rows}
        wanted = {target for target in targets.values() if None not in target}
        if not wanted or len(wanted) > _MAX_TARGETS:
            continue
        referred = [element.column for element in key.elements]
        found = await session.execute(select(*referred).where(tuple_(*referred).in_(wanted)))
        known = {tuple(row) for row in found}
        new = {t for t in wanted if written.values.issuperset(zip(referred, t, strict=True))}
        wrong += [row for row in rows if targets[id(row)] in wanted - known - new]
    return wrong


def _target(key: ForeignKeyConstraint, row: NestedRow) -> tuple[object, ...]:
    return tuple(known_value(column, row.values) for column in key.columns)
