"""Statements that delete one row."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import (
    Select,
    delete,
    inspect,
)
from typing_extensions import override

from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, write_by_key
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.keyed_write import TargetRows, ValueOf, WriteByKey
from brickwork.execution.plans import DeletePlan
from brickwork.execution.statement import (
    StatementCall,
    StatementOperation,
    Statements,
    require_single_key,
)
from brickwork.execution.write import (
    mapped_table,
    python_defaults,
    require_plain_flush,
)
from brickwork.models.model import now
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")


def delete_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, DeletePlan, None]:
    """Return the statement of `DELETE /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "delete", "get")
    columns, (key,) = mapped_columns(definition.model), require_single_key(definition.model).names
    return _Delete(definition, {key: columns[key]}, python_defaults(columns, "onupdate"))


class _Delete(WriteByKey[M, DeletePlan, None]):
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
        rows = TargetRows(call.statement)
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
        yield from self.common_write(database, TargetRows(statement), kind, self._build_delete)

    def _build_delete(self, value_of: ValueOf) -> Any:
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
