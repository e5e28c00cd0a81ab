"""Translation of database errors to problem responses.

PostgreSQL's errors are identified by SQLSTATE, SQLite's by the extended result code, never by
translated messages. The mapped tables attribute an error to fields.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Column, Table
from sqlalchemy.exc import DBAPIError

from brickwork.database.availability import (
    database_unavailable,
    driver_error,
    is_sqlite_locked,
    sqlstate_of,
)
from brickwork.database.constraints import constraint_columns, mentioned_columns
from brickwork.database.flush_log import FlushLog, mapped_tables
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
from brickwork.schemas.names import RequestPlace

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
    "22": "value",  # data, perhaps in an expression of the database
    "23": "refused",  # integrity, with a code of a trigger's own
    "27": "refused",  # trigger
    "38": "refused",  # function in another language
    "39": "refused",  # as above
    "P0": "refused",  # PL/pgSQL: RAISE, ASSERT
}
"""Kinds of PostgreSQL's errors by the class of the SQLSTATE, its first two characters."""

_RAISE_FUNCTION: Final = "exec_stmt_raise"
"""PostgreSQL's function that executes RAISE. Its name does not depend on the language."""

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
"""The columns in the detail of an error: `Key (tenant, lower(slug))=(…)`."""

_SQLITE_PLACE: Final = re.compile(r"constraint failed: (?:index '(?P<index>.+)'|(?P<names>.+))")


@dataclass(frozen=True)
class Violation:
    """An error of the database, with its location as far as the database reports it."""

    kind: Kind
    table: str | None = None
    schema: str | None = None
    constraint: str | None = None
    columns: str = ""
    """SQL that mentions the columns."""


def classify(error: DBAPIError) -> Violation | None:
    """Classify *error*. None if neither the data nor contention caused it."""
    cause = driver_error(error)
    if is_sqlite_locked(cause):
        return Violation("contended")
    if isinstance(name := getattr(cause, "sqlite_errorname", None), str):
        return _sqlite_violation(name, str(cause))
    function = getattr(cause, "server_source_function", None)
    if (kind := _postgresql_kind(sqlstate_of(cause), function)) is None:
        return None
    column, detail = getattr(cause, "column_name", None), getattr(cause, "detail", None)
    constraint = getattr(cause, "constraint_name", None)
    # A row without a partition is reported as a check without a name.
    has_keys = kind in {"unique", "reference"} or (kind == "check" and not constraint)
    keys = _POSTGRESQL_KEYS.search(detail or "") if has_keys else None
    return Violation(
        kind,
        table=getattr(cause, "table_name", None),
        schema=getattr(cause, "schema_name", None),
        constraint=constraint,
        columns=quote_identifiers(column) if column else keys[1] if keys else "",
    )


def _postgresql_kind(state: str, function: str | None) -> Kind | None:
    if function == _RAISE_FUNCTION and state not in _SQLSTATES:
        return "refused"
    return _SQLSTATES.get(state) or _CLASSES.get(state[:2])


def original_error(error: DBAPIError) -> DBAPIError:
    """Return the cause of *error* if that is only a failed rollback to a savepoint."""
    is_late = (error.statement or "").startswith("ROLLBACK TO SAVEPOINT")
    cause = error.__context__ if is_late else None
    return cause if isinstance(cause, DBAPIError) else error


def absent_tables(error: DBAPIError, tables: "Iterable[Table[Any]]") -> Collection[str]:
    """Return the names of the *tables* that do not exist according to *error*."""
    cause = driver_error(error)
    text = str(cause)
    if getattr(cause, "sqlstate", None) != "42P01" and not text.startswith("no such table"):
        return ()
    names = {table.fullname for table in tables}
    return [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]


def _sqlite_violation(name: str, message: str) -> Violation | None:
    if message == "FOREIGN KEY constraint failed":  # RESTRICT shares its code with triggers
        return Violation("reference")
    if (kind := _SQLITE_CODES.get(name)) is None:
        return Violation("refused") if name.startswith("SQLITE_CONSTRAINT") else None
    place = _SQLITE_PLACE.search(message)
    if place is None or kind == "check":
        return Violation(kind, constraint=place["names"] if place else None)
    if place["index"]:
        return Violation(kind, constraint=place["index"])
    names = [name.rpartition(".") for name in place["names"].split(", ")]
    return Violation(
        kind, table=names[0][0], columns=quote_identifiers(*(column for _, _, column in names))
    )


def problem_of_kind(kind: Kind, places: Collection[RequestPlace]) -> Problem:
    """Return the problem for an error of this *kind* at *places* in the request."""
    match kind:
        case "unique":
            return Conflict("The value is taken.", errors=_error_details(places, *_NOT_UNIQUE))
        case "reference":
            return reference_not_found(places)
        case "not_null":
            return UnprocessableContent(
                _NOT_NULLABLE[1], errors=_error_details(places, *_NOT_NULLABLE)
            )
        case "check":
            return UnprocessableContent(
                _CHECK_FAILED[1], errors=_error_details(places, *_CHECK_FAILED)
            )
        case _:
            return _PROBLEMS[kind]()


def reference_not_found(places: Collection[RequestPlace]) -> UnprocessableContent:
    """Return the problem for references to missing rows at *places* in the request."""
    return UnprocessableContent(_NO_SUCH_ROW[1], errors=_error_details(places, *_NO_SUCH_ROW))


def circular_removal(written: FlushLog) -> Problem | None:
    """Return the problem for rows in a reference cycle. None if the transaction removes none."""
    return problem_of_kind("referred", ()) if written.removed else None


def refused_by_trigger() -> RefusedByDatabase:
    """Return the problem for a change that a trigger or rule of the database rejects."""
    return RefusedByDatabase("A rule of the database rejects this.")


def serialization_conflict() -> ServiceUnavailable:
    """Return the 503 for a transaction that lost to concurrent ones. It may be retried."""
    text = "Other requests were changing the same rows."
    return ServiceUnavailable(text, headers={"Retry-After": "1"}, retryable=True)


_PROBLEMS: Final[Mapping[Kind, Callable[[], Problem]]] = {
    "busy": database_unavailable,
    "contended": serialization_conflict,
    "forbidden": lambda: problem_for_status(403)("The database does not permit this."),
    "referred": lambda: Conflict("Other rows refer to this one."),
    "refused": refused_by_trigger,
    "value": lambda: UnprocessableContent("The database cannot store a value of the request."),
}
"""Problems without a place in the request."""

_NOT_UNIQUE: Final = ("not_unique", "Another row has this value.")

_NO_SUCH_ROW: Final = ("reference_not_found", "There is no row with this key.")

_NOT_NULLABLE: Final = ("not_nullable", "This must have a value.")

_CHECK_FAILED: Final = (
    "check_failed",
    "The values do not fit together, or with this resource.",
)


def _error_details(places: Iterable[RequestPlace], code: str, detail: str) -> list[ErrorDetail]:
    return [ErrorDetail(code=code, detail=detail, **dict([place])) for place in sorted(places)]


_COLUMN_KINDS: Final = {"unique", "reference", "not_null", "check"}
"""Kinds of errors that are attributed to columns."""


def has_columns(violation: Violation, verb: str) -> bool:
    """Return whether columns cause *violation*. False for a DELETE, which sends no values."""
    return violation.kind in _COLUMN_KINDS and verb != "DELETE"


def tables_of(written: FlushLog) -> "set[Table[Any]]":
    """Return the tables of the *written* rows."""
    return {table for mapper in written.mappers for table in mapped_tables(mapper)}


def columns_of(
    violation: Violation, tables: "Iterable[Table[Any]]"
) -> Collection[Column[Any]] | None:
    """Return the columns of *violation*. None if only the database's catalog knows them."""
    candidates = [table for table in tables if violation.table in {None, table.name}]
    own = [table for table in candidates if table.schema == violation.schema] or candidates
    columns = {column for table in own for column in mentioned_columns(table, violation.columns)}
    if columns or not violation.constraint:
        return columns if own else None
    results = [constraint_columns(table, violation.constraint) for table in own]
    matches = [result for result in results if result is not None]
    return {column for match in matches for column in match} if matches else None


def kind_of(
    violation: Violation, columns: Collection[Column[Any]], written: FlushLog, verb: str
) -> Kind:
    """Return the kind of *violation*, with "referred" for the referenced end of a foreign key.

    *verb* is the first word of the failed statement. It is empty for a commit.
    """
    match violation.kind:
        case kind if kind in _COLUMN_KINDS and verb == "DELETE":
            return "referred"  # another row refers to the removed one
        case "reference":
            is_gone = verb != "INSERT" and not columns
            return "referred" if is_gone or _is_parent_key(violation, columns) else "reference"
        case "not_null" if verb == "UPDATE" and _clears_reference(violation, written):
            return "referred"
        case kind:
            return kind


def _is_parent_key(violation: Violation, columns: Collection[Column[Any]]) -> bool:
    """Return whether *columns* are the target of a foreign key within one table."""
    names = {name.lower() for name in column_identifiers(violation.columns)}
    tables = {column.table for column in columns}
    keys = [key for table in tables for key in table.foreign_key_constraints]
    own = [{column.name.lower() for column in key.columns} for key in keys]
    others = [
        {element.column.name.lower() for element in key.elements}
        for key in keys
        if key.referred_table in tables
    ]
    return names not in own and names in others


def _clears_reference(violation: Violation, written: FlushLog) -> bool:
    """Return whether an UPDATE cleared a reference to a row that the transaction removes."""
    metadata = {table.metadata for table in written.removed}
    tables = {table for registry in metadata for table in registry.tables.values()}
    columns = (
        c
        for t in tables
        if t.name == violation.table
        for c in mentioned_columns(t, violation.columns)
    )
    return any(key.column.table in written.removed for c in columns for key in c.foreign_keys)


def affected_places(columns: Iterable[Column[Any]], written: FlushLog) -> set[RequestPlace]:
    """Return the places in the request that write *columns*."""
    return {
        place
        for column in columns
        if not is_deleted_marker(column)
        for mapper in written.mappers
        if mapper.columns.contains_column(column)
        for place in written.places(mapper, mapper.get_property_by_column(column).key)
    }


def lost_race(violation: Violation, written: FlushLog) -> bool:
    """Return whether a concurrent request inserted the same value first, and a retry sees it."""
    may_see_winner = written.snapshot_isolated or any(
        {*(columns_of(violation, [table]) or ())} == {*table.primary_key.columns}
        for table in tables_of(written)
        if table.name in written.retry_on_duplicate
    )
    return violation.kind == "unique" and may_see_winner
