"""Sparse fieldsets: the fields that a client asks for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.orm import load_only
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.util import LRUCache

from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.embedding import EmbeddedFields, embedding, shown_attributes
from brickwork.query.list_query import ListQuery
from brickwork.query.ordering import make_order
from brickwork.query.polymorphism import PolymorphicFields
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas, row_schemas
from brickwork.schemas.derived import with_fields
from brickwork.schemas.names import output_fields, output_name
from brickwork.schemas.schema import is_pure

M = TypeVar("M")

_MAX_FIELDSETS: Final = 256
"""The number of cached fieldsets of one resource."""


@dataclass(frozen=True)
class Fieldset:
    """Some fields of a read schema: how to load and to serialise them."""

    model: type[object]
    shown: RowSchemas
    """The schemas of a row."""
    embedded: EmbeddedFields | PolymorphicFields
    columns: Sequence[str] | None = None
    """The attributes to load. None for all columns."""
    include: Mapping[type[BaseModel], Collection[str]] | None = None
    """The fields to serialise, by schema. None for all fields of `shown`."""

    def load_options(self, params: ListQuery[Any]) -> Sequence[ORMOption]:
        """Return the loader options of a list in the order of *params*."""
        if self.columns is None:
            return self.embedded.options
        order = make_order(self.model, params.sort_keys())  # cursors have its values
        sorted_by = (key.attribute.key for key in order.keys if not key.is_selected)
        names = dict.fromkeys((*self.columns, *sorted_by))
        columns = load_only(*(getattr(self.model, name) for name in names))
        return (columns, *self.embedded.options)

    def dump(self, row: object) -> bytes:
        """Return the JSON of *row*."""
        shown = self.shown
        content = shown.adapter.validate_python(shown.present(row), from_attributes=True)
        include: Any = None
        if self.include is not None:
            include = self.include[shown.schema_of(row) if shown.is_union else shown.fields]
        return shown.adapter.dump_json(content, by_alias=True, include=include)


class Fieldsets(Generic[M]):
    """The fieldsets of a list."""

    def __init__(self, definition: ResourceDefinition[M]) -> None:
        """Take the read schema of *definition*."""
        self._definition = definition
        self._found = LRUCache[Any, Fieldset](_MAX_FIELDSETS)

    def find(self, shown: RowSchemas, names: Sequence[str], *, export: bool) -> Fieldset:
        """Return the fieldset with *names* of *shown*, the names in a response.

        A row has those of its schema, if each class has one. Code of the application that reads
        rows of a page or of an *export* gets whole rows. Raises `UnprocessableContent` for a field
        that *shown* lacks, though the schema of other callers has it.
        """
        if not {*shown.field_names} >= {*names}:
            text = "The rows have no such field for this caller."
            allowed = [*shown.field_names]
            place = ErrorDetail(
                code="literal_error", detail=text, parameter="fields", allowed=allowed
            )
            raise UnprocessableContent(text, errors=[place])
        key = (shown, frozenset(names), export)
        if key not in self._found:
            include = {
                schema: frozenset(
                    field for name, field in output_fields(schema).items() if name in names
                )
                for schema in shown.by_class.values()
            }
            self._found[key] = self._build(shown, include, export=export)
        return self._found[key]

    def whole(self, shown: RowSchemas) -> Fieldset:
        """Return the fieldset with all fields of *shown*."""
        definition = self._definition
        return Fieldset(definition.model, shown, definition.embedded)

    def _build(
        self,
        shown: RowSchemas,
        include: Mapping[type[BaseModel], frozenset[str]],
        *,
        export: bool,
    ) -> Fieldset:
        definition, resource = self._definition, self._definition.resource
        method = resource.export if export else resource.page
        default = Resource[M].export if export else Resource[M].page
        model, read = definition.model, shown.fields
        columns = [None] if shown.is_union else [*self._columns(read, include[read])]
        if method is not default or None in columns or not is_pure(read):
            return Fieldset(model, shown, definition.embedded, include=include)
        some = with_fields(read, include[read])
        names = [name for name in columns if name is not None]
        return Fieldset(model, row_schemas(model, some), embedding(model, some), columns=names)

    def _columns(self, read: type[BaseModel], chosen: frozenset[str]) -> Iterator[str | None]:
        """Yield the attributes that *chosen* fields need. None if it may be any column."""
        mapper = inspect(self._definition.model)
        attributes = {shown: name for name, shown in shown_attributes(mapper.class_, read).items()}
        if mapper.polymorphic_on is not None:
            yield None
        for name in chosen & read.model_fields.keys():
            field = read.model_fields[name]
            attribute = attributes[output_name(name, field)]
            if not isinstance(field.validation_alias, str | None):
                yield None
            elif attribute in mapper.column_attrs:
                yield attribute
            elif attribute in mapper.relationships:
                local = mapper.relationships[attribute].local_columns
                yield from (mapper.get_property_by_column(column).key for column in local)
            else:
                yield None
