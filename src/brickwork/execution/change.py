"""Statements that update or delete one row."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    Select,
    String,
    Uuid,
    bindparam,
    delete,
    func,
    inspect,
    literal_column,
    or_,
    select,
    true,
    update,
)
from typing_extensions import override

from brickwork.database.compiled import BoundStatement, CompiledStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KeyedWrite, fetch_rows, write_by_key
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.plans import DeletePlan, UpdatePlan
from brickwork.execution.prefetch import ReferencePrefetch
from brickwork.execution.samples import acceptances
from brickwork.execution.statement import (
    Columns,
    StatementCall,
    StatementOperation,
    Statements,
    require_single_key,
    require_statement,
    selected_columns,
)
from brickwork.execution.write import (
    PythonDefaults,
    Returned,
    WriteOperation,
    is_versioned,
    list_params,
    mapped_table,
    python_defaults,
    require_one_row,
    require_plain_flush,
)
from brickwork.http.conditional import Preconditions
from brickwork.http.representation import Representation, Serializer
from brickwork.models.model import UTCDateTime, now
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import PathKey
from brickwork.resource.definition import ResourceDefinition
from brickwork.sqlalchemy_internals import where_conditions
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types whose values both databases compare as Python does."""

_VERSION_PARAM: Final = "brickwork_version"
"""Bind parameter of the expected version; the parameters of columns have the columns' names."""

_LOCK_TIMEOUT: Final = "20ms"
"""How long a batch waits for a lock before each of its rows is written by itself."""

_UNCHANGED_PREFIX: Final = "brickwork_still_"
"""Prefix of parameters that must equal the values read before the update."""


def update_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, UpdatePlan, Representation]:
    """Return the statement of `PATCH /articles/{id}`. Raises `NotEligible` if overridden."""
    require_one_row(definition, definition.update)
    require_plain_flush(definition, "update", "get")
    onupdate_defaults = python_defaults(mapped_columns(definition.model), "onupdate")
    return _Update(definition, selected_columns(definition), onupdate_defaults)


def delete_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, DeletePlan, None]:
    """Return the statement of `DELETE /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "delete", "get")
    columns, (key,) = mapped_columns(definition.model), require_single_key(definition.model).names
    return _Delete(definition, {key: columns[key]}, python_defaults(columns, "onupdate"))


_ValueOf = Callable[[str], ColumnElement[Any]]
"""Returns the SQL value of a parameter."""

_WriteKind = tuple[Sequence[str], Sequence[str]]
"""The names of the changed columns, and the parameters that identify the row."""

_Build = Callable[[_ValueOf], Any]
"""Builds a write with the values of its parameters."""


@dataclass(slots=True, frozen=True)
class _Rows(Generic[M]):
    """The rows that a write finds, and those that it may leave: None for all."""

    visible: Select[M]
    scope: Select[M] | None = None


class _WriteByKey(WriteOperation[M, P, R]):
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

    def build_update(self, names: Sequence[str], value_of: _ValueOf) -> Any:
        """Build the UPDATE that sets *names* and increments the version."""
        changed = self._changed_columns(names)
        values: dict[Any, Any] = {self._mapped_columns[name]: value_of(name) for name in changed}
        if self._versioned:
            version = self._mapped_columns["version"]
            values[version] = version + literal_column("1")
        return update(mapped_table(self.definition)).values(values)

    def keyed_write(
        self, database: Database, rows: _Rows[M], kind: _WriteKind, build: _Build
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
        self, database: Database, rows: _Rows[M], kind: _WriteKind, build: _Build
    ) -> Statements:
        """Yield the statements of a write: of one row, and of a batch."""
        dialect = database.writer.dialect
        yield self._alone_statement(dialect, rows, kind, build)
        if database.coalesce and dialect.name == "postgresql":
            yield from self._batch_statements(dialect, rows, kind, build)[1:]

    def _alone_statement(
        self, dialect: Dialect, rows: _Rows[M], kind: _WriteKind, build: _Build
    ) -> BoundStatement | None:
        def value_of(name: str) -> ColumnElement[Any]:
            return bindparam(name, type_=self._param_column(name).type)

        def build_alone(returned: Returned) -> ClauseElement:
            write = self._where_target(build(value_of), rows.visible, kind[1], value_of)
            alone: ClauseElement = write.returning(*returned.values())
            return alone

        return self.cached_write(dialect, rows.visible, rows.scope, kind, build_alone)

    def _batch_statements(
        self, dialect: Dialect, rows: _Rows[M], kind: _WriteKind, build: _Build
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
        self, write: Any, statement: Select[M], target: Sequence[str], value_of: _ValueOf
    ) -> Any:
        """Restrict *write* to the *target* row, if *statement* selects it."""
        where = where_conditions(statement)
        write = write.where(*where)
        for name in target:
            column, value = self._param_column(name), value_of(name)
            is_same = (
                column.is_not_distinct_from(value)
                if name.startswith(_UNCHANGED_PREFIX)
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
        return self._mapped_columns[name.removeprefix(_UNCHANGED_PREFIX)]

    def with_onupdate_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return *row* with the values of Python's `onupdate` defaults added."""
        defaults = self._onupdate_defaults.items()
        return {**{name: default(row) for name, default in defaults}, **row}


class _Update(_WriteByKey[M, UpdatePlan, Representation]):
    """Updates one row."""

    checks_scope = True

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
    ) -> None:
        """Find the columns whose changes the database can detect."""
        self._references = ReferencePrefetch(definition)
        self._read_names = (*definition.read.model_fields,)
        super().__init__(definition, returned, onupdate_defaults, *self._references.models)
        fixed = {self._key_name, *(["version"] if self._versioned else [])}
        self._comparable = {
            name
            for name, column in self._mapped_columns.items()
            if isinstance(column.type, _COMPARABLE) and name not in fixed
        }

    @override
    async def execute(self, call: StatementCall[M], plan: UpdatePlan) -> Representation:
        target = self.target_row(plan.key, plan.preconditions)
        if not plan.data.model_fields_set <= self._comparable:
            raise NotEligible("a field can only be compared in Python")
        if not (changes := plan.data.model_dump(exclude_unset=True)):
            raise NotEligible("the patch is empty")
        values = self.with_onupdate_values(changes)
        fields, target = changes, dict(target)
        if self._uncertain_columns or self._references.foreign_keys:
            before = await self._load_trial_row(call, target)
            references = await self._references.load(call.database, changes, target[KEY_PARAM])
            fields = {**changes, **references.rows}
            # A change that cannot be serialised is not stored.
            trial = {**before, **values, **references.rows}
            self.dump(call.serializer, self._read_fields(trial))
            uncertain = {name: before[name] for name in self._uncertain_columns}
            target |= _unchanged_params({**uncertain, **references.key_values}, changes)
        elif not self._is_certain(values):
            self.dump(call.serializer, self._read_fields({**self._samples, **values}))
        write = self._keyed_write(call, (*sorted(changes),), (*target,))
        records = await write_by_key(call.database, write, {**values, **target})
        if not records:
            raise NotEligible(
                "no row was changed: it has other values or another version, or is out of scope"
            )
        return self._represent_stored(call.serializer, write.alone.statement, records[0], fields)

    @override
    def prepare(self, serializer: Serializer) -> None:
        super().prepare(serializer)
        read = self.definition.read
        self._accepted = {
            name: acceptance
            for name, acceptance in acceptances(self.definition).items()
            if acceptance.is_total or self._is_predictable(name)
        }
        self._samples = {name: accepted.sample for name, accepted in self._accepted.items()}
        names = [name for name in read.model_fields if name in self._mapped_columns]
        self._uncertain_columns = [name for name in names if name not in self._accepted]
        if unknown := [name for name in self._uncertain_columns if not self._is_predictable(name)]:
            names = sorted(unknown)
            raise NotEligible(f"{read.__name__} may reject stored values of {', '.join(names)}")

    def _is_certain(self, values: Mapping[str, Any]) -> bool:
        """Return whether the read schema certainly accepts *values*. False if a trial can tell."""
        accepted = self._accepted
        return all(accepted[name].covers(values[name]) for name in values if name in accepted)

    def _is_predictable(self, name: str) -> bool:
        """Return whether the value of column *name* can be read before the update and compared."""
        column = self._mapped_columns[name]
        if column.server_onupdate is not None:
            return False
        if column.onupdate is not None and name not in self._onupdate_defaults:
            return False
        return column.primary_key or name in self._comparable

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        if self._uncertain_columns:
            yield self._select_before(statement, database.reader.dialect)
        yield from self._references.common_statements(database, is_new=False)
        names = (*sorted(self._comparable & self.definition.update.model_fields.keys()),)
        compared = dict.fromkeys((*self._uncertain_columns, *self._references.foreign_keys))
        target = (KEY_PARAM, *_unchanged_params(compared, names))
        build = partial(self._update_if_changed, database.writer.dialect, names)
        yield from self.common_write(database, _Rows(statement, scope), (names, target), build)

    async def _load_trial_row(
        self, call: StatementCall[M], target: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the values with which the response is serialised before the update.

        These are the stored values where the read schema may reject some, else samples.
        """
        if not self._uncertain_columns:
            return self._samples
        select_row = require_statement(
            self._select_before(call.statement, call.database.reader.dialect)
        )
        params = {**select_row.values, KEY_PARAM: target[KEY_PARAM]}
        compiled = select_row.statement
        if not (records := await fetch_rows(call.database, compiled, params)):
            raise NotEligible("there is no such row")
        return dict(zip(compiled.columns, compiled.decode_row(records[0]), strict=True))

    def _select_before(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the statement that reads the row before the update."""

        def build() -> ClauseElement:
            key = self._mapped_columns[self._key_name]
            where = where_conditions(statement)
            row = select(*self._columns.values())
            return row.where(*where, key == bindparam(KEY_PARAM, type_=key.type))

        return self.cached_statement(dialect, statement, "before", build)

    def _keyed_write(
        self, call: StatementCall[M], names: Sequence[str], target: Sequence[str]
    ) -> KeyedWrite:
        build = partial(self._update_if_changed, call.database.writer.dialect, names)
        rows = _Rows(call.statement, call.scope)
        return self.keyed_write(call.database, rows, (names, target), build)

    def _update_if_changed(self, dialect: Dialect, names: Sequence[str], value_of: _ValueOf) -> Any:
        """Build an UPDATE of a row in which one of *names* changes.

        The read schema accepts the other values of the row.
        """
        columns = self._mapped_columns
        known = {*self._changed_columns(names)}
        return (
            self.build_update(names, value_of)
            .where(or_(*(columns[name].is_distinct_from(value_of(name)) for name in names)))
            .where(
                *(
                    accepted.build_condition(columns[name], dialect)
                    for name, accepted in self._accepted.items()
                    if not accepted.is_total and name not in known
                )
            )
        )

    def _represent_stored(
        self,
        serializer: Serializer,
        statement: CompiledStatement,
        record: Any,
        fields: Mapping[str, Any],
    ) -> Representation:
        row = dict(zip(statement.columns, statement.decode_row(record), strict=True))
        row.update(fields)
        body = serializer.dump_stored(self._read_fields(row))
        return Representation(body, row["version"] if self._versioned else None)

    def _read_fields(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of the fields of the read schema."""
        return {name: row[name] for name in self._read_names}


class _Delete(_WriteByKey[M, DeletePlan, None]):
    """Deletes one row, or marks it as deleted."""

    @override
    async def execute(self, call: StatementCall[M], plan: DeletePlan) -> None:
        target = self.target_row(plan.key, plan.preconditions)
        if plan.purge or not self._deletes_nothing_else():
            raise NotEligible("related rows may be deleted or changed")
        marker: Mapping[str, Any] = {}
        if self._marked:
            marker = self.with_onupdate_values({"deleted_at": now()})
        kind = (self._marked, (*target,))
        rows = _Rows(call.statement)
        write = self.keyed_write(call.database, rows, kind, self._build_delete)
        if not await write_by_key(call.database, write, {**marker, **target}):
            raise NotEligible("no row was deleted: it has another version, or is away")

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        if not self._deletes_nothing_else():
            name = self.definition.model.__name__
            raise NotEligible(f"deleting a {name} may delete or change related rows")
        kind = (self._marked, (KEY_PARAM,))
        yield from self.common_write(database, _Rows(statement), kind, self._build_delete)

    def _build_delete(self, value_of: _ValueOf) -> Any:
        if self._marked:
            return self.build_update(self._marked, value_of)
        return delete(mapped_table(self.definition))

    @property
    def _marked(self) -> tuple[str, ...]:
        """Return the column that marks a deleted row. Empty if rows are deleted."""
        return ("deleted_at",) if is_soft_deletable(self.definition.model) else ()

    def _deletes_nothing_else(self) -> bool:
        """Return whether the row is only marked, or its model has no relationships."""
        model = self.definition.model
        return is_soft_deletable(model) or not [*inspect(model).relationships]


def _unchanged_params(values: Mapping[str, Any], changes: Collection[str]) -> Mapping[str, Any]:
    """Return as parameters the *values* of columns that are not in *changes*."""
    return {_UNCHANGED_PREFIX + name: values[name] for name in values if name not in changes}
