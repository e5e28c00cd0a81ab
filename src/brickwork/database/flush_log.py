"""The rows that a transaction has flushed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import ClauseElement, Column, ColumnElement, ForeignKeyConstraint, Table, inspect
from sqlalchemy.orm import InstanceState, Mapper, QueryableAttribute

from brickwork.models.model import is_deleted_marker
from brickwork.problems import pointer
from brickwork.schemas.names import ClientNames, Path, RequestPlace, mapped_names

Reference: TypeAlias = tuple[ForeignKeyConstraint, tuple[object, ...]]
"""A foreign key, and the values of its columns."""


_NESTED: Final = "brickwork.nested"
"""Key in the `info` of a row: its `NestedPlace`."""


@dataclass(frozen=True)
class NestedPlace:
    """The place of a row in the body that writes it with its owner."""

    owner: object
    attribute: str
    """The relationship of the owner."""
    path: Path
    """The place of the row in the body, `("lines", 2)`. Empty if only its values have places."""
    fields: Mapping[str, Path]
    """The places of its fields in the row, by their names. Empty if a field is the whole row."""

    def locate(self, attribute: str) -> RequestPlace | None:
        """Return the place of an *attribute* of the row. None if a client cannot write it."""
        own = self.fields.get(attribute)
        return None if own is None else ("pointer", pointer(*self.path, *own))


def set_nested_place(row: object, place: NestedPlace) -> None:
    """Record that a body has *row* at *place*."""
    inspect(row).info[_NESTED] = place


def nested_place(state: InstanceState[Any]) -> NestedPlace | None:
    """Return the place of a row in the body of another. None for other rows."""
    place: NestedPlace | None = state.info.get(_NESTED)
    return place


@dataclass(frozen=True)
class NestedRow:
    """A flushed row that a body has within another row."""

    place: NestedPlace
    mapper: Mapper[Any]
    values: Mapping[ColumnElement[Any], object]

    def locate(self, columns: Iterable[Column[Any]]) -> set[RequestPlace]:
        """Return the places of *columns* in the body, as far as a client can write them."""
        own = [column for column in columns if column in self.values]
        names = (self.mapper.get_property_by_column(column).key for column in own)
        places = (self.place.locate(name) for name in names)
        return {place for place in places if place}

    def locate_list(self, columns: Iterable[Column[Any]]) -> set[RequestPlace]:
        """Return the place of the list of the row, or of *columns* if there is no list."""
        path = self.place.path
        return {("pointer", pointer(*path[:-1]))} if path else self.locate(columns)


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
    nested: list[NestedRow] = field(default_factory=list[NestedRow])
    """The rows that a body has within other rows."""

    def add(self, rows: Iterable[object]) -> None:
        """Record *rows* before their flush, without loading attributes."""
        for row in rows:
            state = inspect(row, raiseerr=True)
            self.mappers.add(state.mapper)
            attributes = state.mapper.column_attrs
            values = {c: state.dict.get(p.key) for p in attributes for c in p.columns}
            if place := nested_place(state):
                self.nested.append(NestedRow(place, state.mapper, values))
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
        self.nested += part.nested

    def _record_references(
        self, table: "Table[Any]", values: Mapping[ColumnElement[Any], object]
    ) -> None:
        self.values |= {(column, values.get(column)) for column in table.primary_key.columns}
        for key in table.foreign_key_constraints:
            target = tuple(known_value(column, values) for column in key.columns)
            if None not in target:
                self.references.add((key, target))


def known_value(column: Column[Any], values: Mapping[ColumnElement[Any], object]) -> object:
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
