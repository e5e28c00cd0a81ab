"""What an error of the database means to the client that caused it.

PostgreSQL is read by SQLSTATE, SQLite by its extended result code; never by the words of a
message that depend on a language. Which field is to blame is found in the mapped tables.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Constraint,
    ForeignKeyConstraint,
    Index,
    Table,
    inspect,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper, QueryableAttribute
from sqlalchemy.schema import ColumnCollectionConstraint

from brickwork.availability import away, cause_of, is_locked, state_of
from brickwork.models import is_mark
from brickwork.problems import Conflict, Fault, Invalid, Problem, Unavailable, pointer

Kind = Literal["unique", "reference", "not_null", "check", "value", "busy", "contended"]

_SQLSTATES: Final[Mapping[str, Kind]] = {
    "23505": "unique",
    "23P01": "unique",  # exclusion
    "23503": "reference",
    "23001": "reference",  # restrict
    "23502": "not_null",
    "23514": "check",
    "22000": "value",  # asyncpg: the value does not fit the type
    "22001": "value",  # text too long
    "22003": "value",  # number out of range
    "22007": "value",  # no datetime
    "22008": "value",  # datetime out of range
    "22021": "value",  # not in the character set
    "22P02": "value",  # no text of the type
    "22P05": "value",  # not in the character set, as an escape
    "40001": "contended",  # serialization failure
    "40P01": "contended",  # deadlock
    "55P03": "busy",  # lock not available
}
_SQLITE_CODES: Final[Mapping[str, Kind]] = {
    "SQLITE_CONSTRAINT_UNIQUE": "unique",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "unique",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "reference",
    "SQLITE_CONSTRAINT_NOTNULL": "not_null",
    "SQLITE_CONSTRAINT_CHECK": "check",
    "SQLITE_PROTOCOL": "contended",  # of locks
}
_SQLITE_PLACE: Final = re.compile(r"constraint failed: (?:index '(?P<index>.+)'|(?P<names>.+))")


Reference: TypeAlias = tuple[ForeignKeyConstraint, tuple[object, ...]]
"""A foreign key, and the values that its columns were given."""


@dataclass
class Written:
    """What a transaction has sent to the database: whose rows, and what they refer to."""

    mappers: set[Mapper[Any]] = field(default_factory=set[Mapper[Any]])
    references: set[Reference] = field(default_factory=set[Reference])
    values: set[tuple[Column[Any], object]] = field(default_factory=set[tuple[Column[Any], object]])
    first: set[str] = field(default_factory=set[str])
    """Tables of which a taken key means that another was first, and trying again would help."""
    unseen: bool = False
    """Whether any taken value may mean so, as what the first one wrote would not be seen."""

    def add(self, rows: Iterable[object]) -> None:
        """Take note of *rows* before they are sent; nothing is loaded for it."""
        for row in rows:
            state = inspect(row, raiseerr=True)
            self.mappers.add(state.mapper)
            known = {c: state.dict.get(p.key) for p in state.mapper.column_attrs for c in p.columns}
            for table in _tables(state.mapper):
                self._refer(table, known)

    def part(self) -> "Written":
        """Return what is to be written next, which may refer to what was written before."""
        return Written(values={*self.values}, first=self.first, unseen=self.unseen)

    def include(self, part: "Written") -> None:
        """Take note of a *part* that succeeded."""
        self.mappers |= part.mappers
        self.references |= part.references
        self.values |= part.values

    def _refer(self, table: "Table[Any]", values: Mapping[ColumnElement[Any], object]) -> None:
        self.values |= {(column, values.get(column)) for column in table.primary_key.columns}
        for key in table.foreign_key_constraints:
            given = tuple(_given(column, values) for column in key.columns)
            if None not in given:
                self.references.add((key, given))


def _given(column: Column[Any], values: Mapping[ColumnElement[Any], object]) -> object:
    """Return the value *column* is given, None if only the database knows it.

    That a row refers to a live one need not be said.
    """
    value = values.get(column)
    if isinstance(value, ClauseElement | QueryableAttribute):
        return None
    return bool(value) if is_mark(column) else value


def _tables(mapper: Mapper[Any]) -> "list[Table[Any]]":
    """Return the tables that rows of *mapper* are in: one, or those it inherits too."""
    return [table for table in mapper.tables if isinstance(table, Table)]


@dataclass(frozen=True)
class Violation:
    """What the database refused, and as far as it says so, where."""

    kind: Kind
    table: str | None = None
    constraint: str | None = None
    columns: Sequence[str] = ()


def violation(error: DBAPIError) -> Violation | None:
    """Return what *error* says of the data or the hour; None for an error of another sort."""
    cause = cause_of(error)
    if is_locked(cause):
        return Violation("contended")
    if isinstance(name := getattr(cause, "sqlite_errorname", None), str):
        return _of_sqlite(name, str(cause))
    if (kind := _SQLSTATES.get(state_of(cause))) is None:
        return None
    column = getattr(cause, "column_name", None)
    return Violation(
        kind,
        table=getattr(cause, "table_name", None),
        constraint=getattr(cause, "constraint_name", None),
        columns=[column] if column else [],
    )


def first(error: DBAPIError) -> DBAPIError:
    """Return the error that led to *error*, which says that a savepoint went with it."""
    is_late = (error.statement or "").startswith("ROLLBACK TO SAVEPOINT")
    cause = error.__context__ if is_late else None
    return cause if isinstance(cause, DBAPIError) else error


def absent_tables(error: DBAPIError, tables: "Iterable[Table[Any]]") -> Collection[str]:
    """Return the names of the *tables* that do not exist, according to *error*."""
    cause = cause_of(error)
    text = str(cause)
    if getattr(cause, "sqlstate", None) != "42P01" and not text.startswith("no such table"):
        return ()
    names = {each.fullname for each in tables}
    return [each for each in names if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text)]


def _of_sqlite(name: str, message: str) -> Violation | None:
    if message.startswith("FOREIGN KEY"):  # RESTRICT has the code of a trigger
        return Violation("reference")
    if (kind := _SQLITE_CODES.get(name)) is None:
        return None
    place = _SQLITE_PLACE.search(message)
    if place is None or kind == "check":
        return Violation(kind, constraint=place["names"] if place else None)
    if place["index"]:
        return Violation(kind, constraint=place["index"])
    names = [each.rpartition(".") for each in place["names"].split(", ")]
    return Violation(kind, table=names[0][0], columns=[column for _, _, column in names])


def problem(  # noqa: PLR0911 — one a kind
    found: Violation, fields: Collection[str], *, verb: str
) -> Problem:
    """Return what to tell the client, with *fields* to blame.

    *verb* is that of the statement which failed, empty where it was the commit: a reference may
    be broken from either end.
    """
    match found.kind:
        case "unique":
            return Conflict("The value is taken.", errors=_faults(fields, *_TAKEN))
        case "reference" if verb == "DELETE" or (verb != "INSERT" and not fields):
            return Conflict("Other rows refer to this one.")
        case "reference":
            return missing(fields)
        case "not_null":
            return Invalid(_NULL[1], errors=_faults(fields, *_NULL))
        case "check":
            return Invalid(_FORBIDDEN[1], errors=_faults(fields, *_FORBIDDEN))
        case "value":
            return Invalid("The database cannot hold a value that was sent.")
        case "contended":
            return contended()
        case _:
            return away()


def missing(fields: Collection[str]) -> Invalid:
    """Return what to tell a client whose *fields* refer to no row."""
    return Invalid(_MISSING[1], errors=_faults(fields, *_MISSING))


def contended() -> Unavailable:
    """Return what to tell a client that was in the way of others, again and again."""
    text = "Others were changing the same rows."
    return Unavailable(text, headers={"Retry-After": "1"}, again=True)


_TAKEN: Final = ("not_unique", "Another row has this value.")
_MISSING: Final = ("reference_not_found", "There is no row with this key.")
_NULL: Final = ("not_nullable", "This must have a value.")
_FORBIDDEN: Final = (
    "check_failed",
    "The values do not fit together, or with this resource.",
)


def _faults(fields: Iterable[str], code: str, detail: str) -> list[Fault]:
    return [Fault(code=code, detail=detail, pointer=pointer(name)) for name in fields]


def blamed(found: Violation, written: Written) -> list[str]:
    """Return the fields that *found* is about: the attributes of what was written, by name."""
    tables = {table for mapper in written.mappers for table in _tables(mapper)}
    columns = {column for table in tables for column in _columns(found, table)}
    return sorted({name for each in columns for name in attributes(each, written.mappers)})


def is_second(found: Violation, written: Written) -> bool:
    """Tell whether *found* is a value that another took first, and that will now be found."""
    tables = {table for mapper in written.mappers for table in _tables(mapper)}
    by_another = written.unseen or any(
        set(_columns(found, table)) == {*table.primary_key.columns}
        for table in tables
        if table.name in written.first
    )
    return found.kind == "unique" and by_another


def attributes(column: Column[Any], mappers: Iterable[Mapper[Any]]) -> set[str]:
    """Return the names of the attributes that *mappers* have for *column*."""
    if is_mark(column):
        return set()
    own = (mapper for mapper in mappers if column in mapper.columns.values())
    return {mapper.get_property_by_column(column).key for mapper in own}


def _columns(found: Violation, table: "Table[Any]") -> list[Column[Any]]:
    if found.table not in {None, table.name}:
        return []
    if found.columns:
        return [table.columns[name] for name in found.columns if name in table.columns]
    rules: list[Constraint | Index] = [*table.constraints, *table.indexes]
    return [
        column
        for rule in rules
        if _is_named(rule, found.constraint)
        and isinstance(rule, ColumnCollectionConstraint | Index)
        for column in rule.columns
    ]


def _is_named(rule: Constraint | Index, reported: str | None) -> bool:
    # SQLAlchemy shortens a name that PostgreSQL has no room for: its begin, and a hash of it.
    name = str(rule.name)
    return reported == name or (len(name) > _LONGEST and (reported or "").startswith(name[:50]))


_LONGEST: Final = 63
