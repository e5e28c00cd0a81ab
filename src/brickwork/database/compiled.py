"""Statements that SQLAlchemy compiles once, with how their values and rows are to be read."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

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

_Process = Callable[[Any], Any]

_FLOAT8: Final = 701
_NUMERIC: Final = 1700
"""What PostgreSQL calls its types of numbers, which is asked of numeric columns alone."""

_KNOWN: Final = ("brickwork.", "sqlalchemy.")
"""The beginnings of the modules of types that go by the value alone."""


@dataclass(frozen=True, eq=False)
class CompiledStatement:
    """SQL in the words of one database, and how its values and rows are to be read."""

    sql: str
    shareable: bool
    """Whether its values and rows are the same for all callers: no type has code of its own."""
    names: Sequence[str]
    values: Mapping[str, Any]
    binds: Mapping[str, _Process]
    columns: Sequence[str]
    processes: Sequence[tuple[int, _Process]]
    inner: Mapping[str, int]
    """Where among the parameters of the rows, from which it was made, the value of a name is."""
    table: "Table[Any] | None" = None
    """The table that it writes."""

    def within(self, parameters: Sequence[BindParameter[Any]]) -> Mapping[str, Any]:
        """Return the values that rows bring along which are narrowed alike, by other values."""
        return {name: parameters[index].effective_value for name, index in self.inner.items()}

    def bound(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of the placeholders."""
        values = {**self.values, **given}
        return [self.binds[name](values[name]) for name in self.names]

    def read(self, record: Sequence[Any]) -> list[Any]:
        """Return the values of *columns* in a row of the driver's."""
        values = [*record]
        for index, process in self.processes:
            values[index] = process(values[index])
        return values


@dataclass(frozen=True, eq=False)
class BoundStatement:
    """A statement, and the values that the rows brought along from which it was made."""

    statement: CompiledStatement
    values: Mapping[str, Any]


def compile_statement(
    statement: ClauseElement | None,
    columns: Mapping[str, ColumnElement[Any]],
    dialect: Dialect,
    parameters: Sequence[BindParameter[Any]] = (),
) -> CompiledStatement | None:
    """Return *statement*, which returns *columns*; None if there is none, or none for all values.

    *parameters* are those of the rows it was made from: their values are given anew each time. None
    may have a name of its own, which could be that of a value that is given besides.
    """
    if statement is None:
        return None
    try:
        made: Any = statement.compile(dialect=dialect)
    except (ArgumentError, CompileError):  # the ordinary lane will say so
        return None
    inner = dict(_inner(made.binds, parameters))
    named = any(not each.unique for each in parameters)
    if named or made.post_compile_params or made.literal_execute_params:
        return None
    names: Sequence[str] = made.positiontup or ()
    types = [made.binds[name].type for name in names]
    types += [each.type for each in columns.values()]
    return CompiledStatement(
        sql=str(made),
        shareable=all(map(_is_known, types)),
        names=names,
        values=made.construct_params(_check=False),
        binds={name: _binding(made.binds[name].type, dialect) for name in names},
        columns=[*columns],
        processes=[*_processes(columns.values(), dialect)],
        inner={name: inner[name] for name in names if name in inner},
        table=_written(statement),
    )


def _written(statement: ClauseElement) -> "Table[Any] | None":
    """Return the table that *statement* writes."""
    table: Any = statement.table if isinstance(statement, Insert | Update | Delete) else None
    return cast("Table[Any] | None", table)


def _inner(
    binds: Mapping[str, BindParameter[Any]], parameters: Sequence[BindParameter[Any]]
) -> Iterator[tuple[str, int]]:
    """Yield which of *binds* are *parameters*, perhaps copied since; the others keep their values.

    SQLAlchemy tells them in the same way, where it has a statement compiled already.
    """
    for name, bind in binds.items():
        copied: Any = bind
        copied_from: Collection[Any] = copied._cloned_set  # noqa: SLF001
        for index, each in enumerate(parameters):
            if each in copied_from:
                yield name, index


def _is_known(kind: Any) -> bool:
    """Tell whether *kind* is a type of SQLAlchemy's or ours, which go by the value alone."""
    item: Any = getattr(kind, "item_type", None)
    within = [*kind._variant_mapping.values(), *([] if item is None else [item])]  # noqa: SLF001
    known = type(kind).__module__.startswith(_KNOWN) and not isinstance(kind, PickleType)
    return known and all(map(_is_known, within))


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Process:
    process: _Process | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return process or _as_it_is


def _processes(
    columns: Iterable[ColumnElement[Any]], dialect: Dialect
) -> Iterator[tuple[int, _Process]]:
    for index, each in enumerate(columns):
        number = _FLOAT8 if isinstance(each.type, Float) else _NUMERIC
        if process := each.type.dialect_impl(dialect).result_processor(dialect, number):
            yield index, process


def _as_it_is(value: Any) -> Any:
    return value
