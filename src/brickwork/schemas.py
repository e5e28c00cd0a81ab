"""The shapes of requests and answers: strict on the way in, written out on the way out."""

from collections.abc import Mapping
from copy import copy
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticUndefined
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.guards import Bounds, bound, guard
from brickwork.limits import AtMost

M = TypeVar("M", bound=DeclarativeBase)


class Schema(BaseModel):
    """What a client may send: no unknown fields, strict JSON types, values both databases hold.

    A number is never read from text, nor text from a number; integers fit 64 bits, floats are
    finite, datetimes have a zone, text has no null character. `partial=True` makes the schema
    of a PATCH from the one it inherits: every field may be left out, none becomes nullable,
    validators stay. Which fields were sent is in `model_fields_set`.
    """

    model_config = ConfigDict(extra="forbid")

    __brickwork__: ClassVar = True
    __bounds__: ClassVar[Mapping[str, Bounds]] = {}

    @override
    def __init_subclass__(
        cls,
        *,
        partial: bool = False,
        bounds: Mapping[str, Bounds] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.__bounds__ = bounds or cls.__bounds__

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, *, partial: bool = False, **kwargs: Any) -> None:
        if partial:  # now that the fields are known
            for name, field in cls.__pydantic_fields__.items():
                cls.__pydantic_fields__[name] = optional(field)
            cls.model_rebuild(force=True)

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        schema = guard(handler(source), handler.resolve_ref_schema)
        return bound(schema, cls.__bounds__)  # type: ignore[no-any-return]


def optional(field: Any) -> Any:
    """Return *field* such that it may be left out; what it accepts when given stays the same."""
    field = copy(field)
    # A factory, unlike a default, is not written into the JSON schema.
    field.default, field.default_factory = PydanticUndefined, lambda: None
    field.validate_default = False
    return field


class ReadSchema(BaseModel):
    """What a client is shown, read from the attributes of a row; the contract, written out."""

    model_config = ConfigDict(from_attributes=True)

    __brickwork__: ClassVar = True


class ListQuery(BaseModel, Generic[M]):
    """The query parameters of a list; inherit to add your own, and say in `narrow` what they do.

    Values are read from text, as a query has them, and are as guarded as those of a `Schema`.
    """

    limit: Annotated[int, Ge(1), AtMost("page")] = Field(
        default=20, description="How many rows to return at most."
    )
    offset: Annotated[int, Ge(0), AtMost("offset")] = Field(
        default=0, description="How many rows to pass over."
    )

    __brickwork__: ClassVar = True

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        guarded: CoreSchema = guard(handler(source), handler.resolve_ref_schema, written=True)
        return guarded

    def narrow(self, rows: Select[M]) -> Select[M]:
        """Return *rows* less those the parameters rule out; override for parameters of your own."""
        return rows
