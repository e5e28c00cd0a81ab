"""The collections and the endpoints of an application, and their rows."""

import re
from collections.abc import Collection as Names, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from httpx2 import Response
from pydantic import BaseModel
from sqlalchemy import Column, Table, inspect
from sqlalchemy.orm import Mapper
from typing_extensions import override

from brickwork.models.soft_delete import SoftDelete
from brickwork.query.embedding import shown_attributes
from brickwork.query.keys import BATCH, primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.testing.bodies import input_name
from brickwork.testing.leak_documents import document_of

PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
"""A parameter of a path."""


class NotAttacked(Exception):
    """An operation that cannot be attacked. The text is the reason."""


@dataclass(eq=False)
class Collection:
    """The collection of a resource, as its routers include it."""

    path: str
    definition: ResourceDefinition[Any]
    operations: set[str] = field(default_factory=set[str])
    """The names of the classes of its operations."""

    @property
    def table(self) -> object:
        """Return the table of the rows."""
        mapper: Mapper[Any] = inspect(self.definition.model)
        return mapper.local_table

    @property
    def deletes_softly(self) -> bool:
        """Return whether a deleted row can be restored."""
        return "Delete" in self.operations and issubclass(self.definition.model, SoftDelete)

    @property
    def names(self) -> Mapping[str, str]:
        """Return the names in responses, by attribute of the model."""
        return shown_attributes(self.definition.model, self.definition.read)

    @property
    def key_fields(self) -> Sequence[str]:
        """Return the fields of responses with the key."""
        return [self.names.get(name, name) for name in primary_key(self.definition.model).names]

    @property
    def key_names(self) -> Names[str]:
        """Return the names that parameters with a key usually have: `article_id`."""
        model = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.definition.model.__name__).lower()
        last = self.path.rpartition("/")[2].replace("-", "_")
        one = f"{last[:-3]}y" if last.endswith("ies") else last.removesuffix("s")
        return {f"{model}_id", f"{one}_id"}

    def key_of(self, content: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the key in *content*, a row of a response. None without one."""
        if not all(name in content for name in self.key_fields):
            return None
        return tuple(content[name] for name in self.key_fields)

    def rows_in(self, response: Response) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of *response*: of a list, of an envelope, or one row.

        Rows that are embedded in them may be of another collection.
        """
        document: object = document_of(response)
        for item in [*_objects(document)] or [*_objects([document])]:
            if self.key_of(item) is not None:
                yield item
            else:
                for value in item.values():
                    yield from (row for row in _objects(value) if self.key_of(row) is not None)

    def references(self) -> "Iterator[Reference]":
        """Yield the fields of the input schemas that refer to rows."""
        mapper: Mapper[Any] = inspect(self.definition.model)
        related = {found.name: found for found in self.definition.related if found.kind == "keys"}
        created, updated = self.definition.create.model_fields, self.definition.update.model_fields
        for name, info in {**updated, **created}.items():
            field = input_name(name, info)
            columns: list[tuple[object, str]] = []
            if name in related:
                columns = [(related[name].relationship.mapper.local_table, related[name].key)]
            elif name in mapper.column_attrs:
                columns = [(column.table, column.key) for column in _referenced(mapper, name)]
            for table, column in columns:
                yield Reference(
                    name,
                    field,
                    table,
                    column,
                    many=name in related,
                    created=name in created,
                    updated=name in updated,
                )
        yield from self._nested_references()

    def _nested_references(self) -> "Iterator[Reference]":
        """Yield the fields of rows that a request writes within a row: `lines.product_id`."""
        created, updated = self.definition.create.model_fields, self.definition.update.model_fields
        lists = {found.name: found for found in self.definition.related if found.kind == "rows"}
        for name, found in lists.items():
            outer = input_name(name, created.get(name) or updated[name])
            mapper = found.relationship.mapper
            for inner, info in found.item.model_fields.items():
                if inner in mapper.column_attrs:
                    for column in _referenced(mapper, inner):
                        yield Reference(
                            f"{name}.{inner}",
                            outer,
                            column.table,
                            column.key,
                            many=False,
                            item=found.item,
                            inner=input_name(inner, info),
                            created=name in created,
                            updated=name in updated,
                        )


def _objects(document: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in *document*, if it is a list."""
    for item in cast("list[object]", document) if isinstance(document, list) else ():
        if isinstance(item, dict):
            yield cast("dict[str, Any]", item)


def _referenced(mapper: Mapper[Any], name: str) -> Iterator[Column[Any]]:
    """Yield the columns to which the attribute *name* refers."""
    for key in mapper.column_attrs[name].columns[0].foreign_keys:
        yield key.column


@dataclass(frozen=True)
class Reference:
    """A field of an input schema that refers to a row, or to several."""

    name: str
    field: str
    """The name in a body."""
    table: object
    column: str
    """The column of the table, or the attribute of its model."""
    many: bool
    created: bool
    """Whether the create schema has it."""
    updated: bool
    """Whether the update schema has it."""
    item: type[BaseModel] | None = None
    """The schema of the rows that have it, within the row. None for the row itself."""
    inner: str = ""
    """The name in a body of *item*."""

    @property
    def attribute(self) -> str:
        """Return the field of the row's schema that has it."""
        return self.name.partition(".")[0]

    def value(self, row: "Row") -> object:
        """Return the value that refers to *row*."""
        collection = row.collection
        mapper: Mapper[Any] = inspect(collection.definition.model)
        table = cast("Table[Any]", mapper.local_table)
        attribute = self.column
        if self.column in table.c:
            attribute = mapper.get_property_by_column(table.c[self.column]).key
        name = collection.names.get(attribute, attribute)
        value = row.content.get(name, row.key)
        return [value] if self.many else value


@dataclass(eq=False)
class Row:
    """A row that a party has created, or that its list shows."""

    collection: Collection
    url: str
    """The path of the collection, with its parameters."""
    key: str
    """The key, as in a path."""
    content: Mapping[str, Any]
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The body that created it. Empty for a row of a list."""

    @property
    def item(self) -> str:
        """Return the path of the row."""
        return f"{self.url}/{self.key}"

    def is_in(self, document: Mapping[str, Any]) -> bool:
        """Return whether *document* has the key of this row, and another value of it."""
        key = self.collection.key_of(self.content)
        if key is None or self.collection.key_of(document) != key:
            return False
        names = (document.keys() & self.content.keys()) - {*self.collection.key_fields}
        values = {name: self.content[name] for name in names}
        is_known = any(value and not isinstance(value, bool) for value in values.values())
        return is_known and all(document[name] == value for name, value in values.items())


@dataclass(frozen=True)
class Endpoint:
    """An operation of the application."""

    method: str
    path: str
    collection: Collection | None
    name: str
    """The class of an operation of `crud_router`. Empty for endpoints of the application."""
    dependant: Dependant | None

    @override
    def __str__(self) -> str:
        """Return the operation as openapi.json has it: `GET /articles/{id}`."""
        return f"{self.method} {self.path}"


def find_endpoints(app: FastAPI) -> tuple[list[Endpoint], list[Collection]]:
    """Return the operations in openapi.json of *app*, and the collections of its resources."""
    endpoints: list[Endpoint] = []
    collections: dict[str, Collection] = {}
    for route in iter_route_contexts(app.routes):
        dependant: Dependant | None = getattr(route, "dependant", None)
        if dependant is None or not getattr(route, "include_in_schema", False):
            continue
        operation = getattr(route.endpoint, "operation", None)
        path = PARAMETER.sub(r"{\1}", str(route.path))
        collection = None
        if operation is not None:
            found = _collection_path(str(route.path), operation.definition)
            collection = collections.setdefault(found, Collection(found, operation.definition))
            collection.operations.add(type(operation).__name__)
        name = "" if operation is None else type(operation).__name__
        endpoints += [
            Endpoint(method, path, collection, name, dependant)
            for method in sorted(route.methods or ())
            if method != "HEAD"
        ]
    return endpoints, [*collections.values()]


def _collection_path(path: str, definition: ResourceDefinition[Any]) -> str:
    start, found, _ = path.rpartition(definition.row_path)
    path = start if found else path.removesuffix(f"/{BATCH}")
    return PARAMETER.sub(r"{\1}", path)
