"""Fields of input schemas that write related rows."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from inspect import getattr_static
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)
from sqlalchemy import inspect
from sqlalchemy.orm import RelationshipProperty

from brickwork.limits import current_limits
from brickwork.models.caching import cached_per_model
from brickwork.models.proxies import Proxy, find_proxy
from brickwork.schemas.names import Path, input_path
from brickwork.schemas.schema import Schema, nested_schema
from brickwork.schemas.strict_json import is_array


@dataclass(frozen=True)
class KeysOf:
    """Metadata of a list of keys: the relationship that it sets.

    `member_ids: Annotated[list[UUID], KeysOf("people")]`. A field `tag_ids` needs none, because
    it sets the relationship `tags`.
    """

    relationship: str


@dataclass(frozen=True)
class NotStored:
    """Metadata of a field that no column holds: `password: Annotated[str, NotStored()]`.

    An overridden `create` or `update` reads it with `Resource.validated_data`.
    """

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Mark the field as `writeOnly`."""
        return handler(schema) | {"writeOnly": True}


@dataclass(frozen=True)
class RelatedField:
    """A field of an input schema that writes the rows of a relationship."""

    name: str
    kind: Literal["rows", "keys"]
    """Whether the field has the rows themselves, or the keys of existing rows."""
    relationship: RelationshipProperty[Any]
    path: Path
    """The place of the field in a body."""
    item: type[Schema]
    """The schema of the rows. `Schema` itself for keys."""

    @property
    def attribute(self) -> str:
        """Return the name of the relationship."""
        return self.relationship.key

    @property
    def model(self) -> type[object]:
        """Return the model of the related rows."""
        return self.relationship.mapper.class_

    @property
    def key(self) -> str:
        """Return the key attribute of the related rows."""
        mapper = self.relationship.mapper
        return mapper.get_property_by_column(mapper.primary_key[0]).key

    @property
    def finds_rows(self) -> bool:
        """Return whether an item may have the key of an existing row, or null for a new row."""
        field = self.item.model_fields.get(self.key)
        return field is not None and NoneType in get_args(field.annotation)

    def columns(self) -> Collection[str]:
        """Return the fields of an item that are stored in the related row."""
        own = stored_fields(self.item, self.model)
        return own - {self.key} if self.finds_rows else own


_Schema = type[BaseModel]


@cached_per_model
def related_fields(schema: _Schema, model: type[object]) -> Mapping[str, RelatedField]:
    """Return the fields of *schema* that write related rows of *model*, by their names."""
    fields = schema.model_fields.items()
    found = (_related_field(name, field, model) for name, field in fields)
    return {field.name: field for field in found if field}


@cached_per_model
def stored_fields(schema: _Schema, model: type[object]) -> frozenset[str]:
    """Return the fields of *schema* that are stored in a row of *model* itself."""
    others = related_fields(schema, model).keys() | unstored_fields(schema)
    return frozenset(schema.model_fields.keys() - others)


@cached_per_model
def proxied_fields(schema: _Schema, model: type[object]) -> Mapping[str, Proxy]:
    """Return the association proxies of *model* that *schema* sets, by the names of its fields."""
    stored = stored_fields(schema, model)
    proxies = {name: find_proxy(model, name) for name in schema.model_fields if name in stored}
    return {name: proxy for name, proxy in proxies.items() if proxy}


@cached_per_model
def unstored_fields(schema: _Schema) -> frozenset[str]:
    """Return the fields of *schema* with the mark `NotStored`."""
    fields = schema.model_fields.items()
    return frozenset(
        name
        for name, field in fields
        if any(isinstance(mark, NotStored) for mark in field.metadata)
    )


def keys_relationship(
    model: type[object], name: str, field: FieldInfo
) -> RelationshipProperty[Any] | None:
    """Return the relationship of *model* whose keys the field *name* has. None for other fields.

    Raises `TypeError` if its `KeysOf` names no relationship.
    """
    marks = [mark.relationship for mark in field.metadata if isinstance(mark, KeysOf)]
    keys = _KEYS.fullmatch(name)
    if not marks and (keys is None or getattr_static(model, name, None) is not None):
        return None
    names = marks or [*_plurals(keys[1])] if keys else marks
    relationships = inspect(model).relationships
    found = next((relationships[name] for name in names if name in relationships), None)
    if marks and found is None:
        raise TypeError(
            f"{name} has KeysOf({marks[0]!r}), but {model.__name__} has no such relationship. Add "
            "it, or name another."
        )
    return found


_KEYS: Final = re.compile(r"(\w+)_ids")
"""The name of a field with keys of a relationship: `tag_ids`."""


def _plurals(stem: str) -> Iterator[str]:
    """Yield the names of relationships whose keys a field may have after *stem*."""
    yield f"{stem}s"
    yield f"{stem}es"
    if stem.endswith("y"):
        yield f"{stem[:-1]}ies"


def _related_field(name: str, field: FieldInfo, model: type[object]) -> RelatedField | None:
    path = input_path(name, field)
    if relationship := keys_relationship(model, name, field):
        return RelatedField(name, "keys", relationship, path, Schema)
    item = nested_schema(field.annotation)
    # Without nested schemas, the relationships of the model need not be configured yet.
    if item is None or not issubclass(item, Schema):
        return None
    relationship = inspect(model).relationships.get(name)
    if relationship is None or not relationship.uselist:
        return None
    return RelatedField(name, "rows", relationship, path, item)


def replace_item(annotation: Any, item: type[Schema], fitted: type[Schema]) -> Any:
    """Return *annotation*, such as `list[LineCreate]`, with *fitted* in place of *item*."""
    if annotation is item:
        return fitted
    if (origin := get_origin(annotation)) is None:
        return annotation
    parts = tuple(replace_item(part, item, fitted) for part in get_args(annotation))
    if origin in {Union, UnionType}:
        return Union[parts]  # noqa: UP007 — built at run time
    return Annotated[parts] if origin is Annotated else origin[parts]


def bounded_field(field: RelatedField, schema: _Schema, fitted: type[Schema]) -> tuple[Any, Any]:
    """Return the annotation of *field* in *schema*, with the limits of its items, and its info."""
    info = schema.model_fields[field.name]
    annotation = replace_item(info.annotation, field.item, fitted)
    key = field.item.model_fields.get(field.key)
    path = input_path(field.key, key) if key else ()
    return Annotated[annotation, _RelatedItems(field.key, path)], copy(info)


@dataclass(frozen=True)
class _RelatedItems:
    """Validation of a list of related rows: at most `Limits.related`, each row once."""

    key: str
    path: Path
    """The place of the key in an item. Empty if the items are keys themselves."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Check the length before the items, and the keys after them."""
        items = core_schema.no_info_after_validator_function(
            self._reject_duplicates, handler(source)
        )
        return core_schema.no_info_before_validator_function(_require_length, items)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the limit to openapi.json."""
        described = handler(schema)
        limit = current_limits.get().related
        return described | {"maxItems": min(limit, described.get("maxItems", limit))}

    def _reject_duplicates(self, items: Sequence[Any]) -> Sequence[Any]:
        known = set[object]()
        errors: list[InitErrorDetails] = []
        for index, item in enumerate(items):
            key = getattr(item, self.key, None) if isinstance(item, BaseModel) else item
            if key is not None and key in known:
                errors.append(InitErrorDetails(type=_REPEATED, loc=(index, *self.path), input=key))
            known.add(key)
        if errors:
            raise ValidationError.from_exception_data("items", errors)
        return items


_REPEATED: Final = PydanticCustomError(
    "repeated", "A list may contain each row once: remove the duplicates"
)


def _require_length(value: object) -> object:
    maximum = current_limits.get().related
    if is_array(value) and len(value) > maximum:
        context: dict[str, Any] = {
            "field_type": "List",
            "actual_length": len(value),
            "max_length": maximum,
        }
        raise PydanticKnownError("too_long", context)
    return value
