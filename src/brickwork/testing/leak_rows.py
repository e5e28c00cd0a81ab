"""The rows of two parties, and the requests that they send."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast
from urllib.parse import quote, urlsplit

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient, Response
from sqlalchemy import Table, inspect
from sqlalchemy.orm import Mapper
from typing_extensions import override

from brickwork.query.embedding import shown_attributes
from brickwork.query.keys import BATCH, primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.testing.bodies import build, input_name

Identity: TypeAlias = Mapping[str, str] | Callable[[], AbstractContextManager[object]]
"""The headers of a caller, or a function that signs the caller in for a block."""

Bodies: TypeAlias = Mapping[str, Mapping[str, object]]
"""Fields of bodies, by `/articles` or `POST /articles/{id}/publish`."""

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")


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
    def names(self) -> Mapping[str, str]:
        """Return the names in responses, by attribute of the model."""
        return shown_attributes(self.definition.model, self.definition.read)

    @property
    def key_fields(self) -> Sequence[str]:
        """Return the fields of responses with the key."""
        return [self.names.get(name, name) for name in primary_key(self.definition.model).names]

    def key_of(self, content: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the key in *content*, a row of a response. None without one."""
        if not all(name in content for name in self.key_fields):
            return None
        return tuple(content[name] for name in self.key_fields)

    def references(self) -> "Iterator[Reference]":
        """Yield the fields of the input schemas that refer to rows."""
        mapper: Mapper[Any] = inspect(self.definition.model)
        related = {found.name: found for found in self.definition.related if found.kind == "keys"}
        created, updated = self.definition.create.model_fields, self.definition.update.model_fields
        for name, info in {**updated, **created}.items():
            places = {"created": name in created, "updated": name in updated}
            field = input_name(name, info)
            if name in related:
                table = related[name].relationship.mapper.local_table
                yield Reference(name, field, table, related[name].key, many=True, **places)
            elif name in mapper.column_attrs:
                for key in mapper.column_attrs[name].columns[0].foreign_keys:
                    column = key.column
                    yield Reference(name, field, column.table, column.key, many=False, **places)


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
        path = _PARAMETER.sub(r"{\1}", str(route.path))
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
    return _PARAMETER.sub(r"{\1}", path)


@dataclass(eq=False)
class Party:
    """A caller, with its rows."""

    client: AsyncClient
    identity: Identity
    bodies: Bodies
    shared: "Party | None" = None
    """The party with the rows of resources that all callers see."""
    rows: dict[str, list[Row]] = field(default_factory=dict[str, "list[Row]"])
    """The rows by the path of their collection."""
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    """Why it has no rows of a collection."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request as this party."""
        identity = self.identity
        own: Mapping[str, str] = {} if callable(identity) else identity
        signed_in = identity() if callable(identity) else nullcontext()
        with signed_in:
            return await self.client.request(
                method, url, json=json, headers={**own, **(headers or {})}
            )

    def row_of(self, table: object) -> Row | None:
        """Return a row of *table*, of this party or of all. None without one."""
        found = (row for rows in self.rows.values() for row in rows)
        row = next((row for row in found if row.collection.table is table), None)
        return row or (self.shared.row_of(table) if self.shared else None)

    def fill(self, path: str, collections: Sequence[Collection]) -> str:
        """Return *path* with the keys of this party's rows. Raises `NotAttacked` without a row."""
        while match := _PARAMETER.search(path):
            row = self._row_for(path[: match.start()].rstrip("/"), match[1], collections)
            if row is None:
                raise NotAttacked(f"there is no row for {{{match[1]}}}")
            path = path[: match.start()] + row.key + path[match.end() :]
        return path

    def _row_for(self, before: str, name: str, collections: Sequence[Collection]) -> Row | None:
        """Return the row whose key is the parameter *name*, after the path *before*."""
        rows = [row for rows in self.rows.values() for row in rows]
        if self.shared:
            rows += [row for rows in self.shared.rows.values() for row in rows]
        for row in rows:
            if row.url == before:
                return row
        for collection in collections:
            for reference in collection.references():
                if reference.name == name:
                    return self.row_of(reference.table)
        return None

    async def make_rows(self, collections: Sequence[Collection], count: int) -> None:
        """Create *count* rows of each of *collections*, referenced rows first."""
        pending = [*collections]
        while pending:
            tables = {collection.table for collection in pending}
            ready = [
                collection
                for collection in pending
                if not any(
                    reference.table in tables and reference.table is not collection.table
                    for reference in collection.references()
                )
                and not self._waits(collection, pending)
            ]
            collection = (ready or pending)[0]
            pending.remove(collection)
            await self._make(collection, count, collections)

    def _waits(self, collection: Collection, pending: Sequence[Collection]) -> bool:
        """Return whether the path of *collection* has the key of a pending one."""
        return any(
            collection.path.startswith(f"{other.path}/{{")
            for other in pending
            if other is not collection
        )

    async def _make(
        self, collection: Collection, count: int, collections: Sequence[Collection]
    ) -> None:
        rows = self.rows.setdefault(collection.path, [])
        try:
            url = self.fill(collection.path, collections)
            if "Create" in collection.operations:
                for _ in range(count):
                    rows.append(await self._create(collection, url))
        except NotAttacked as reason:
            self.reasons[collection.path] = str(reason)
        if not rows and "List" in collection.operations:
            with suppress(NotAttacked):
                rows += await self._listed(collection, self.fill(collection.path, collections))
        if not rows:
            self.reasons.setdefault(collection.path, "there is no row, and no POST to create one")

    async def _create(self, collection: Collection, url: str) -> Row:
        body = self.body_of(collection)
        response = await self.send("POST", url, json=body)
        if response.status_code != HTTPStatus.CREATED:
            raise NotAttacked(f"POST {url} answers {response.status_code}: {response.text[:300]}")
        content: Any = response.json() if response.content else {}
        location = urlsplit(response.headers.get("location", "")).path
        if f"{url}/" in location:
            return Row(collection, url, location.partition(f"{url}/")[2], content, body)
        return Row(collection, url, _path_key(collection, content), content, body)

    def body_of(
        self, collection: Collection, replaced: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Return a new body for *collection*, with *replaced* in place of its references."""
        fields: dict[str, object] = {}
        for reference in collection.references():
            row = self.row_of(reference.table) if reference.created else None
            if row is not None:
                fields[reference.name] = reference.value(row)
        given = self.bodies.get(collection.path, {})
        try:
            return build(collection.definition.create, **{**fields, **given, **(replaced or {})})
        except TypeError as error:
            raise NotAttacked(f"pass bodies={{{collection.path!r}: …}}: {error}") from error

    async def _listed(self, collection: Collection, url: str) -> list[Row]:
        response = await self.send("GET", url)
        return [
            Row(collection, url, _path_key(collection, content), content)
            for content in rows_in(response)
            if collection.key_of(content)
        ][:2]


def _path_key(collection: Collection, content: Mapping[str, Any]) -> str:
    return "/".join(quote(str(part), safe="") for part in collection.key_of(content) or ())


def rows_in(response: Response) -> list[dict[str, Any]]:
    """Return the objects of *response*: rows of a list, of an envelope, or one row."""
    if not response.is_success or not response.content:
        return []
    if "ndjson" in response.headers.get("content-type", ""):
        return rows_of([_load(line) for line in response.text.splitlines()])
    return rows_of(_load(response.text))


def rows_of(document: Any) -> list[dict[str, Any]]:
    """Return the objects in *document* and in its lists."""
    if isinstance(document, list):
        return [row for item in cast("Iterable[Any]", document) for row in rows_of(item)]
    if not isinstance(document, dict):
        return []
    found = cast("dict[str, Any]", document)
    lists = [row for value in found.values() if isinstance(value, list) for row in rows_of(value)]
    return [found, *lists]


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
