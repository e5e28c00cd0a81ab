"""The shapes of requests and answers: strict on the way in, written out on the way out."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticUndefined
from typing_extensions import override

from brickwork.guards import Bounds, bound, guard


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


def schema_in(annotation: Any) -> type[BaseModel] | None:
    """Return the schema in an annotation such as `AuthorBrief | None` or `list[ArticleBrief]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in _WRAPPERS:
        return next((found for each in get_args(annotation) if (found := schema_in(each))), None)
    return None


def runs_code(schema: type[BaseModel]) -> bool:
    """Tell whether what *schema* shows may depend on more than the values it is given."""
    return any(_runs_code(each) for each in _nodes(schema.__pydantic_core_schema__))


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield *schema* and those within it, as pydantic-core has them."""
    if isinstance(schema, Mapping):
        node = cast("Mapping[str, Any]", schema)
        yield node
        schema = [*node.values()]
    if isinstance(schema, list | tuple):
        for each in cast("Sequence[Any]", schema):
            yield from _nodes(each)


def _runs_code(node: Mapping[str, Any]) -> bool:
    function = node.get("function")
    if callable(function):
        package, _, _ = str(getattr(function, "__module__", "")).partition(".")
        return package not in _PURE
    return any(node.get(each) for each in ("computed_fields", "custom_init", "post_init"))


_PURE: Final = {"brickwork", "pydantic", *sys.stdlib_module_names}
"""Where functions are from that go by the value alone."""

_WRAPPERS: Final = {Annotated, Union, UnionType, list, tuple, Sequence}
