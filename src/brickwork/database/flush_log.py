"""The rows that a transaction has flushed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import ClauseElement, Column, ColumnElement, ForeignKeyConstraint, Table, inspect
from sqlalchemy.orm import Mapper, QueryableAttribute

from brickwork.models.model import is_deleted_marker
from brickwork.schemas.names import ClientNames, RequestPlace, mapped_names

Reference: TypeAlias = tuple[ForeignKeyConstraint, tuple[object, ...]]
"""A foreign key, and the values of its columns."""


@dataclass
class FlushLog:
    """The rows that a transaction flushed, and their references."""

    mappers: set[Mapper[Any]] = field(default_factory=set[Mapper[Any]])
    references: set[Reference] = field(default_factory=set[Reference])
    values: set[tuple[Column[Any], object]] = field(default_factory=set[tuple[Column[Any], object]])
    retry_on_duplicate: set[str] = field(default_factory=set[str])
    """Tables where a duplicate key means that a concurrent request won: a retry finds its row."""
    snapshot_isolated: bool = False
    """Whether the same holds for every unique constraint: the snapshot hides concurrent inserts."""
    removed: "set[Table[Any]]" = field(default_factory=set["Table[Any]"])
    """Tables from which rows are removed."""
    names: ClientNames = mapped_names
    """Maps attributes to the client's names for them."""

    def add(self, rows: Iterable[object]) -> None:
        """Record *rows* before their flush, without loading attributes."""
        for row in rows:
            state = inspect(row, raiseerr=True)
            self.mappers.add(state.mapper)
            attributes = state.mapper.column_attrs
            values = {c: state.dict.get(p.key) for p in attributes for c in p.columns}
            for table in mapped_tables(state.mapper):
                self._record_references(table, values)

    def remove(self, rows: Iterable[object]) -> None:
        """Record *rows* before their removal."""
        for row in rows:
            self.removed |= {*mapped_tables(inspect(row, raiseerr=True).mapper)}

    def places(self, mapper: Mapper[Any], *attributes: str) -> set[RequestPlace]:
        """Return the places in the request that write *attributes*."""
        places = (self.names(mapper, attribute) for attribute in attributes)
        return {place for place in places if place}

    def fork(self) -> "FlushLog":
        """Return a log for the next write, which may refer to the rows of this one."""
        return FlushLog(
            values={*self.values},
            retry_on_duplicate=self.retry_on_duplicate,
            snapshot_isolated=self.snapshot_isolated,
            names=self.names,
        )

    def merge(self, part: "FlushLog") -> None:
        """Add the log of a successful *part*."""
        self.mappers |= part.mappers
        self.references |= part.references
        self.values |= part.values
        self.removed |= part.removed

    def _record_references(
        self, table: "Table[Any]", values: Mapping[ColumnElement[Any], object]
    ) -> None:
        self.values |= {(column, values.get(column)) for column in table.primary_key.columns}
        for key in table.foreign_key_constraints:
            target = tuple(_known_value(column, values) for column in key.columns)
            if None not in target:
                self.references.add((key, target))


def _known_value(column: Column[Any], values: Mapping[ColumnElement[Any], object]) -> object:
    """Return the value of *column* in a flush. None if only the database knows it.

    A missing marker of a soft-delete foreign key counts as False.
    """
    value = values.get(column)
    if isinstance(value, ClauseElement | QueryableAttribute):
        return None
    return bool(value) if is_deleted_marker(column) else value


def mapped_tables(mapper: Mapper[Any]) -> "list[Table[Any]]":
    """Return the tables of *mapper*, including inherited ones."""
    return [table for table in mapper.tables if isinstance(table, Table)]
