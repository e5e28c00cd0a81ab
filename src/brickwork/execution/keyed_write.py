"""Statements that write one row with a given key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    true,
    update,
)

from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KeyedWrite
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.statement import (
    Columns,
    Statements,
    require_single_key,
    require_statement,
)
from brickwork.execution.write import (
    PythonDefaults,
    Returned,
    WriteOperation,
    is_versioned,
    list_params,
    mapped_table,
)
from brickwork.http.conditional import Preconditions
from brickwork.query.keys import PathKey
from brickwork.resource.definition import ResourceDefinition
from brickwork.sqlalchemy_internals import where_conditions
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")

_VERSION_PARAM: Final = "brickwork_version"
"""Bind parameter of the expected version; the parameters of columns have the columns' names."""

_LOCK_TIMEOUT: Final = "20ms"
"""How long a batch waits for a lock before each of its rows is written by itself."""

UNCHANGED_PREFIX: Final = "brickwork_still_"
"""Prefix of parameters that must equal the values read before the update."""

ValueOf = Callable[[str], ColumnElement[Any]]
"""Returns the SQL value of a parameter."""

_WriteKind = tuple[Sequence[str], Sequence[str]]
"""The names of the changed columns, and the parameters that identify the row."""

_Build = Callable[[ValueOf], Any]
"""Builds a write with the values of its parameters."""


@dataclass(slots=True, frozen=True)
class TargetRows(Generic[M]):
    """The rows that a write finds, and those that it may leave: None for all."""

    visible: Select[M]
    scope: Select[M] | None = None


class WriteByKey(WriteOperation[M, P, R]):
    """A write of one row, of a given version if the client sends If-Match."""

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
        *models: type[object],
    ) -> None:
        """Store the Python defaults of an update; *models* are read in addition to the row."""
        super().__init__(definition, returned, definition.model, *models)
        self._mapped_columns = mapped_columns(definition.model)
        self._onupdate_defaults = onupdate_defaults
        self._versioned = is_versioned(definition)
        self._key = require_single_key(definition.model)
        (self._key_name,) = self._key.names

    def target_row(self, key: PathKey, preconditions: Preconditions) -> Mapping[str, Any]:
        """Return the parameters that identify the row and its version."""
        value = self._key.parse(key)
        if value is None:
            raise NotEligible("the key is malformed")
        if preconditions.is_empty:
            if self.definition.resource.require_if_match:
                raise NotEligible("If-Match is required")
            return {KEY_PARAM: value}
        if self._versioned and (version := preconditions.version) is not None:
            return {KEY_PARAM: value, _VERSION_PARAM: version}
        raise NotEligible("a precondition is not one strong entity tag")

    def build_update(self, names: Sequence[str], value_of: ValueOf) -> Any:
        """Build the UPDATE that sets *names* and increments the version."""
        changed = self._changed_columns(names)
        values: dict[Any, Any] = {self._mapped_columns[name]: value_of(name) for name in changed}
        if self._versioned:
            version = self._mapped_columns["version"]
            values[version] = version + literal_column("1")
        return update(mapped_table(self.definition)).values(values)

    def keyed_write(
        self, database: Database, rows: TargetRows[M], kind: _WriteKind, build: _Build
    ) -> KeyedWrite:
        """Return the statements of a write of one of *rows*.

        *build* is called on first use. Raises `NotEligible` if a statement cannot be compiled.
        """
        dialect = database.writer.dialect
        alone = require_statement(self._alone_statement(dialect, rows, kind, build))
        batched = (
            self._batch_statements(dialect, rows, kind, build)
            if database.coalesce and dialect.name == "postgresql"
            else ()
        )
        return KeyedWrite(alone, *batched)

    def common_write(
        self, database: Database, rows: TargetRows[M], kind: _WriteKind, build: _Build
    ) -> Statements:
        """Yield the statements of a write: of one row, and of a batch."""
        dialect = database.writer.dialect
        yield self._alone_statement(dialect, rows, kind, build)
        if database.coalesce and dialect.name == "postgresql":
            yield from self._batch_statements(dialect, rows, kind, build)[1:]

    def _alone_statement(
        self, dialect: Dialect, rows: TargetRows[M], kind: _WriteKind, build: _Build
    ) -> BoundStatement | None:
        def value_of(name: str) -> ColumnElement[Any]:
            return bindparam(name, type_=self._param_column(name).type)

        def build_alone(returned: Returned) -> ClauseElement:
            write = self._where_target(build(value_of), rows.visible, kind[1], value_of)
            alone: ClauseElement = write.returning(*returned.values())
            return alone

        return self.cached_write(dialect, rows.visible, rows.scope, kind, build_alone)

    def _batch_statements(
        self, dialect: Dialect, rows: TargetRows[M], kind: _WriteKind, build: _Build
    ) -> Sequence[BoundStatement]:
        """Return the statements of a batch of one row, and of several. Empty if there are none."""

        def build_single(returned: Returned) -> ClauseElement:
            columns = self._param_columns(kind)
            params = [bindparam(name, type_=column.type) for name, column in columns.items()]
            row = select(*(param.label(f"v{n}") for n, param in enumerate(params)))
            single = self._write_rows(build, rows.visible, kind, row.subquery("brickwork_row"))
            alone: ClauseElement = single.returning(*returned.values())
            return alone

        def build_many(returned: Returned) -> ClauseElement | None:
            if (lists := list_params(self._param_columns(kind), dialect)) is None:
                return None
            values = func.unnest(*lists).table_valued(
                *(f"v{n}" for n in range(len(lists))),
                with_ordinality="place",
                name="brickwork_rows",
            )
            values = values.render_derived()
            many = self._write_rows(build, rows.visible, kind, values)
            batch: ClauseElement = many.returning(*returned.values(), values.c.place)
            return batch

        visible, scope = rows.visible, rows.scope
        single = self.cached_single_write(dialect, visible, scope, ("single", kind), build_single)
        many = self.cached_single_write(dialect, visible, scope, ("many", kind), build_many)
        return (single, many) if single and many else ()

    def _write_rows(self, build: _Build, statement: Select[M], kind: _WriteKind, rows: Any) -> Any:
        """Build the write of *rows*, which have a column for each parameter, and maybe a place."""
        values = dict(zip(self._param_columns(kind), rows.c, strict=False))
        write: Any = self._where_target(
            build(values.__getitem__), statement, kind[1], values.__getitem__
        )
        limit = select(func.set_config("lock_timeout", _LOCK_TIMEOUT, true()).label("value"))
        return write.where(limit.subquery("brickwork_limit").c.value.is_not(None))

    def _where_target(
        self, write: Any, statement: Select[M], target: Sequence[str], value_of: ValueOf
    ) -> Any:
        """Restrict *write* to the *target* row, if *statement* selects it."""
        where = where_conditions(statement)
        write = write.where(*where)
        for name in target:
            column, value = self._param_column(name), value_of(name)
            is_same = (
                column.is_not_distinct_from(value)
                if name.startswith(UNCHANGED_PREFIX)
                else column == value
            )
            write = write.where(is_same)
        return write

    def _changed_columns(self, names: Sequence[str]) -> Sequence[str]:
        return [*dict.fromkeys((*names, *self._onupdate_defaults))] if names else ()

    def _param_columns(self, kind: _WriteKind) -> Mapping[str, Column[Any]]:
        """Return the parameters of a write, with their columns."""
        names = (*self._changed_columns(kind[0]), *kind[1])
        return {name: self._param_column(name) for name in names}

    def _param_column(self, name: str) -> Column[Any]:
        """Return the column that the parameter *name* is compared with, or written to."""
        if name == KEY_PARAM:
            name = self._key_name
        elif name == _VERSION_PARAM:
            name = "version"
        return self._mapped_columns[name.removeprefix(UNCHANGED_PREFIX)]

    def with_onupdate_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return *row* with the values of Python's `onupdate` defaults added."""
        defaults = self._onupdate_defaults.items()
        return {**{name: default(row) for name, default in defaults}, **row}
