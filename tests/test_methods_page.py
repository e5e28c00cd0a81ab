"""The table of the methods of a resource, compared with what happens."""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, Final, cast
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData, Select, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Audited,
    AuditEntry,
    Database,
    DeletedFilter,
    Entity,
    ListQuery,
    Page,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
    install,
)
from brickwork.database.unit_of_work import unit_of_work
from brickwork.signatures import methods_of
from tests.support.pages import ROOT
from tests.support.server import serving

TABLE: Final = ROOT / "docs/reference/methods.md"
METHODS: Final = {*methods_of(Resource), "__post_init__"}


class Base(Entity):
    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


class Memo(Base, Versioned, SoftDelete):
    __tablename__ = "memos_of_methods"
    text: Mapped[str] = mapped_column(String(20))


class Letter(Base, SoftDelete, Audited):
    __tablename__ = "letters_of_methods"
    text: Mapped[str] = mapped_column(String(20))


class Memos(Resource[Memo]): ...


class TextCreate(Schema):
    text: str


class TextUpdate(TextCreate, partial=True): ...


class TextRead(ReadSchema):
    id: UUID
    text: str


calls: defaultdict[str, set[str]] = defaultdict(set)
"""The transactions of each method, in the current request."""
depth: list[str] = []


class Letters(Resource[Letter]):
    """Letters that record the calls of their methods by the operations."""

    @contextmanager
    def recorded(self, method: str) -> Generator[None]:
        if not depth:
            writable = unit_of_work(self.session).writable
            calls[method].add("writing" if writable else "read-only")
        depth.append(method)
        try:
            yield
        finally:
            depth.pop()

    @override
    def __post_init__(self) -> None:
        with self.recorded("__post_init__"):
            super().__post_init__()

    @override
    def actor(self) -> str | None:
        calls["actor"].add("none")
        return super().actor()

    @override
    def read_schema(self) -> type[TextRead] | None:
        calls["read_schema"].add("none")
        return None

    @override
    def query(self) -> Select[Letter]:
        writable = unit_of_work(self.session).writable
        calls["query"].add("writing" if writable else "read-only")
        return super().query()

    @override
    def reference_scopes(self) -> ReferenceScopes:
        with self.recorded("reference_scopes"):
            return super().reference_scopes()

    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        with self.recorded("include_deleted"):
            await super().include_deleted(deleted_filter)

    @override
    async def page(self, params: ListQuery[Letter], /) -> Page[Letter]:
        with self.recorded("page"):
            return await super().page(params)

    @override
    async def export(self, params: ListQuery[Letter], /) -> AsyncGenerator[Letter]:
        with self.recorded("export"):
            rows = [row async for row in super().export(params)]
        for row in rows:
            yield row

    @override
    async def get(self, key: object, /) -> Letter:
        with self.recorded("get"):
            return await super().get(key)

    @override
    async def get_many(self, keys: Sequence[object], /) -> list[Letter | None]:
        with self.recorded("get_many"):
            return await super().get_many(keys)

    @override
    async def history(self, key: object, params: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
        with self.recorded("history"):
            return await super().history(key, params)

    @override
    async def create(self, row: Letter, /) -> None:
        with self.recorded("create"):
            await super().create(row)

    @override
    async def update(self, row: Letter, /, changes: Mapping[str, Any]) -> None:
        with self.recorded("update"):
            await super().update(row, changes)

    @override
    async def delete(self, row: Letter, /) -> None:
        with self.recorded("delete"):
            await super().delete(row)

    @override
    async def restore(self, row: Letter, /) -> None:
        with self.recorded("restore"):
            await super().restore(row)

    @override
    async def purge(self, row: Letter, /) -> None:
        with self.recorded("purge"):
            await super().purge(row)


def rows_of_table() -> Mapping[str, Sequence[str]]:
    """Return the cells of the table, by the method in the first."""
    rows = (line.strip("|").split("|") for line in TABLE.read_text().splitlines() if "|" in line)
    return {
        match[1]: [cell.strip() for cell in cells]
        for first, *cells in rows
        if (match := re.search(r"`(\w+)\(", first))
    }


def names(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def application(folder: Path, prefix: str, resource: type[Resource[Any]]) -> FastAPI:
    database = Database(f"sqlite:///{folder / 'methods.db'}")
    app = FastAPI(lifespan=database.lifespan)
    install(app, development=True)
    app.state.database = database
    app.include_router(
        crud_router(prefix, resource, read=TextRead, create=TextCreate, update=TextUpdate)
    )
    return app


async def operations(client: AsyncClient, path: str) -> Mapping[str, Callable[[], Any]]:
    """Return a request for each operation, with rows of its own."""

    async def new() -> str:
        response = await client.post(path, json={"text": "old"})
        return cast("str", response.json()["id"])

    keys = [await new() for _ in range(9)]
    deleted = await new()
    await client.delete(f"{path}/{deleted}")
    ndjson = {"accept": "application/x-ndjson"}
    body = {"text": "new"}

    def send(method: str, url: str, **kwargs: Any) -> Callable[[], Any]:
        return lambda: client.request(method, url, **kwargs)

    return {
        "list": send("GET", path),
        "export": send("GET", path, headers=ndjson),
        "create": send("POST", path, json=body),
        "create_batch": send("POST", f"{path}/batch", json=[body]),
        "update_batch": send("PATCH", f"{path}/batch", json=[{"id": keys[0]} | body]),
        "delete_batch": send("DELETE", f"{path}/batch?id={keys[1]}"),
        "get": send("GET", f"{path}/{keys[2]}"),
        "update": send("PATCH", f"{path}/{keys[3]}", json=body),
        "replace": send("PUT", f"{path}/{keys[4]}", json=body),
        "delete": send("DELETE", f"{path}/{keys[5]}"),
        "purge": send("DELETE", f"{path}/{keys[6]}?purge=true"),
        "restore": send("POST", f"{path}/{deleted}/restore"),
        "history": send("GET", f"{path}/{keys[7]}/history"),
    }


def test_the_table_has_every_method() -> None:
    assert rows_of_table().keys() == METHODS


async def test_the_table_has_the_operations_and_the_transactions(tmp_path: Path) -> None:
    app = application(tmp_path, "/letters", Letters)
    await app.state.database.create_all(Base.metadata)
    found: defaultdict[str, set[str]] = defaultdict(set)
    transactions: defaultdict[str, set[str]] = defaultdict(set)
    async with serving(app) as client:
        for operation, send in (await operations(client, "/letters")).items():
            calls.clear()
            response = await send()
            assert response.status_code < 400, (operation, response.text)
            for method, kinds in calls.items():
                found[method].add(operation)
                transactions[method] |= kinds
        calls.clear()
        await client.get("/letters?deleted=only")
        assert "include_deleted" in calls
    for method, (_, operations_, transaction, _) in rows_of_table().items():
        if method == "validated_data":
            continue
        every = names(operations_) if "`" in operations_ else {*found["query"], "create"}
        assert found[method] == every, method
        expected = {"read-only", "writing"} if transaction == "both" else {transaction}
        assert transactions[method] == expected, method


@pytest.mark.parametrize("method", sorted(METHODS - {"validated_data", "history"}))
async def test_the_table_has_the_operations_on_the_orm_path(method: str, tmp_path: Path) -> None:
    resource = type("Overridden", (Memos,), {method: copied(getattr(Memos, method))})
    app = application(tmp_path, "/memos", resource)
    await app.state.database.create_all(Base.metadata)
    slow = {"update_batch", "delete_batch", "replace", "purge", "restore", "export"}
    found: set[str] = set()
    async with serving(app) as client:
        requests = await operations(client, "/memos")
        for operation in requests.keys() - slow - {"history"}:
            response = await requests[operation]()
            if not response.headers["x-brickwork-path"].startswith("fast path"):
                found.add(operation)
    cell = rows_of_table()[method][3]
    every = {"list", "create", "create_batch", "get", "update", "delete"}
    assert found == (every if cell == "all" else names(cell))


def copied(method: Any) -> Any:
    """Return another function with the code of *method*, which does the same."""
    copy = FunctionType(method.__code__, method.__globals__, method.__name__)
    copy.__annotations__ = dict(method.__annotations__)
    if method.__name__ == "read_schema":  # whose annotation names the schemas
        copy.__annotations__["return"] = type[TextRead] | None
    copy.__doc__ = method.__doc__
    return copy
