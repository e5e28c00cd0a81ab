"""What the lanes of writes have in common: each is one statement, which commits by itself.

What is refused has changed nothing, and is sent again on the ordinary lane, which tells why.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Final, TypeVar, cast

from pydantic import ValidationError
from sqlalchemy import Column, Dialect, Table, inspect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.dml import UpdateBase
from starlette.types import Scope
from typing_extensions import override

from brickwork.database import Database
from brickwork.documents import parse
from brickwork.lanes.lane import Lane, Replayed, is_plain
from brickwork.listeners import is_write_watched
from brickwork.models import Versioned, created
from brickwork.negotiation import JSON
from brickwork.problems import Problem
from brickwork.schemas import Schema
from brickwork.shapes import Shape
from brickwork.statements import Statement, compiled
from brickwork.writes import Noted, columns

M = TypeVar("M", bound=DeclarativeBase)

Default = Callable[[Mapping[str, Any]], Any]
"""What Python gives a column, of the values of others."""

_MOST: Final = 256
"""How many statements are kept of those that differ in the fields that were sent."""


def is_plain_write(shape: Shape[Any], *steps: str) -> bool:
    """Tell whether a flush would send one statement, and nobody of the model's own sees it."""
    model: type[DeclarativeBase] = shape.model
    mapper = inspect(model)
    manager: Any = mapper.class_manager
    return (
        is_plain(shape.resource, *steps, "references")
        and shape.resource.isolation is None
        and not issubclass(shape.model, Noted)
        and mapper.inherits is None
        and mapper.polymorphic_on is None
        and len(mapper.tables) == 1
        and not mapper.validators
        and manager.original_init is mapper.registry.constructor
        and _counts(mapper.version_id_generator, shape.model)
    )


def _counts(generator: Any, model: type[DeclarativeBase]) -> bool:
    """Tell whether versions of *model*, if it has any, are 1, 2, 3 and so on."""
    column: Any = inspect(model).version_id_col
    if column is None:
        return True
    usual = issubclass(model, Versioned) and column is columns(model)["version"]
    return usual and callable(generator) and [generator(n) for n in (None, 1, 41)] == [1, 2, 42]


def defaults_of(own: Mapping[str, Column[Any]], kind: str) -> Mapping[str, Default] | None:
    """Return what Python gives the columns that are given nothing; None if a flush alone knows."""
    found: dict[str, Default] = {}
    for name, column in own.items():
        default = getattr(column, kind)
        if default is not None and default.is_scalar:
            found[name] = _constant(default.arg)
        elif default is not None and default.is_callable:
            if (call := _called(default.arg)) is None:
                return None
            found[name] = call
    return found


def _constant(value: object) -> Default:
    return lambda _: value


def _called(function: Any) -> Default | None:
    """Return *function*, a default, such that it takes the other values; None if it takes more."""
    if function is created:
        return lambda values: created(cast("Any", SimpleNamespace(current_parameters=values)))
    if hasattr(function, "__wrapped__"):  # by SQLAlchemy, since it takes nothing
        return lambda _: function(None)
    return None


def is_versioned(shape: Shape[Any]) -> bool:
    """Tell whether rows count their versions."""
    return issubclass(shape.model, Versioned)


def table_of(shape: Shape[Any]) -> "Table[Any]":
    """Return the one table that has the rows."""
    return cast("Table[Any]", shape.model.__table__)


class Writing(Lane[M]):
    """A lane of one statement, which writes."""

    unusual: ClassVar = {b"if-none-match", b"idempotency-key", b"prefer", b"content-encoding"}
    types: ClassVar = {JSON.encode()}

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile a statement when it is known for which database, and of which fields."""
        super().__init__(shape, columns)
        self._statements: dict[object, Statement | None] = {}

    @override
    def is_watched(self, database: Database) -> bool:
        return is_write_watched(database.writer, self.shape.model)

    async def sent(self, scope: Scope, received: Replayed, schema: type[Schema]) -> Schema | None:
        """Return the body as *schema* has it; None if it is refused."""
        kinds = [value for name, value in scope["headers"] if name == b"content-type"]
        if len(kinds) != 1 or kinds[0] not in self.types or scope["query_string"]:
            return None
        try:
            body = await received.body()
            return None if body is None else schema.model_validate(parse(body))
        except (Problem, ValidationError):
            return None

    def statement(
        self, dialect: Dialect, variant: object, make: Callable[[], UpdateBase]
    ) -> Statement | None:
        """Return the statement that *make* makes, compiled once for each *variant* of it."""
        name = (dialect.name, variant)
        if name not in self._statements:
            if len(self._statements) >= _MOST:
                self._statements.clear()
            self._statements[name] = compiled(make(), self._columns, dialect)
        return self._statements[name]
