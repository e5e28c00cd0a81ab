"""`Schema` for requests and `ReadSchema` for responses."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from re import Pattern
from types import FunctionType, MethodType, UnionType
from typing import Annotated, Any, ClassVar, Final, Union, cast, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticUndefined
from typing_extensions import override

from brickwork.schemas.merge_patch import describe_patch, patch_schema
from brickwork.schemas.strictness import (
    Bounds,
    apply_column_bounds,
    make_strict,
    show_stored_values,
)


class Schema(BaseModel):
    """Base of input schemas: no unknown fields, strict JSON types, values both databases hold.

    Numbers and text are not converted into each other. Integers fit 64 bits, floats are finite,
    datetimes have a zone, and text has no null character.

    `partial=True` makes the schema of a PATCH from its base: every field becomes optional, none
    becomes nullable, and validators stay. `model_fields_set` has the names of the sent fields. An
    object in its field is a merge patch: `merge_patch` merges it with the row and validates it.
    """

    model_config = ConfigDict(extra="forbid")

    __brickwork__: ClassVar = True
    __bounds__: ClassVar[Mapping[str, Bounds]] = {}
    __patches__: ClassVar[bool] = False

    @override
    def __init_subclass__(
        cls,
        *,
        partial: bool = False,
        bounds: Mapping[str, Bounds] | None = None,
        patches: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.__bounds__ = bounds or cls.__bounds__
        cls.__patches__ = (partial or cls.__patches__) if patches is None else patches

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, *, partial: bool = False, **kwargs: Any) -> None:
        if partial:  # the fields exist now
            for name, field in cls.__pydantic_fields__.items():
                cls.__pydantic_fields__[name] = make_optional(field)
            cls.model_rebuild(force=True)

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        schema = make_strict(handler(source), handler.resolve_ref_schema)
        schema = apply_column_bounds(schema, cls.__bounds__)
        return patch_schema(schema, handler.resolve_ref_schema) if cls.__patches__ else schema  # type: ignore[no-any-return]

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        described = handler(core_schema)
        if not cls.__patches__:
            return described
        properties = handler.resolve_ref_schema(described)["properties"]
        for name, value in properties.items():
            properties[name] = describe_patch(value, handler.resolve_ref_schema)
        return described


class NoFields(Schema):
    """The input schema of a resource that takes no input."""


def make_optional(field: Any) -> Any:
    """Return *field* as an optional field that accepts the same values."""
    field = copy(field)
    # A default would be in the JSON schema; a factory is not.
    field.default, field.default_factory = PydanticUndefined, lambda: None
    field.validate_default = False
    return field


class ReadSchema(BaseModel):
    """Base of read schemas, which serialise the attributes of a row."""

    # An alias is the name in the response; the row has the name of the field.
    model_config = ConfigDict(from_attributes=True, validate_by_name=True)

    __brickwork__: ClassVar = True

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        schema: CoreSchema = show_stored_values(handler(source))
        return schema


def nested_schema(annotation: Any) -> type[BaseModel] | None:
    """Return the schema in `AuthorBrief | None` or `list[ArticleBrief]`. None without one."""
    return next(nested_schemas(annotation), None)


def nested_schemas(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the schemas in *annotation*: two in `list[DogRead | CatRead]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in _WRAPPERS:
        for part in get_args(annotation):
            yield from nested_schemas(part)


def is_pure(schema: type[BaseModel]) -> bool:
    """Return whether an instance of *schema* shows exactly the values that it receives.

    False if a part may run other code: a validator, a serializer, a computed field, a default
    factory, or a type of the author.
    """
    return _is_pure(schema.__pydantic_core_schema__)


def pure_fields(schema: type[BaseModel]) -> Collection[str]:
    """Return the names of the fields that *schema* shows unchanged.

    Excluded fields are not among them, nor fields that may run other code.
    """
    core: Any = schema.__pydantic_core_schema__
    others: Sequence[Any] = core.get("definitions", ())
    if core["type"] == "definitions":
        core = core["schema"]
    while core["type"] == "definition-ref":
        core = next(node for node in others if node["ref"] == core["schema_ref"])
    fields = core.get("schema", {})
    bare: Any = {**core, "schema": {**fields, "fields": {}, "computed_fields": []}}
    if fields.get("type") != "model-fields" or not _is_pure((bare, *others)):
        return ()
    known = schema.model_fields
    return [k for k, v in fields["fields"].items() if _is_pure(v) and not known[k].exclude]


def _is_pure(part: object) -> bool:
    """Return whether *part* of a core schema runs only code of Pydantic and Brickwork."""
    match part:
        case Mapping():
            return _is_pure_node(cast("Mapping[str, Any]", part))
        case list() | tuple() | set() | frozenset():
            return all(_is_pure(item) for item in cast("Collection[object]", part))
        case FunctionType():
            cells = (cell.cell_contents for cell in part.__closure__ or ())
            return _is_trusted(part) and all(_is_pure(cell) for cell in cells)
        case MethodType():
            return _is_pure(part.__func__) and isinstance(part.__self__, type)
        case type():
            return _is_trusted(part)
        case _:
            return part is None or isinstance(part, _CONSTANTS)


def _is_pure_node(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    if not isinstance(kind, str):  # fields, or choices, by their names
        return all(_is_pure(member) for member in node.values())
    if kind not in _PURE_NODES or any(node.get(name) for name in _METHODS):
        return False
    if kind == "model" and node["cls"].__new__ is not object.__new__:
        return False
    return all(_is_pure(member) for name, member in node.items() if name not in _PASSIVE)


def _is_trusted(code: FunctionType | type) -> bool:
    return f"{code.__module__}.".startswith(_TRUSTED)


_TRUSTED: Final = ("brickwork.", "builtins.", "ipaddress.", "pydantic.")
"""Prefixes of modules whose functions and types depend only on the value."""

_CONSTANTS: Final = (str, int, float, bytes, Decimal, date, time, timedelta, UUID, Enum, Pattern)

_METHODS: Final = ("computed_fields", "custom_init", "post_init")
"""The members of a node that name methods."""

_PASSIVE: Final = {"cls", "metadata"}
"""The members of a node that Pydantic does not call."""

_PURE_NODES: Final = {
    *("any", "none", "bool", "int", "float", "decimal", "str", "bytes", "uuid", "url"),
    *("multi-host-url", "date", "time", "datetime", "timedelta", "literal", "enum", "is-instance"),
    *("list", "tuple", "set", "frozenset", "dict", "json", "nullable", "union", "tagged-union"),
    *("default", "chain", "lax-or-strict", "json-or-python", "definitions", "definition-ref"),
    *("model", "model-fields", "model-field", "typed-dict", "typed-dict-field"),
    *("function-plain", "function-before", "function-after", "function-wrap"),
    *("no-info", "with-info", "to-string", "format"),
}
"""The types of nodes that run no code, unless they hold a function."""

_WRAPPERS: Final = {Annotated, Union, UnionType, list, tuple, Sequence}
