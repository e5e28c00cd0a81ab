"""Common parts of writing statements.

Each is one statement in autocommit. A rejected statement changes nothing: the ORM path executes the
plan again, and reports the error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Dialect,
    Enum,
    Select,
    String,
    Table,
    bindparam,
    inspect,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from brickwork.database.compiled import BoundStatement
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.statement import (
    Columns,
    StatementOperation,
    require_not_overridden,
    require_single_key,
)
from brickwork.execution.written_scope import (
    IN_SCOPE,
    IN_SCOPE_COLUMN,
    in_scope_or_error,
    select_in_scope,
)
from brickwork.models.model import Versioned, created_at_of
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.related import stored_fields
from brickwork.schemas.schema import Schema
from brickwork.sqlalchemy_internals import has_own_constructor
from brickwork.tracking.changes import ChangeTracked, mapped_columns

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")

Returned = Mapping[str, ColumnElement[Any]]
"""The columns of RETURNING by name."""

BuildWrite = Callable[[Returned], ClauseElement | None]
"""Builds an INSERT, UPDATE or DELETE that returns some columns. None if there is none."""

PythonDefault = Callable[[Mapping[str, Any]], Any]
"""A column default that Python computes from the values of other columns."""

PythonDefaults = Mapping[str, PythonDefault]
"""Python defaults by attribute name."""


class WriteOperation(StatementOperation[M, P, R]):
    """A write as one statement. The written rows may have to be in a scope."""

    def cached_write(
        self,
        dialect: Dialect,
        statement: Select[M] | None,
        scope: Select[M] | None,
        kind: object,
        build: BuildWrite,
    ) -> BoundStatement | None:
        """Return the compiled write as `cached_statement` does, with the check of *scope*.

        The write contains the check, or a SELECT after it checks the rows.
        """
        write = self.cached_single_write(dialect, statement, scope, kind, build)
        if write or scope is None:
            return write
        model = self.definition.model
        (key,) = require_single_key(model).names
        columns = {key: mapped_columns(model)[key], **self._columns}
        check = self.cached_statement(
            dialect, None, "check", lambda: select_in_scope(scope, model), scope=scope
        )
        write = self.cached_statement(
            dialect, statement, ("checked", kind), lambda: build(columns), columns=columns
        )
        return replace(write, check=check) if write and check else None

    def cached_single_write(
        self,
        dialect: Dialect,
        statement: Select[M] | None,
        scope: Select[M] | None,
        kind: object,
        build: BuildWrite,
    ) -> BoundStatement | None:
        """Return the compiled write as `cached_write` does. None if a SELECT has to follow it."""
        if scope is None:
            return self.cached_statement(dialect, statement, kind, lambda: build(self._columns))
        # SQLite compares texts in RETURNING without the collation of their column.
        if dialect.name != "postgresql":
            return None

        def build_with_check() -> ClauseElement | None:
            check = in_scope_or_error(scope)
            return None if check is None else build({**self._columns, IN_SCOPE: check})

        columns = {**self._columns, IN_SCOPE: IN_SCOPE_COLUMN}
        return self.cached_statement(
            dialect, statement, kind, build_with_check, scope=scope, columns=columns
        )


def require_plain_flush(definition: ResourceDefinition[Any], *methods: str) -> None:
    """Raise `NotEligible` if a flush would send more than one statement, or call other code."""
    require_not_overridden(definition.resource, *methods, "reference_scopes")
    model: type[object] = definition.model
    mapper = inspect(model)
    name = model.__name__
    reasons = {
        f"{definition.resource.__name__} sets isolation_level": definition.resource.isolation_level,
        f"changes of {name} are recorded": issubclass(model, ChangeTracked),
        f"{name} uses inheritance or several tables": (
            mapper.inherits is not None
            or mapper.polymorphic_on is not None
            or len(mapper.tables) > 1
        ),
        f"{name} has validators": mapper.validators,
        f"{name} has its own constructor": (has_own_constructor(mapper)),
        f"{name} has its own version counter": (
            not _counts_by_one(mapper.version_id_generator, model)
        ),
    }
    for reason, applies in reasons.items():
        if applies:
            raise NotEligible(reason)


def require_one_row(definition: ResourceDefinition[Any], schema: type[Schema]) -> None:
    """Raise `NotEligible` if a body of *schema* has more than the columns of one row."""
    model: type[object] = definition.model
    others = sorted(schema.model_fields.keys() - stored_fields(schema, model))
    if others:
        raise NotEligible(f"a body may have related rows, or values without a column: {others[0]}")


def _counts_by_one(generator: Any, model: type[object]) -> bool:
    """Return whether versions of *model*, if it has any, are 1, 2, 3 and so on."""
    column: Any = inspect(model).version_id_col
    if column is None:
        return not issubclass(model, Versioned)
    standard = issubclass(model, Versioned) and column is mapped_columns(model)["version"]
    return standard and callable(generator) and [generator(n) for n in (None, 1, 41)] == [1, 2, 42]


def python_defaults(columns: Columns, kind: str) -> PythonDefaults:
    """Return the Python defaults of *columns*; *kind* is `default` or `onupdate`.

    Raises `NotEligible` for a default that only a flush can compute.
    """
    defaults: dict[str, PythonDefault] = {}
    for name, column in columns.items():
        default = getattr(column, kind)
        if default is not None and default.is_scalar:
            defaults[name] = _constant_default(default.arg)
        elif default is not None and default.is_callable:
            if (function := _as_default(default.arg)) is None:
                raise NotEligible(f"the default of {name} takes the execution context")
            defaults[name] = function
    return defaults


def _constant_default(value: object) -> PythonDefault:
    return lambda _: value


def _as_default(function: Any) -> PythonDefault | None:
    """Wrap *function* so that it takes the other values. None if it needs SQLAlchemy's context."""
    if function is created_at_of:
        return lambda values: created_at_of(cast("Any", SimpleNamespace(current_parameters=values)))
    if hasattr(function, "__wrapped__"):  # SQLAlchemy wraps functions without parameters
        return lambda _: function(None)
    return None


def list_params(
    params: Mapping[str, Column[Any]], dialect: Dialect
) -> Sequence[BindParameter[Any]] | None:
    """Return a parameter for a list of values of each column.

    None if a value may be a list, which unnest would flatten.
    """
    if any(column.type.compile(dialect).endswith("[]") for column in params.values()):
        return None
    return [
        bindparam(name, type_=ARRAY(_untruncated(column.type))) for name, column in params.items()
    ]


def _untruncated(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return *kind* without its length: a cast to a list of `VARCHAR(9)` would cut texts."""
    has_length = isinstance(kind, String) and not isinstance(kind, Enum) and kind.length
    return String() if has_length else kind


def is_versioned(definition: ResourceDefinition[Any]) -> bool:
    """Return whether the model is `Versioned`."""
    return issubclass(definition.model, Versioned)


def mapped_table(definition: ResourceDefinition[Any]) -> "Table[Any]":
    """Return the table of the model."""
    mapper: Mapper[Any] = inspect(definition.model)
    return cast("Table[Any]", mapper.local_table)
