"""Defaults of omitted fields, and stored nulls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData, String, func, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, synonym, validates
from typing_extensions import override

from brickwork import (
    Database,
    JSONDocument,
    Model,
    ReadSchema,
    Resource,
    Schema,
    crud_router,
    install,
)
from brickwork.cli.files import open_row_file
from brickwork.cli.importing import import_rows
from brickwork.cli.loading import job_runner
from tests.support.bodies import summary
from tests.support.both import apps_of
from tests.support.calls import calling
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


def computed_default(context: DefaultExecutionContext) -> str:
    """Return the key of the row that *context* inserts, with a mark."""
    return f"{(context.current_parameters or {})['id']}!"


class Item(Base):
    """A row with a default of each kind."""

    __tablename__ = "items"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    scalar: Mapped[str | None] = mapped_column(String(20), default="scalar")
    called: Mapped[str | None] = mapped_column(String(20), default=lambda: "called")
    computed: Mapped[str | None] = mapped_column(String(20), default=computed_default)
    expression: Mapped[str | None] = mapped_column(String(20), default=func.lower("EXPRESSION"))
    server: Mapped[str | None] = mapped_column(String(20), server_default="it's")
    number: Mapped[int | None] = mapped_column(server_default="7")
    clause: Mapped[str | None] = mapped_column(String(20), server_default=text("'clause'"))
    document: Mapped[list[int] | None] = mapped_column(JSONDocument, server_default="[1]")
    kept: Mapped[str | None] = mapped_column(String(20).evaluates_none(), default="kept")
    required: Mapped[int] = mapped_column(default=3)
    plain: Mapped[str | None] = mapped_column(String(20))
    inner: Mapped[str | None] = mapped_column(String(20), default="outer")
    outer: Mapped[str | None] = synonym("inner")

    @validates("scalar")
    def check(self, _: str, value: object) -> object:
        assert value is None or isinstance(value, str)
        return value


class ItemCreate(Schema):
    id: str
    scalar: str | None = None
    called: str | None = None
    computed: str | None = None
    expression: str | None = None
    server: str | None = None
    number: int | None = None
    clause: str | None = None
    document: list[int] | None = None
    kept: str | None = None
    required: int | None = 3
    plain: str | None = None
    outer: str | None = None


class ItemUpdate(ItemCreate, partial=True): ...


class ItemRead(ReadSchema):
    id: str
    scalar: str | None
    called: str | None
    computed: str | None
    expression: str | None
    server: str | None
    number: int | None
    clause: str | None
    document: list[int] | None
    kept: str | None
    required: int
    plain: str | None
    outer: str | None


class Items(Resource[Item]):
    """The items, with upserts."""

    allow_upsert = True


DEFAULTS: Final[Mapping[str, Any]] = {
    "scalar": "scalar",
    "called": "called",
    "computed": "a!",
    "expression": "expression",
    "server": "it's",
    "number": 7,
    "clause": "clause",
    "document": [1],
    "kept": "kept",
    "required": 3,
    "plain": None,
    "outer": "outer",
}
NULLS: Final[Mapping[str, Any]] = {name: None for name in DEFAULTS if name != "required"}


def items(resource: type[Resource[Item]]) -> APIRouter:
    return crud_router("/items", resource, read=ItemRead, create=ItemCreate, update=ItemUpdate)


ITEMS: Final = items(Items)

APPS: Final = apps_of(ITEMS)


def app_of(router: APIRouter, database: Database) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(router)
    return app


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without items."""
    return await tables.of(Base.metadata, backend)


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(request: pytest.FixtureRequest, running: Running, url: str) -> AsyncClient:
    """Return a client of the items on each path."""
    return await running.client(APPS[request.param], url)


async def stored(client: AsyncClient, path: str = "/items/a") -> dict[str, Any]:
    """Return the stored item at *path*."""
    response = await client.get(path)
    assert response.status_code == 200, response.text
    row: dict[str, Any] = response.json()
    return row


# --- POST -----------------------------------------------------------------------------------------


async def test_omitted_field_has_its_default(client: AsyncClient) -> None:
    response = await client.post("/items", json={"id": "a"})

    assert response.status_code == 201, response.text
    assert response.json() == {"id": "a", **DEFAULTS}
    assert await stored(client) == {"id": "a", **DEFAULTS}


async def test_null_is_stored_as_null(client: AsyncClient) -> None:
    response = await client.post("/items", json={"id": "a", **NULLS})

    assert response.status_code == 201, response.text
    assert response.json() == {"id": "a", **NULLS, "required": 3}
    assert await stored(client) == {"id": "a", **NULLS, "required": 3}


@pytest.mark.parametrize("name", NULLS)
async def test_null_in_one_field_keeps_the_other_defaults(client: AsyncClient, name: str) -> None:
    response = await client.post("/items", json={"id": "a", name: None})

    assert response.json() == {"id": "a", **DEFAULTS, name: None}
    assert await stored(client) == {"id": "a", **DEFAULTS, name: None}


async def test_null_in_a_required_field_is_rejected(client: AsyncClient) -> None:
    response = await client.post("/items", json={"id": "a", "required": None})

    assert summary(response) == "422 #/required not_nullable"
    assert (await client.get("/items")).json() == []


async def test_batch_has_defaults_and_nulls(client: AsyncClient) -> None:
    rows = [{"id": "a", **NULLS}, {"id": "b"}, {"id": "c", "server": None}]
    response = await client.post("/items/batch", json=rows)

    assert response.status_code == 201, response.text
    nulls, defaults, one = response.json()
    assert nulls == await stored(client, "/items/a") == {"id": "a", **NULLS, "required": 3}
    assert defaults == await stored(client, "/items/b") == {"id": "b", **DEFAULTS, "computed": "b!"}
    assert (
        one
        == await stored(client, "/items/c")
        == {**defaults, "id": "c", "computed": "c!", "server": None}
    )


async def test_rejected_batch_of_nulls_stores_nothing(client: AsyncClient) -> None:
    await client.post("/items", json={"id": "b"})
    rows = [{"id": "a", **NULLS}, {"id": "b"}, {"id": "c", "required": None}]
    response = await client.post("/items/batch", json=rows)

    assert summary(response) == "409 #/1/id not_unique, #/2/required not_nullable"
    assert [row["id"] for row in (await client.get("/items")).json()] == ["b"]


# --- PUT ------------------------------------------------------------------------------------------

GIVEN: Final[Mapping[str, Any]] = {
    **dict.fromkeys(DEFAULTS, "given"),
    "number": 1,
    "document": [2],
    "required": 4,
}


async def test_put_of_a_new_row_has_defaults_and_nulls(client: AsyncClient) -> None:
    response = await client.put("/items/a", json={"id": "a", "scalar": None, "server": None})

    assert response.status_code == 201, response.text
    assert response.json() == {"id": "a", **DEFAULTS, "scalar": None, "server": None}


async def test_put_resets_omitted_fields_to_their_defaults(client: AsyncClient) -> None:
    await client.post("/items", json={"id": "a", **GIVEN})
    response = await client.put("/items/a", json={"id": "a"})

    assert response.status_code == 200, response.text
    assert response.json() == {"id": "a", **DEFAULTS}
    assert await stored(client) == {"id": "a", **DEFAULTS}


async def test_put_stores_null(client: AsyncClient) -> None:
    await client.post("/items", json={"id": "a", **GIVEN})
    response = await client.put("/items/a", json={"id": "a", **NULLS, "required": 4})

    assert response.json() == {"id": "a", **NULLS, "required": 4}
    assert await stored(client) == {"id": "a", **NULLS, "required": 4}


async def test_patch_stores_null(client: AsyncClient) -> None:
    await client.post("/items", json={"id": "a", **GIVEN})
    response = await client.patch("/items/a", json=NULLS)

    assert response.json() == {"id": "a", **NULLS, "required": 4}
    assert await stored(client) == {"id": "a", **NULLS, "required": 4}


# --- Without a request ----------------------------------------------------------------------------


async def test_import_has_defaults_and_nulls(url: str, tmp_path: Path) -> None:
    database = Database(url)
    app, file = app_of(ITEMS, database), tmp_path / "items.ndjson"
    await database.create_all(Base.metadata)
    file.write_text('{"id": "a", "scalar": null, "server": null}\n{"id": "b"}\n')
    async with calling(app) as client:
        target = job_runner(app, database, "items")
        (*_, progress) = [step async for step in import_rows(target, open_row_file(file))]

        assert (progress.accepted, progress.rejected) == (2, 0)
        assert await stored(client) == {"id": "a", **DEFAULTS, "scalar": None, "server": None}
        assert await stored(client, "/items/b") == {"id": "b", **DEFAULTS, "computed": "b!"}


class Completed(Items):
    """Items that `create` completes."""

    @override
    async def create(self, row: Item, /) -> None:
        assert row.scalar is None
        row.scalar = "completed"
        await super().create(row)


async def test_create_method_may_replace_a_null(url: str) -> None:
    async with calling(app_of(items(Completed), Database(url))) as client:
        response = await client.post("/items", json={"id": "a", "scalar": None, "server": None})

        assert response.json() == {"id": "a", **DEFAULTS, "scalar": "completed", "server": None}


async def test_row_of_a_script_has_sqlalchemy_defaults(url: str) -> None:
    database = Database(url)
    async with calling(app_of(ITEMS, database)) as client:
        await client.post("/items", json={"id": "b", **NULLS})
        async with database.session() as session:
            session.add(Item(id="a", scalar=None, server=None))
        assert await stored(client) == {"id": "a", **DEFAULTS}
