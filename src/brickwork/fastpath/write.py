"""What the lanes of writes have in common: each is one statement, which commits by itself.

What is refused has changed nothing, and is sent again on the ordinary lane, which tells why.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy import Column, Table, inspect
from sqlalchemy.orm import DeclarativeBase

from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.operation import FastOperation, require_not_overridden
from brickwork.fastpath.request import FastRequest
from brickwork.http.negotiation import JSON
from brickwork.models.model import Versioned, created_at_of
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import ChangeTracked, mapped_columns

M = TypeVar("M", bound=DeclarativeBase)

PythonDefault = Callable[[Mapping[str, Any]], Any]
"""What Python gives a column, of the values of others."""


def require_plain_flush(shape: ResourceDefinition[Any], *steps: str) -> None:
    """Raise `NotEligible` unless a flush would send one statement, which nobody else sees."""
    require_not_overridden(shape.resource, *steps, "reference_scopes")
    model: type[DeclarativeBase] = shape.model
    mapper = inspect(model)
    manager: Any = mapper.class_manager
    name = model.__name__
    reasons = {
        f"{shape.resource.__name__} has an isolation of its own": shape.resource.isolation_level,
        f"what is done to a {name} is noted": issubclass(model, ChangeTracked),
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
            raise NotEligible(reason)


def _counts(generator: Any, model: type[DeclarativeBase]) -> bool:
    """Tell whether versions of *model*, if it has any, are 1, 2, 3 and so on."""
    column: Any = inspect(model).version_id_col
    if column is None:
        return not issubclass(model, Versioned)
    usual = issubclass(model, Versioned) and column is mapped_columns(model)["version"]
    return usual and callable(generator) and [generator(n) for n in (None, 1, 41)] == [1, 2, 42]


def python_defaults(own: Mapping[str, Column[Any]], kind: str) -> Mapping[str, PythonDefault]:
    """Return what Python gives the columns that are given nothing.

    Raises `NotEligible` where only a flush knows that.
    """
    found: dict[str, PythonDefault] = {}
    for name, column in own.items():
        default = getattr(column, kind)
        if default is not None and default.is_scalar:
            found[name] = _constant(default.arg)
        elif default is not None and default.is_callable:
            if (call := _called(default.arg)) is None:
                raise NotEligible(f"{name} has a default that asks what is written")
            found[name] = call
    return found


def _constant(value: object) -> PythonDefault:
    return lambda _: value


def _called(function: Any) -> PythonDefault | None:
    """Return *function*, a default, such that it takes the other values; None if it takes more."""
    if function is created_at_of:
        return lambda values: created_at_of(cast("Any", SimpleNamespace(current_parameters=values)))
    if hasattr(function, "__wrapped__"):  # by SQLAlchemy, since it takes nothing
        return lambda _: function(None)
    return None


def has_standard_version(shape: ResourceDefinition[Any]) -> bool:
    """Tell whether rows count their versions."""
    return issubclass(shape.model, Versioned)


def mapped_table(shape: ResourceDefinition[Any]) -> "Table[Any]":
    """Return the one table that has the rows."""
    return cast("Table[Any]", shape.model.__table__)


class FastWrite(FastOperation[M]):
    """A lane of one statement, which writes."""

    unusual: ClassVar = {b"if-none-match", b"idempotency-key", b"prefer", b"content-encoding"}
    types: ClassVar = {JSON.encode()}

    async def sent(self, call: FastRequest[M]) -> Any:
        """Return the body, validated; None if it is refused."""
        kinds = call.headers(b"content-type")
        if len(kinds) != 1 or kinds[0] not in self.types or call.query:
            return None
        return await call.data()
