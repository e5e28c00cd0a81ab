"""Compiled statements, with their bind and result processors."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Delete,
    Dialect,
    Float,
    Insert,
    PickleType,
    Table,
    Update,
)
from sqlalchemy.exc import ArgumentError, CompileError
from sqlalchemy.types import TypeEngine

from brickwork.sqlalchemy_internals import copied_parameters, unchecked_params, variant_types

_Process = Callable[[Any], Any]

_FLOAT8: Final = 701
_NUMERIC: Final = 1700
"""PostgreSQL's type OIDs, which the result processors of numeric columns ask for."""

_TRUSTED_MODULES: Final = ("brickwork.", "sqlalchemy.")
"""Module prefixes of types whose conversion depends on the value alone."""


@dataclass(frozen=True, eq=False)
class CompiledStatement:
    """SQL for one dialect, with the processors of its parameters and rows."""

    sql: str
    shareable: bool
    """Whether callers can share values and rows, because no column type runs user code."""
    names: Sequence[str]
    values: Mapping[str, Any]
    binds: Mapping[str, _Process]
    columns: Sequence[str]
    processes: Sequence[tuple[int, _Process]]
    param_positions: Mapping[str, int]
    """Position of each named parameter among the parameters of the original query."""
    table: "Table[Any] | None" = None
    """The table that the statement writes. None for a SELECT."""

    def extract_params(self, parameters: Sequence[BindParameter[Any]]) -> Mapping[str, Any]:
        """Return the parameter values of a query with the same structure."""
        return {
            name: parameters[index].effective_value for name, index in self.param_positions.items()
        }

    def bind(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the converted values in the order of the placeholders."""
        values = {**self.values, **params}
        return [self.binds[name](values[name]) for name in self.names]

    def decode_row(self, record: Sequence[Any]) -> list[Any]:
        """Return the values of *columns*, converted from a driver's *record*."""
        values = [*record]
        for index, process in self.processes:
            values[index] = process(values[index])
        return values


class RowCheck(NamedTuple):
    """A SELECT that must find each written row by its key; else the write is rolled back."""

    sql: str
    values: Sequence[Any]
    """The values of all parameters but the last, which is the key."""


class BoundSQL(NamedTuple):
    """SQL with converted values, and the check of the rows that it writes."""

    sql: str
    values: Sequence[Any]
    check: RowCheck | None = None


@dataclass(frozen=True, eq=False)
class BoundStatement:
    """A statement, and the parameter values of the query that it was built from."""

    statement: CompiledStatement
    values: Mapping[str, Any]
    check: "BoundStatement | None" = None
    """The statement of a `RowCheck`. Written rows begin with their key then.

    None if the statement needs no check, or contains it.
    """

    def bind(self, params: Mapping[str, Any]) -> BoundSQL:
        """Return the SQL with its values, those of *params* included."""
        check: RowCheck | None = None
        if self.check is not None:
            check = RowCheck(self.check.statement.sql, self.check.bind({}).values[:-1])
        values = self.statement.bind({**self.values, **params})
        return BoundSQL(self.statement.sql, values, check)


def compile_statement(
    statement: ClauseElement | None,
    columns: Mapping[str, ColumnElement[Any]],
    dialect: Dialect,
    parameters: Sequence[BindParameter[Any]] = (),
) -> CompiledStatement | None:
    """Compile *statement*, which returns *columns*.

    The values of *parameters*, from the original query, change with each execution. None if the
    dialect cannot compile the statement, or if its SQL depends on values. None also if a parameter
    has a fixed name, which may collide with another.
    """
    if statement is None:
        return None
    try:
        compiled: Any = statement.compile(dialect=dialect)
    except (ArgumentError, CompileError):  # the ORM path reports it
        return None
    positions = dict(_match_params(compiled.binds, parameters))
    has_fixed_name = any(not parameter.unique for parameter in parameters)
    if has_fixed_name or compiled.post_compile_params or compiled.literal_execute_params:
        return None
    names: Sequence[str] = compiled.positiontup or ()
    types = [compiled.binds[name].type for name in names]
    types += [column.type for column in columns.values()]
    return CompiledStatement(
        sql=str(compiled),
        shareable=all(map(is_pure_type, types)),
        names=names,
        values=unchecked_params(compiled),
        binds={name: _bind_processor(compiled.binds[name].type, dialect) for name in names},
        columns=[*columns],
        processes=[*_result_processors(columns.values(), dialect)],
        param_positions={name: positions[name] for name in names if name in positions},
        table=_target_table(statement),
    )


def _target_table(statement: ClauseElement) -> "Table[Any] | None":
    """Return the table that *statement* writes. None for a SELECT."""
    table: Any = statement.table if isinstance(statement, Insert | Update | Delete) else None
    return cast("Table[Any] | None", table)


def _match_params(
    binds: Mapping[str, BindParameter[Any]], parameters: Sequence[BindParameter[Any]]
) -> Iterator[tuple[str, int]]:
    """Yield the names of *binds* that are *parameters* or copies of them, with their positions.

    SQLAlchemy's statement cache identifies copies in the same way.
    """
    for name, bind in binds.items():
        copied_from = copied_parameters(bind)
        for index, parameter in enumerate(parameters):
            if parameter in copied_from:
                yield name, index


def is_pure_type(kind: Any) -> bool:
    """Return whether *kind* and its parts are SQLAlchemy's or Brickwork's, without user code."""
    item: Any = getattr(kind, "item_type", None)
    parts = [*variant_types(kind).values(), *([] if item is None else [item])]
    is_pure = type(kind).__module__.startswith(_TRUSTED_MODULES)
    return is_pure and not isinstance(kind, PickleType) and all(map(is_pure_type, parts))


def _bind_processor(kind: TypeEngine[Any], dialect: Dialect) -> _Process:
    process: _Process | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return process or _identity


def _result_processors(
    columns: Iterable[ColumnElement[Any]], dialect: Dialect
) -> Iterator[tuple[int, _Process]]:
    for index, column in enumerate(columns):
        oid = _FLOAT8 if isinstance(column.type, Float) else _NUMERIC
        if process := column.type.dialect_impl(dialect).result_processor(dialect, oid):
            yield index, process


def _identity(value: Any) -> Any:
    return value
