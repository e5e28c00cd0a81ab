"""Requests of a stranger for rows of an owner."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from typing_extensions import override

from brickwork.query.keys import BATCH
from brickwork.testing.bodies import input_name
from brickwork.testing.leak_collections import Collection, NotAttacked, Reference, Row
from brickwork.testing.leak_rows import Party

NDJSON: Final = "application/x-ndjson"

_ANY_VERSION: Final[Mapping[str, str]] = {"If-Match": "*"}


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A request of the stranger."""

    operation: str
    """The class of the operation. Empty for an endpoint of the application."""
    method: str
    url: str
    json: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: bool = True
    """Whether a status below 400 is a leak. False: only what it shows and changes is one."""
    why: str = ""
    """What the request tries. Empty if its URL says it."""

    @override
    def __str__(self) -> str:
        """Return the request as a line."""
        parts = [self.method, self.url, *(f"{k}: {v}" for k, v in self.headers.items())]
        parts += [str(self.json)] if self.json is not None else []
        return " ".join(parts) + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Target:
    """A row of the owner, and how the stranger addresses its collection."""

    collection: Collection
    row: Row
    """The row of the owner."""
    url: str
    """The path of the collection: that of the owner, or that of the stranger."""
    own: Row | None
    """A row of the stranger. None if it has none."""
    owner: Party
    stranger: Party

    @property
    def item(self) -> str:
        """Return the path of the owner's row."""
        return f"{self.url}/{self.row.key}"

    @property
    def batch(self) -> str:
        """Return the path of batches."""
        return f"{self.url}/{BATCH}"

    def references(self) -> Iterator[tuple[Reference, object]]:
        """Yield the fields that may refer to rows of the owner, with a value."""
        rows = [row for rows in self.owner.rows.values() for row in rows]
        for reference in self.collection.references():
            row = next((row for row in rows if row.collection.table is reference.table), None)
            if row is not None:
                try:
                    value = self.stranger.refer(self.collection, reference, row)
                except NotAttacked:
                    continue
                yield reference, value

    def changes(self) -> dict[str, Any]:
        """Return valid changes. None of them refers to a row of the owner."""
        updated = self.collection.definition.update.model_fields
        names = {input_name(name, info) for name, info in updated.items()}
        try:
            body = self.stranger.body_of(self.collection)
        except NotAttacked:
            return {}
        return {name: value for name, value in body.items() if name in names}


def attacks_on(target: Target) -> Iterator[Attack]:
    """Yield the attacks on *target* by each operation of its resource."""
    for name, attacks in _ATTACKS.items():
        if name in target.collection.operations:
            yield from attacks(target)


def attacks_on_deleted(target: Target) -> Iterator[Attack]:
    """Yield the attacks on *target*, a row that its owner has deleted."""
    for name in ("List", "Get", "History", "Restore", "Delete"):
        if name in target.collection.operations:
            yield from _ATTACKS[name](target)


def _versioned(
    name: str, method: str, url: str, json: object = None, why: str = ""
) -> Iterator[Attack]:
    """Yield a request without and with If-Match, which a resource may require."""
    for headers in ({}, _ANY_VERSION):
        yield Attack(operation=name, method=method, url=url, json=json, headers=headers, why=why)


def _get(target: Target) -> Iterator[Attack]:
    yield Attack(operation="Get", method="GET", url=target.item)
    yield Attack(operation="Get", method="GET", url=target.item, headers={"If-None-Match": "*"})


def _history(target: Target) -> Iterator[Attack]:
    yield Attack(operation="History", method="GET", url=f"{target.item}/history")


def _restore(target: Target) -> Iterator[Attack]:
    yield from _versioned("Restore", "POST", f"{target.item}/restore")


def _update(target: Target) -> Iterator[Attack]:
    yield from _versioned("Update", "PATCH", target.item, {})
    if changes := target.changes():
        yield from _versioned("Update", "PATCH", target.item, changes)
    for reference, value in target.references():
        if target.own and reference.updated:
            body, why = {reference.field: value}, _refers(reference)
            yield from _versioned("Update", "PATCH", target.own.item, body, why)


def _replace(target: Target) -> Iterator[Attack]:
    body: object = target.stranger.body_of(target.collection)
    yield from _versioned("Replace", "PUT", target.item, body)
    for reference, value in target.references():
        if target.own and reference.created:
            body = target.stranger.body_of(target.collection, {reference.attribute: value})
            yield from _versioned("Replace", "PUT", target.own.item, body, _refers(reference))


def _delete(target: Target) -> Iterator[Attack]:
    yield from _versioned("Delete", "DELETE", target.item)
    if target.collection.deletes_softly:
        yield from _versioned("Delete", "DELETE", f"{target.item}?purge=true")
    url = f"{target.item}?allow_missing=true"
    yield Attack(operation="Delete", method="DELETE", url=url, refused=False)


def _update_batch(target: Target) -> Iterator[Attack]:
    theirs = _key(target.collection, target.row)
    changed = {**theirs, **target.changes()}
    batches: list[tuple[list[dict[str, Any]], str]] = [([theirs], ""), ([changed], "")]
    if target.own:
        own = _key(target.collection, target.own)
        batches.append(([own, changed], ""))
        batches += [
            ([{**own, reference.field: value}], _refers(reference))
            for reference, value in target.references()
            if reference.updated
        ]
    for items, why in batches:
        yield Attack(operation="UpdateBatch", method="PATCH", url=target.batch, json=items, why=why)


def _delete_batch(target: Target) -> Iterator[Attack]:
    keys = [f"id={target.row.key}"]
    if target.own:
        keys.append(f"id={target.own.key}&id={target.row.key}")
    for key in keys:
        yield Attack(operation="DeleteBatch", method="DELETE", url=f"{target.batch}?{key}")


def _create(target: Target) -> Iterator[Attack]:
    for body, why in _bodies(target):
        yield Attack(operation="Create", method="POST", url=target.url, json=body, why=why)


def _create_batch(target: Target) -> Iterator[Attack]:
    for body, why in _bodies(target):
        yield Attack(operation="CreateBatch", method="POST", url=target.batch, json=[body], why=why)


def _bodies(target: Target) -> Iterator[tuple[object, str]]:
    """Yield bodies that refer to rows of the owner, and one for a path of the owner."""
    if "{" in target.collection.path and target.url == target.row.url:
        yield target.stranger.body_of(target.collection), "the path has a key of the owner"
    for reference, value in target.references():
        if reference.created:
            body = target.stranger.body_of(target.collection, {reference.attribute: value})
            yield body, _refers(reference)


def _list(target: Target) -> Iterator[Attack]:
    parameters = target.collection.definition.query.model_fields
    queries = ["", "?limit=100&count=exact"]
    if "deleted" in parameters:
        queries += ["?deleted=include&limit=100", "?deleted=only&limit=100"]
    for name, value in target.row.content.items():
        if name in parameters and isinstance(value, str | int):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            queries.append(f"?{name}={quote(text, safe='')}")
    for query in queries:
        yield Attack(operation="List", method="GET", url=target.url + query, refused=False)
    accept = {"Accept": NDJSON}
    yield Attack(operation="List", method="GET", url=target.url, headers=accept, refused=False)


def _key(collection: Collection, row: Row) -> dict[str, Any]:
    """Return the fields of an item of a batch with the key of *row*."""
    key = collection.key_of(row.content) or row.key.split("/")
    return dict(zip(collection.key_fields, key, strict=True))


def _refers(reference: Reference) -> str:
    name = f"{reference.field}.{reference.inner}" if reference.item else reference.field
    return f"{name} refers to a row of the owner"


_ATTACKS: Final[Mapping[str, Callable[[Target], Iterator[Attack]]]] = {
    "List": _list,
    "Get": _get,
    "History": _history,
    "Create": _create,
    "CreateBatch": _create_batch,
    "Update": _update,
    "Replace": _replace,
    "UpdateBatch": _update_batch,
    "Restore": _restore,
    "DeleteBatch": _delete_batch,
    "Delete": _delete,
}
"""The attacks by the class of an operation, in the order in which they are sent."""
