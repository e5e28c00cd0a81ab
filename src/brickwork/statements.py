"""Statements that SQLAlchemy compiles once, with how their values and rows are to be read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ClauseElement, ColumnElement, Dialect, Float
from sqlalchemy.types import TypeEngine

_Process = Callable[[Any], Any]

_FLOAT8: Final = 701
_NUMERIC: Final = 1700
"""What PostgreSQL calls its types of numbers, which is asked of numeric columns alone."""


@dataclass(frozen=True, eq=False)
class Statement:
    """SQL in the words of one database, and how its values and rows are to be read."""

    sql: str
    names: Sequence[str]
    values: Mapping[str, Any]
    binds: Mapping[str, _Process]
    columns: Sequence[str]
    processes: Sequence[tuple[int, _Process]]

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


def compiled(
    statement: ClauseElement, columns: Mapping[str, ColumnElement[Any]], dialect: Dialect
) -> Statement | None:
    """Return *statement*, which returns *columns*; None if its SQL depends on its values."""
    made: Any = statement.compile(dialect=dialect)
    if made.post_compile_params or made.literal_execute_params:
        return None
    return Statement(
        sql=str(made),
        names=made.positiontup or (),
        values=made.construct_params(_check=False),
        binds={name: _binding(each.type, dialect) for name, each in made.binds.items()},
        columns=[*columns],
        processes=[*_processes(columns.values(), dialect)],
    )


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
