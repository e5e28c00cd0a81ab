"""The rows of two parties, and the requests that they send."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from httpx2 import AsyncClient, Response

from brickwork.testing.bodies import build
from brickwork.testing.leak_collections import PARAMETER, Collection, NotAttacked, Reference, Row

Identity: TypeAlias = Mapping[str, str] | Callable[[], AbstractContextManager[object]]
"""The headers of a caller, or a function that signs the caller in for a block."""

Bodies: TypeAlias = Mapping[str, Mapping[str, object]]
"""Fields of bodies, by `/articles` or `POST /articles/{id}/publish`."""


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

    def all_rows(self) -> "Iterator[Row]":
        """Yield the rows of this party alone."""
        for rows in self.rows.values():
            yield from rows

    def row_of(self, table: object) -> Row | None:
        """Return a row of *table*, of this party or of all. None without one."""
        found = (row for rows in self.rows.values() for row in rows)
        row = next((row for row in found if row.collection.table is table), None)
        return row or (self.shared.row_of(table) if self.shared else None)

    def has(self, row: "Row") -> bool:
        """Return whether *row* is of this party, and not of all."""
        return row in self.rows.get(row.collection.path, [])

    def fill(self, path: str, collections: Sequence[Collection]) -> str:
        """Return *path* with the keys of this party's rows. Raises `NotAttacked` without a row."""
        return self.fill_rows(path, collections)[0]

    def fill_rows(
        self, path: str, collections: Sequence[Collection]
    ) -> "tuple[str, Sequence[Row]]":
        """Return *path* with the keys of rows, and the rows. Raises `NotAttacked` without one."""
        rows: list[Row] = []
        while match := PARAMETER.search(path):
            row = self._row_for(path[: match.start()].rstrip("/"), match[1], collections)
            if row is None:
                raise NotAttacked(f"there is no row for {{{match[1]}}}")
            rows.append(row)
            path = path[: match.start()] + row.key + path[match.end() :]
        return path, rows

    def _row_for(self, before: str, name: str, collections: Sequence[Collection]) -> Row | None:
        """Return the row whose key is the parameter *name*, after the path *before*."""
        rows = [row for rows in self.rows.values() for row in rows]
        if self.shared:
            rows += [row for rows in self.shared.rows.values() for row in rows]
        for row in rows:
            if row.url == before:
                return row
        return self.row_named(name, collections)

    def row_named(self, name: str, collections: Sequence[Collection]) -> "Row | None":
        """Return the row to which a parameter or a field *name* refers. None without one."""
        for collection in collections:
            for reference in collection.references():
                if reference.name == name:
                    return self.row_of(reference.table)
        for collection in collections:
            if name in collection.key_names:
                return self.row_of(collection.table)
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
                    rows.append(await self.create(collection, url))
        except NotAttacked as reason:
            self.reasons[collection.path] = str(reason)
        if not rows and "List" in collection.operations:
            with suppress(NotAttacked):
                rows += await self._listed(collection, self.fill(collection.path, collections))
        if not rows:
            self.reasons.setdefault(collection.path, "there is no row, and no POST to create one")

    async def create(self, collection: Collection, url: str) -> Row:
        """Create a row of *collection* at *url*. Raises `NotAttacked` unless it is created."""
        body = self.body_of(collection)
        response = await self.send("POST", url, json=body)
        if response.status_code != HTTPStatus.CREATED:
            raise NotAttacked(f"POST {url} answers {response.status_code}: {response.text[:300]}")
        content: Any = response.json() if response.content else {}
        location = urlsplit(response.headers.get("location", "")).path
        if f"{url}/" in location:
            return Row(collection, url, location.partition(f"{url}/")[2], content, body)
        return Row(collection, url, _path_key(collection, content), content, body)

    async def delete(self, row: Row) -> bool:
        """Delete *row*. Return whether it is deleted."""
        for headers in ({}, {"If-Match": "*"}):
            if (await self.send("DELETE", row.item, headers=headers)).is_success:
                return True
        return False

    def body_of(
        self, collection: Collection, replaced: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Return a new body for *collection*, with *replaced* in place of its references."""
        fields: dict[str, object] = {}
        required = {
            name
            for name, info in collection.definition.create.model_fields.items()
            if info.is_required()
        }
        for reference in collection.references():
            row = self.row_of(reference.table) if reference.created else None
            if row is not None and (reference.item is None or reference.attribute in required):
                fields[reference.attribute] = self.refer(collection, reference, row)
        given = self.bodies.get(collection.path, {})
        try:
            return build(collection.definition.create, **{**fields, **given, **(replaced or {})})
        except TypeError as error:
            raise NotAttacked(f"pass bodies={{{collection.path!r}: …}}: {error}") from error

    def refer(self, collection: Collection, reference: Reference, row: Row) -> object:
        """Return the value of the field of *collection* with *reference* to *row*.

        Other references in the same list are to rows of this party. Raises `NotAttacked`.
        """
        if reference.item is None:
            return reference.value(row)
        values: dict[str, object] = {}
        for other in collection.references():
            if other.attribute == reference.attribute and (own := self.row_of(other.table)):
                values[other.inner] = other.value(own)
        try:
            return [build(reference.item, **{**values, reference.inner: reference.value(row)})]
        except TypeError as error:
            raise NotAttacked(
                f"pass bodies={{{collection.path!r}: {{{reference.field!r}: …}}}}: {error}"
            ) from error

    async def _listed(self, collection: Collection, url: str) -> list[Row]:
        response = await self.send("GET", url)
        return [
            Row(collection, url, _path_key(collection, content), content)
            for content in collection.rows_in(response)
        ][:2]


def _path_key(collection: Collection, content: Mapping[str, Any]) -> str:
    return "/".join(quote(str(part), safe="") for part in collection.key_of(content) or ())
