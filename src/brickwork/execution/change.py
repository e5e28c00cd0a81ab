"""Statements that update or delete one row."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Boolean,
    ClauseElement,
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
    inspect,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.database.compiled import BoundStatement, CompiledStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, execute_write, fetch_rows
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.plans import DeletePlan, UpdatePlan
from brickwork.execution.prefetch import ReferencePrefetch
from brickwork.execution.samples import sample_values
from brickwork.execution.statement import (
    Columns,
    StatementCall,
    StatementOperation,
    Statements,
    require_statement,
    selected_columns,
)
from brickwork.execution.write import (
    PythonDefaults,
    is_versioned,
    mapped_table,
    python_defaults,
    require_plain_flush,
)
from brickwork.http.conditional import Preconditions
from brickwork.http.representation import Representation, Serializer
from brickwork.models.model import UTCDateTime, now
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import parse_key, primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)
P = TypeVar("P")
R = TypeVar("R")

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types whose values both databases compare as Python does."""

_VERSION_PARAM: Final = "brickwork_version"
"""Bind parameter of the expected version; the parameters of columns have the columns' names."""

_UNCHANGED_PREFIX: Final = "brickwork_still_"
"""Prefix of parameters that must equal the values read before the update."""


def update_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, UpdatePlan, Representation]:
    """Return the statement of `PATCH /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "update", "get", "query")
    onupdate_defaults = python_defaults(mapped_columns(definition.model), "onupdate")
    return _Update(definition, selected_columns(definition), onupdate_defaults)


def delete_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, DeletePlan, None]:
    """Return the statement of `DELETE /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "delete", "get")
    columns, key = mapped_columns(definition.model), primary_key(definition.model).key
    return _Delete(definition, {key: columns[key]}, python_defaults(columns, "onupdate"))


class _WriteByKey(StatementOperation[M, P, R]):
    """A write of one row, of a given version if the client sends If-Match."""

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
        *models: type[DeclarativeBase],
    ) -> None:
        """Store the Python defaults of an update; *models* are read in addition to the row."""
        super().__init__(definition, returned, definition.model, *models)
        self._mapped_columns = mapped_columns(definition.model)
        self._onupdate_defaults = onupdate_defaults
        self._versioned = is_versioned(definition)

    def target_row(self, key: str, preconditions: Preconditions) -> Mapping[str, Any]:
        """Return the parameters that identify the row and its version."""
        value = parse_key(self.definition.model, key)
        if value is None:
            raise NotEligible("the key is malformed")
        if preconditions.is_empty:
            if self.definition.resource.require_if_match:
                raise NotEligible("If-Match is required")
            return {KEY_PARAM: value}
        if self._versioned and (version := preconditions.version) is not None:
            return {KEY_PARAM: value, _VERSION_PARAM: version}
        raise NotEligible("a precondition is not one strong entity tag")

    def build_update(self, names: Sequence[str]) -> Any:
        """Build the UPDATE that sets *names* and increments the version."""
        changed = [*dict.fromkeys((*names, *self._onupdate_defaults))]
        values: dict[Any, Any] = {self._mapped_columns[name]: self._param(name) for name in changed}
        if self._versioned:
            version = self._mapped_columns["version"]
            values[version] = version + literal_column("1")
        return update(mapped_table(self.definition)).values(values)

    def where_target(
        self, write: Any, statement: Select[M], target: Mapping[str, Any]
    ) -> ClauseElement:
        """Restrict *write* to the *target* row, if *statement* selects it."""
        where = statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        key = self._mapped_columns[primary_key(self.definition.model).key]
        write = write.where(*where, key == bindparam(KEY_PARAM, type_=key.type))
        if _VERSION_PARAM in target:
            version = self._mapped_columns["version"]
            write = write.where(version == bindparam(_VERSION_PARAM, type_=version.type))
        for name in target.keys() - {KEY_PARAM, _VERSION_PARAM}:
            column = self._mapped_columns[name.removeprefix(_UNCHANGED_PREFIX)]
            before = bindparam(name, type_=column.type)
            write = write.where(column.is_not_distinct_from(before))
        returning: ClauseElement = write.returning(*self._columns.values())
        return returning

    def with_onupdate_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return *row* with the values of Python's `onupdate` defaults added."""
        defaults = self._onupdate_defaults.items()
        return {**{name: default(row) for name, default in defaults}, **row}

    def _param(self, name: str) -> Any:
        return bindparam(name, type_=self._mapped_columns[name].type)


class _Update(_WriteByKey[M, UpdatePlan, Representation]):
    """Updates one row."""

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
    ) -> None:
        """Find the columns whose changes the database can detect."""
        self._references = ReferencePrefetch(definition)
        super().__init__(definition, returned, onupdate_defaults, *self._references.models)
        fixed = {primary_key(definition.model).key, *(["version"] if self._versioned else [])}
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
        database = call.database
        before = await self._load_trial_row(call, target)
        references = await self._references.load(database, changes, target[KEY_PARAM])
        values = self.with_onupdate_values(changes)
        trial = self._read_fields({**before, **values, **references.rows})
        self.dump(call.serializer, trial)  # a change that cannot be serialised is not stored
        uncertain = {name: before[name] for name in self._uncertain_columns}
        unchanged = _unchanged_params({**uncertain, **references.key_values}, changes)
        target = {**target, **unchanged}
        dialect = database.writer.dialect
        write = require_statement(
            self._write_statement(call.statement, dialect, sorted(changes), target)
        )
        params = {**write.values, **values, **target}
        records = await execute_write(database, write.statement, params)
        if not records:
            raise NotEligible(
                "no row was changed: it has other values, another version, or is away"
            )
        fields = {**changes, **references.rows}
        return self._represent(call.serializer, write.statement, records[0], fields)

    @override
    def prepare(self, serializer: Serializer) -> None:
        super().prepare(serializer)
        read = self.definition.read
        self._samples = sample_values(self.definition)
        names = [name for name in read.model_fields if name in self._mapped_columns]
        self._uncertain_columns = [name for name in names if name not in self._samples]
        if unknown := [name for name in self._uncertain_columns if not self._is_predictable(name)]:
            names = sorted(unknown)
            raise NotEligible(f"{read.__name__} may reject stored values of {', '.join(names)}")

    def _is_predictable(self, name: str) -> bool:
        """Return whether the value of column *name* can be read before the update and compared."""
        column = self._mapped_columns[name]
        if column.server_onupdate is not None:
            return False
        if column.onupdate is not None and name not in self._onupdate_defaults:
            return False
        return column.primary_key or name in self._comparable

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        if self._uncertain_columns:
            yield self._select_before(statement, database.reader.dialect)
        yield from self._references.common_statements(database, is_new=False)
        names = sorted(self._comparable & self.definition.update.model_fields.keys())
        compared = dict.fromkeys((*self._uncertain_columns, *self._references.foreign_keys))
        unchanged = _unchanged_params(compared, names)
        yield self._write_statement(statement, database.writer.dialect, names, unchanged)

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
        key = self._mapped_columns[primary_key(self.definition.model).key]
        columns = select(*self._columns.values())
        where = statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        select_row = columns.where(*where, key == bindparam(KEY_PARAM, type_=key.type))
        return self.cached_statement(dialect, statement, "before", lambda: select_row)

    def _write_statement(
        self,
        statement: Select[M],
        dialect: Dialect,
        names: Sequence[str],
        target: Mapping[str, Any],
    ) -> BoundStatement | None:
        return self.cached_statement(
            dialect,
            statement,
            (*names, *target),
            lambda: self.where_target(self._update_if_changed(names), statement, target),
        )

    def _update_if_changed(self, names: Sequence[str]) -> Any:
        """Build an UPDATE that matches only a row in which one of *names* changes."""
        columns = self._mapped_columns
        return self.build_update(names).where(
            or_(*(columns[name].is_distinct_from(self._param(name)) for name in names))
        )

    def _represent(
        self,
        serializer: Serializer,
        statement: CompiledStatement,
        record: Any,
        fields: Mapping[str, Any],
    ) -> Representation:
        row = {**dict(zip(statement.columns, statement.decode_row(record), strict=True)), **fields}
        body = serializer.dump_stored(self._read_fields(row))
        return Representation(body, row["version"] if self._versioned else None)

    def _read_fields(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of the fields of the read schema."""
        return {name: row[name] for name in self.definition.read.model_fields}


class _Delete(_WriteByKey[M, DeletePlan, None]):
    """Deletes one row, or marks it as deleted."""

    @override
    async def execute(self, call: StatementCall[M], plan: DeletePlan) -> None:
        target = self.target_row(plan.key, plan.preconditions)
        if plan.purge or not self._deletes_nothing_else():
            raise NotEligible("related rows may be deleted or changed")
        marker: Mapping[str, Any] = {}
        dialect = call.database.writer.dialect
        write = require_statement(self._write_statement(call.statement, dialect, target))
        if is_soft_deletable(self.definition.model):
            marker = self.with_onupdate_values({"deleted_at": now()})
        params = {**write.values, **marker, **target}
        if not await execute_write(call.database, write.statement, params):
            raise NotEligible("no row was deleted: it has another version, or is away")

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        if not self._deletes_nothing_else():
            name = self.definition.model.__name__
            raise NotEligible(f"deleting a {name} may delete or change related rows")
        yield self._write_statement(statement, database.writer.dialect, {})

    def _write_statement(
        self, statement: Select[M], dialect: Dialect, target: Mapping[str, Any]
    ) -> BoundStatement | None:
        return self.cached_statement(
            dialect,
            statement,
            (*target,),
            lambda: self.where_target(self._build_delete(), statement, target),
        )

    def _build_delete(self) -> Any:
        if is_soft_deletable(self.definition.model):
            return self.build_update(["deleted_at"])
        return delete(mapped_table(self.definition))

    def _deletes_nothing_else(self) -> bool:
        """Return whether the row is only marked, or its model has no relationships."""
        model = self.definition.model
        return is_soft_deletable(model) or not [*inspect(model).relationships]


def _unchanged_params(values: Mapping[str, Any], changes: Collection[str]) -> Mapping[str, Any]:
    """Return as parameters the *values* of columns that are not in *changes*."""
    return {_UNCHANGED_PREFIX + name: values[name] for name in values if name not in changes}
