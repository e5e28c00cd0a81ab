"""Statements that update one row."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
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
    or_,
    select,
)
from typing_extensions import override

from brickwork.database.compiled import BoundStatement, CompiledStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KeyedWrite, fetch_rows, write_by_key
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.keyed_write import UNCHANGED_PREFIX, TargetRows, ValueOf, WriteByKey
from brickwork.execution.plans import UpdatePlan
from brickwork.execution.prefetch import ReferencePrefetch
from brickwork.execution.samples import acceptances
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
    python_defaults,
    require_one_row,
    require_plain_flush,
)
from brickwork.http.representation import Representation, Serializer
from brickwork.models.model import UTCDateTime
from brickwork.resource.definition import ResourceDefinition
from brickwork.sqlalchemy_internals import where_conditions
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types whose values both databases compare as Python does."""


def update_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, UpdatePlan, Representation]:
    """Return the statement of `PATCH /articles/{id}`. Raises `NotEligible` if overridden."""
    require_one_row(definition, definition.update)
    require_plain_flush(definition, "update", "get")
    onupdate_defaults = python_defaults(mapped_columns(definition.model), "onupdate")
    return _Update(definition, selected_columns(definition), onupdate_defaults)


class _Update(WriteByKey[M, UpdatePlan, Representation]):
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
        yield from self.common_write(database, TargetRows(statement, scope), (names, target), build)

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
        rows = TargetRows(call.statement, call.scope)
        return self.keyed_write(call.database, rows, (names, target), build)

    def _update_if_changed(self, dialect: Dialect, names: Sequence[str], value_of: ValueOf) -> Any:
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


def _unchanged_params(values: Mapping[str, Any], changes: Collection[str]) -> Mapping[str, Any]:
    """Return as parameters the *values* of columns that are not in *changes*."""
    return {UNCHANGED_PREFIX + name: values[name] for name in values if name not in changes}
