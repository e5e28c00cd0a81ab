"""What an error of the database means to the client that caused it.

PostgreSQL is read by SQLSTATE, SQLite by its extended result code; never by the words of a
message that depend on a language. Which field is to blame is found in the mapped tables.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import ClauseElement, Column, ColumnElement, ForeignKeyConstraint, Table, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper, QueryableAttribute

from brickwork.database.availability import (
    database_unavailable,
    driver_error,
    is_sqlite_locked,
    sqlstate_of,
)
from brickwork.database.constraints import constraint_columns, mentioned_columns
from brickwork.database.sql_identifiers import column_identifiers, quote_identifiers
from brickwork.models.model import is_deleted_marker
from brickwork.problems import (
    Conflict,
    ErrorDetail,
    Problem,
    RefusedByDatabase,
    ServiceUnavailable,
    UnprocessableContent,
    problem_for_status,
)
from brickwork.schemas.names import ClientNames, RequestPlace, mapped_names

Kind = Literal[
    "unique",
    "reference",
    "referred",
    "not_null",
    "check",
    "value",
    "refused",
    "forbidden",
    "busy",
    "contended",
]

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
    "42501": "forbidden",  # row-level security, or a role without the privilege
    "44000": "check",  # of a view
    "54000": "value",  # too long for an index
    "55P03": "busy",  # lock not available
}
_CLASSES: Final[Mapping[str, Kind]] = {
    "09": "refused",  # trigger
    "22": "value",  # data, which an expression of the database may be to blame for
    "23": "refused",  # integrity, of a kind that a trigger made up
    "27": "refused",  # trigger
    "38": "refused",  # function in another language
    "39": "refused",  # as above
    "P0": "refused",  # PL/pgSQL: RAISE, ASSERT
}
"""The kinds of errors of PostgreSQL by the class of their SQLSTATE, its first two letters."""

_RAISED: Final = "exec_stmt_raise"
"""The function of PostgreSQL's that carries out RAISE; no language changes its name."""

_SQLITE_CODES: Final[Mapping[str, Kind]] = {
    "SQLITE_CONSTRAINT_DATATYPE": "value",
    "SQLITE_CONSTRAINT_ROWID": "unique",
    "SQLITE_CONSTRAINT_UNIQUE": "unique",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "unique",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "reference",
    "SQLITE_CONSTRAINT_NOTNULL": "not_null",
    "SQLITE_CONSTRAINT_CHECK": "check",
    "SQLITE_MISMATCH": "value",
    "SQLITE_PROTOCOL": "contended",  # of locks
    "SQLITE_TOOBIG": "value",
}
_POSTGRESQL_KEYS: Final = re.compile(r"\((.*?)\)\s?=\s?\(", re.DOTALL)
"""The columns in the details of an error: `Key (tenant, lower(slug))=(…)`."""

_SQLITE_PLACE: Final = re.compile(r"constraint failed: (?:index '(?P<index>.+)'|(?P<names>.+))")


Reference: TypeAlias = tuple[ForeignKeyConstraint, tuple[object, ...]]
"""A foreign key, and the values that its columns were given."""


@dataclass
class FlushLog:
    """What a transaction has sent to the database: whose rows, and what they refer to."""

    mappers: set[Mapper[Any]] = field(default_factory=set[Mapper[Any]])
    references: set[Reference] = field(default_factory=set[Reference])
    values: set[tuple[Column[Any], object]] = field(default_factory=set[tuple[Column[Any], object]])
    first: set[str] = field(default_factory=set[str])
    """Tables of which a taken key means that another was first, and trying again would help."""
    unseen: bool = False
    """Whether any taken value may mean so, as what the first one wrote would not be seen."""
    removed: "set[Table[Any]]" = field(default_factory=set["Table[Any]"])
    """The tables from which rows are removed."""
    names: ClientNames = mapped_names
    """What the client calls the attributes that it writes."""

    def add(self, rows: Iterable[object]) -> None:
        """Take note of *rows* before they are sent; nothing is loaded for it."""
        for row in rows:
            state = inspect(row, raiseerr=True)
            self.mappers.add(state.mapper)
            known = {c: state.dict.get(p.key) for p in state.mapper.column_attrs for c in p.columns}
            for table in mapped_tables(state.mapper):
                self._refer(table, known)

    def remove(self, rows: Iterable[object]) -> None:
        """Take note of *rows* before they are removed."""
        for row in rows:
            self.removed |= {*mapped_tables(inspect(row, raiseerr=True).mapper)}

    def places(self, mapper: Mapper[Any], *attributes: str) -> set[RequestPlace]:
        """Return where in its request the client writes *attributes*, those that it does."""
        places = (self.names(mapper, each) for each in attributes)
        return {place for place in places if place}

    def part(self) -> "FlushLog":
        """Return what is to be written next, which may refer to what was written before."""
        return FlushLog(
            values={*self.values}, first=self.first, unseen=self.unseen, names=self.names
        )

    def include(self, part: "FlushLog") -> None:
        """Take note of a *part* that succeeded."""
        self.mappers |= part.mappers
        self.references |= part.references
        self.values |= part.values
        self.removed |= part.removed

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
    return bool(value) if is_deleted_marker(column) else value


def mapped_tables(mapper: Mapper[Any]) -> "list[Table[Any]]":
    """Return the tables that rows of *mapper* are in: one, or those it inherits too."""
    return [table for table in mapper.tables if isinstance(table, Table)]


@dataclass(frozen=True)
class Violation:
    """What the database refused, and as far as it says so, where."""

    kind: Kind
    table: str | None = None
    schema: str | None = None
    constraint: str | None = None
    columns: str = ""
    """SQL that mentions the columns."""


def classify(error: DBAPIError) -> Violation | None:
    """Return what *error* says of the data or the hour; None for an error of another sort."""
    cause = driver_error(error)
    if is_sqlite_locked(cause):
        return Violation("contended")
    if isinstance(name := getattr(cause, "sqlite_errorname", None), str):
        return _of_sqlite(name, str(cause))
    function = getattr(cause, "server_source_function", None)
    if (kind := _of_postgresql(sqlstate_of(cause), function)) is None:
        return None
    column, detail = getattr(cause, "column_name", None), getattr(cause, "detail", None)
    constraint = getattr(cause, "constraint_name", None)
    # A row that no partition takes is a failed check without a name.
    has_keys = kind in {"unique", "reference"} or (kind == "check" and not constraint)
    keys = _POSTGRESQL_KEYS.search(detail or "") if has_keys else None
    return Violation(
        kind,
        table=getattr(cause, "table_name", None),
        schema=getattr(cause, "schema_name", None),
        constraint=constraint,
        columns=quote_identifiers(column) if column else keys[1] if keys else "",
    )


def _of_postgresql(state: str, function: str | None) -> Kind | None:
    if function == _RAISED and state not in _SQLSTATES:
        return "refused"
    return _SQLSTATES.get(state) or _CLASSES.get(state[:2])


def original_error(error: DBAPIError) -> DBAPIError:
    """Return the error that led to *error*, which says that a savepoint went with it."""
    is_late = (error.statement or "").startswith("ROLLBACK TO SAVEPOINT")
    cause = error.__context__ if is_late else None
    return cause if isinstance(cause, DBAPIError) else error


def absent_tables(error: DBAPIError, tables: "Iterable[Table[Any]]") -> Collection[str]:
    """Return the names of the *tables* that do not exist, according to *error*."""
    cause = driver_error(error)
    text = str(cause)
    if getattr(cause, "sqlstate", None) != "42P01" and not text.startswith("no such table"):
        return ()
    names = {each.fullname for each in tables}
    return [each for each in names if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text)]


def _of_sqlite(name: str, message: str) -> Violation | None:
    if message == "FOREIGN KEY constraint failed":  # RESTRICT has the code of a trigger
        return Violation("reference")
    if (kind := _SQLITE_CODES.get(name)) is None:
        return Violation("refused") if name.startswith("SQLITE_CONSTRAINT") else None
    place = _SQLITE_PLACE.search(message)
    if place is None or kind == "check":
        return Violation(kind, constraint=place["names"] if place else None)
    if place["index"]:
        return Violation(kind, constraint=place["index"])
    names = [each.rpartition(".") for each in place["names"].split(", ")]
    return Violation(
        kind, table=names[0][0], columns=quote_identifiers(*(column for _, _, column in names))
    )


def problem_of_kind(kind: Kind, places: Collection[RequestPlace]) -> Problem:
    """Return what to tell the client, with *places* in its request to blame."""
    match kind:
        case "unique":
            return Conflict("The value is taken.", errors=_faults(places, *_TAKEN))
        case "reference":
            return reference_not_found(places)
        case "not_null":
            return UnprocessableContent(_NULL[1], errors=_faults(places, *_NULL))
        case "check":
            return UnprocessableContent(_FORBIDDEN[1], errors=_faults(places, *_FORBIDDEN))
        case _:
            return _PLACELESS[kind]()


def reference_not_found(places: Collection[RequestPlace]) -> UnprocessableContent:
    """Return what to tell a client that refers to no row in *places*."""
    return UnprocessableContent(_MISSING[1], errors=_faults(places, *_MISSING))


def circular_removal(written: FlushLog) -> Problem | None:
    """Return what to tell a client who removes rows that refer to each other; None if none does."""
    return problem_of_kind("referred", ()) if written.removed else None


def refused_by_trigger() -> RefusedByDatabase:
    """Return what to tell a client whose change a rule of the database refuses."""
    return RefusedByDatabase("A rule of the database refuses this.")


def serialization_conflict() -> ServiceUnavailable:
    """Return what to tell a client that was in the way of others, again and again."""
    text = "Others were changing the same rows."
    return ServiceUnavailable(text, headers={"Retry-After": "1"}, again=True)


_PLACELESS: Final[Mapping[Kind, Callable[[], Problem]]] = {
    "busy": database_unavailable,
    "contended": serialization_conflict,
    "forbidden": lambda: problem_for_status(403)("The database does not permit this."),
    "referred": lambda: Conflict("Other rows refer to this one."),
    "refused": refused_by_trigger,
    "value": lambda: UnprocessableContent("The database cannot hold a value that was sent."),
}
"""The problems that no place in a request is to blame for."""

_TAKEN: Final = ("not_unique", "Another row has this value.")
_MISSING: Final = ("reference_not_found", "There is no row with this key.")
_NULL: Final = ("not_nullable", "This must have a value.")
_FORBIDDEN: Final = (
    "check_failed",
    "The values do not fit together, or with this resource.",
)


def _faults(places: Iterable[RequestPlace], code: str, detail: str) -> list[ErrorDetail]:
    return [ErrorDetail(code=code, detail=detail, **dict([each])) for each in sorted(places)]


_PLACED: Final = {"unique", "reference", "not_null", "check"}
"""The kinds of errors that columns are to blame for."""


def is_placed(found: Violation, verb: str) -> bool:
    """Tell whether columns are to blame for *found*: of a DELETE, no value is wrong."""
    return found.kind in _PLACED and verb != "DELETE"


def tables_of(written: FlushLog) -> "set[Table[Any]]":
    """Return the tables that have the rows which were *written*."""
    return {table for mapper in written.mappers for table in mapped_tables(mapper)}


def columns_of(found: Violation, tables: "Iterable[Table[Any]]") -> Collection[Column[Any]] | None:
    """Return the columns that *found* is about; None where only the database knows."""
    near = [each for each in tables if found.table in {None, each.name}]
    own = [each for each in near if each.schema == found.schema] or near
    columns = {column for table in own for column in mentioned_columns(table, found.columns)}
    if columns or not found.constraint:
        return columns if own else None
    known = [constraint_columns(each, found.constraint) for each in own]
    named = [each for each in known if each is not None]
    return {column for each in named for column in each} if named else None


def kind_of(
    found: Violation, columns: Collection[Column[Any]], written: FlushLog, verb: str
) -> Kind:
    """Return the kind of *found*: a reference may be broken from either end.

    *verb* is that of the statement which failed, empty where it was the commit.
    """
    match found.kind:
        case kind if kind in _PLACED and verb == "DELETE":
            return "referred"  # no value of the row is wrong, but one of a row that refers to it
        case "reference":
            is_gone = verb != "INSERT" and not columns
            return "referred" if is_gone or _is_referred(found, columns) else "reference"
        case "not_null" if verb == "UPDATE" and _is_left(found, written):
            return "referred"
        case kind:
            return kind


def _is_referred(found: Violation, columns: Collection[Column[Any]]) -> bool:
    """Tell whether *columns* are those that a row of the same table refers to."""
    names = {each.lower() for each in column_identifiers(found.columns)}
    tables = {column.table for column in columns}
    keys = [key for table in tables for key in table.foreign_key_constraints]
    own = [{each.name.lower() for each in key.columns} for key in keys]
    others = [
        {each.column.name.lower() for each in key.elements}
        for key in keys
        if key.referred_table in tables
    ]
    return names not in own and names in others


def _is_left(found: Violation, written: FlushLog) -> bool:
    """Tell whether a column was to be cleared since the row that it refers to is removed."""
    tables = {table for each in written.removed for table in each.metadata.tables.values()}
    columns = (
        c for t in tables if t.name == found.table for c in mentioned_columns(t, found.columns)
    )
    return any(key.column.table in written.removed for c in columns for key in c.foreign_keys)


def affected_places(columns: Iterable[Column[Any]], written: FlushLog) -> set[RequestPlace]:
    """Return where in its request the client wrote what is in *columns*."""
    return {
        place
        for column in columns
        if not is_deleted_marker(column)
        for mapper in written.mappers
        if column in mapper.columns.values()
        for place in written.places(mapper, mapper.get_property_by_column(column).key)
    }


def lost_race(found: Violation, written: FlushLog) -> bool:
    """Tell whether *found* is a value that another took first, and that will now be found."""
    by_another = written.unseen or any(
        {*(columns_of(found, [table]) or ())} == {*table.primary_key.columns}
        for table in tables_of(written)
        if table.name in written.first
    )
    return found.kind == "unique" and by_another
