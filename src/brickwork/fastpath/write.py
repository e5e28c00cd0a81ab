"""What the lanes of writes have in common: each is one statement, which commits by itself.

What is refused has changed nothing, and is sent again on the ordinary lane, which tells why.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy import Column, Table, inspect
from sqlalchemy.orm import DeclarativeBase

from brickwork.fastpath.eligibility import Ordinary
from brickwork.fastpath.operation import Lane, require_plain
from brickwork.fastpath.request import Call
from brickwork.http.negotiation import JSON
from brickwork.models.model import Versioned, created
from brickwork.resource.definition import Shape
from brickwork.tracking.changes import Noted, columns

M = TypeVar("M", bound=DeclarativeBase)

Default = Callable[[Mapping[str, Any]], Any]
"""What Python gives a column, of the values of others."""


def require_plain_write(shape: Shape[Any], *steps: str) -> None:
    """Raise `Ordinary` unless a flush would send one statement, which nobody else sees."""
    require_plain(shape.resource, *steps, "references")
    model: type[DeclarativeBase] = shape.model
    mapper = inspect(model)
    manager: Any = mapper.class_manager
    name = model.__name__
    reasons = {
        f"{shape.resource.__name__} has an isolation of its own": shape.resource.isolation,
        f"what is done to a {name} is noted": issubclass(model, Noted),
        f"{name} inherits from another model, or another from it": (
            mapper.inherits is not None
            or mapper.polymorphic_on is not None
            or len(mapper.tables) > 1
        ),
        f"{name} has validators": mapper.validators,
        f"{name} has a constructor of its own": (
            manager.original_init is not mapper.registry.constructor
        ),
        f"{name} counts its versions in a way of its own": (
            not _counts(mapper.version_id_generator, model)
        ),
    }
    for reason, is_so in reasons.items():
        if is_so:
            raise Ordinary(reason)


def _counts(generator: Any, model: type[DeclarativeBase]) -> bool:
    """Tell whether versions of *model*, if it has any, are 1, 2, 3 and so on."""
    column: Any = inspect(model).version_id_col
    if column is None:
        return not issubclass(model, Versioned)
    usual = issubclass(model, Versioned) and column is columns(model)["version"]
    return usual and callable(generator) and [generator(n) for n in (None, 1, 41)] == [1, 2, 42]


def defaults_of(own: Mapping[str, Column[Any]], kind: str) -> Mapping[str, Default]:
    """Return what Python gives the columns that are given nothing.

    Raises `Ordinary` where only a flush knows that.
    """
    found: dict[str, Default] = {}
    for name, column in own.items():
        default = getattr(column, kind)
        if default is not None and default.is_scalar:
            found[name] = _constant(default.arg)
        elif default is not None and default.is_callable:
            if (call := _called(default.arg)) is None:
                raise Ordinary(f"{name} has a default that asks what is written")
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

    async def sent(self, call: Call[M]) -> Any:
        """Return the body, validated; None if it is refused."""
        kinds = call.headers(b"content-type")
        if len(kinds) != 1 or kinds[0] not in self.types or call.query:
            return None
        return await call.data()
