"""Definition of a resource, shared by its endpoints."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy.orm.interfaces import ORMOption

from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.embedding import EmbeddedFields, shown_attributes
from brickwork.query.keys import BATCH, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.polymorphism import PolymorphicFields
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas
from brickwork.schemas.names import field_pointer
from brickwork.schemas.related import RelatedField, related_fields
from brickwork.schemas.schema import Schema

M = TypeVar("M")

_PARAMETER: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""A name that Starlette takes for a path parameter."""

_NO_SEGMENTS: Final = {"", ".", ".."}
"""Texts that no client sends as a segment of a path."""


@dataclass(frozen=True, kw_only=True)
class ResourceDefinition(Generic[M]):
    """The class, the model and the schemas of one resource."""

    resource: type[Resource[M]]
    model: type[M]
    shown: RowSchemas
    """The read schema, or the read schemas by the class of a row."""
    create: type[Schema]
    update: type[Schema]
    replace: type[Schema]
    change: type[Schema]
    query: type[ListQuery[M]]
    embedded: EmbeddedFields | PolymorphicFields
    variants: Sequence["ResourceDefinition[M]"] = ()
    """The definitions with the other read schemas of `Resource.read_schema`."""

    @cached_property
    def read(self) -> type[BaseModel]:
        """Return the read schema, with the fields of all if there are several."""
        return self.shown.fields

    @cached_property
    def written_options(self) -> Sequence[ORMOption]:
        """Return the loader options of rows to be written, with what responses and changes need."""
        names = (*self.create.model_fields, *self.update.model_fields)
        return self.embedded.written_options(names)

    @cached_property
    def related(self) -> Collection[RelatedField]:
        """Return the fields of the input schemas that write related rows."""
        schemas = (self.create, self.update)
        return [f for schema in schemas for f in related_fields(schema, self.model).values()]

    @property
    def written_models(self) -> Collection[type[object]]:
        """Return the models of the rows that a request writes within a row."""
        return {field.model for field in self.related if field.kind == "rows"}

    def key(self, row: object) -> object:
        """Return the key of *row*."""
        key: object = primary_key(self.model).value_of(row)
        return key

    @cached_property
    def path_names(self) -> Sequence[str]:
        """Return the names of the path parameters with the key of a row.

        A key of one column is `id`. The columns of other keys have the names that responses show.
        """
        key = primary_key(self.model)
        if not key.is_composite:
            return ("id",)
        shown = shown_attributes(self.model, self.read)
        names: list[str] = []
        for number, name in enumerate(key.names):
            choices = (shown.get(name, name), name, f"key{number}")
            names += [next(c for c in choices if _PARAMETER.fullmatch(c) and c not in names)]
        return names

    @property
    def row_path(self) -> str:
        """Return the path of a row below its collection, for FastAPI."""
        if not primary_key(self.model).is_composite:
            return "/{id:key}"
        return "".join(f"/{{{name}}}" for name in self.path_names)

    def require_path(self, row: object) -> None:
        """Raise `UnprocessableContent` if the key of a new *row* cannot be a path segment."""
        key = primary_key(self.model)
        parts = key.parts(key.value_of(row))
        reserved = _NO_SEGMENTS if key.is_composite else {*_NO_SEGMENTS, BATCH}
        names = [
            name
            for name, part in zip(key.names, parts, strict=True)
            if isinstance(part, str) and (part in reserved or "/" in part)
        ]
        if names:
            other = "." if key.is_composite else f", and not {BATCH}."
            text = f"A key is one path segment without a slash{other} Send another key."
            places = [field_pointer(name, self.create) for name in names]
            errors = [ErrorDetail(code="no_path", detail=text, pointer=place) for place in places]
            raise UnprocessableContent(text, errors=errors)
