"""Users in the resources and handlers of applications."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient
from pydantic import SecretStr
from sqlalchemy import MetaData, Select, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from app.auth import CurrentUser, User, current_user, protect
from app.resource import ProtectedResource
from app.settings import Settings
from brickwork import (
    Audited,
    Database,
    Entity,
    ListQuery,
    ReadSchema,
    Schema,
    SoftDelete,
    Versioned,
    crud_router,
    install,
)
from brickwork.testing import sign_in
from tests.support.bodies import summary
from tests.support.both import FAST
from tests.support.calls import calling
from tests.support.tables import Tables
from tests.support.tokens import SECRET, bearer, secret_token

pytestmark = pytest.mark.anyio


class Memo(Entity, Versioned, SoftDelete):
    """A memo of a user."""

    __tablename__ = "memos_of_users"
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)

    owner: Mapped[str] = mapped_column(String(255), index=True)
    text: Mapped[str] = mapped_column(String(100))


class Event(Entity, Audited):
    """A row with a history."""

    __tablename__ = "events_of_users"
    metadata = Memo.metadata

    text: Mapped[str] = mapped_column(String(100))


class TextCreate(Schema):
    text: str


class TextUpdate(TextCreate, partial=True): ...


class MemoRead(ReadSchema):
    id: UUID
    owner: str
    text: str


class EventRead(ReadSchema):
    id: UUID
    text: str


class Memos(ProtectedResource[Memo]):
    """Memos, each of one user."""

    @override
    def query(self) -> Select[Memo]:
        return super().query().where(Memo.owner == self.user.id)

    @override
    async def create(self, row: Memo, /) -> None:
        row.owner = self.user.id
        await super().create(row)


class PadCreate(TextCreate):
    owner: str


class PadUpdate(PadCreate, partial=True): ...


class Pads(ProtectedResource[Memo]):
    """Memos whose owner the request names."""

    @override
    def query(self) -> Select[Memo]:
        return super().query().where(Memo.owner == self.user.id)


class Events(ProtectedResource[Event]):
    """Events with a history."""


memos = crud_router(
    "/memos", Memos, read=MemoRead, create=TextCreate, update=TextUpdate, query=ListQuery[Memo]
)
pads = crud_router("/pads", Pads, read=MemoRead, create=PadCreate, update=PadUpdate)
events = crud_router("/events", Events, read=EventRead, create=TextCreate, update=TextUpdate)
own = APIRouter()


@own.get("/me")
async def show_me(user: CurrentUser) -> Mapping[str, Any]:
    return {"id": user.id, "roles": sorted(user.roles)}


OFF: Final = Settings()
JWT: Final = Settings(auth="jwt", auth_secret=SecretStr(SECRET))


@asynccontextmanager
async def serving(database: Database, settings: Settings = JWT) -> AsyncGenerator[AsyncClient]:
    app = create_app(database, settings)
    async with calling(app) as client:
        yield client


def create_app(database: Database, settings: Settings) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app, development=True)
    protected = protect(app, settings)
    for router in (memos, pads, events, own):
        app.include_router(router, dependencies=protected)
    for router in (memos, pads, events, own):
        app.include_router(router, prefix="/forgotten")
    mounted = FastAPI()
    install(mounted)
    for router in (memos, pads, events, own):
        mounted.include_router(router)
    app.mount("/mounted", mounted)
    return app


def user(name: str = "ada", **more: str) -> dict[str, str]:
    return bearer(secret_token(sub=name, aud=None), **more)


ROOT: Final = bearer(secret_token(sub="root", roles="admin", aud=None))


@pytest.fixture
async def client(tables: Tables, backend: str) -> AsyncGenerator[AsyncClient]:
    database = Database(await tables.of(Memo.metadata, backend))
    async with serving(database) as client:
        yield client


async def test_users_see_their_own_rows(client: AsyncClient) -> None:
    for name in ("ada", "bob"):
        rows = [{"text": f"{name} {number}"} for number in range(3)]
        created = await client.post("/memos/batch", json=rows, headers=user(name))
        assert summary(created) == "201"
        assert {row["owner"] for row in created.json()} == {name}
    page = await client.get("/memos?limit=2", headers=user("ada"))
    assert [row["text"] for row in page.json()] == ["ada 0", "ada 1"]
    key = page.json()[0]["id"]
    following = page.links["next"]["url"]
    assert [row["text"] for row in (await client.get(following, headers=user("ada"))).json()] == [
        "ada 2"
    ]
    other = await client.get(following, headers=user("bob"))
    assert summary(other) == "400 ?cursor invalid_cursor"
    for method in ("GET", "PATCH", "DELETE"):
        body = {"text": "Eve"} if method == "PATCH" else None
        answer = await client.request(method, f"/memos/{key}", json=body, headers=user("bob"))
        assert summary(answer) == "404"


async def test_a_history_is_for_admins_and_names_the_user(client: AsyncClient) -> None:
    created = await client.post("/events", json={"text": "One"}, headers=user())
    path = f"/events/{created.json()['id']}"
    await client.patch(path, json={"text": "Two"}, headers=user("bob"))
    for row in (path, "/events/01890000-0000-7000-8000-000000000000"):
        assert summary(await client.get(f"{row}/history", headers=user())) == "403"
        head = await client.head(f"{row}/history", headers=user())
        assert head.status_code == 403
    history = await client.get(f"{path}/history", headers=ROOT)
    assert [entry["actor"] for entry in history.json()] == ["bob", "ada"]


async def test_a_handler_knows_the_user(client: AsyncClient) -> None:
    assert (await client.get("/me", headers=user())).json() == {"id": "ada", "roles": []}
    assert (await client.get("/me", headers=ROOT)).json() == {"id": "root", "roles": ["admin"]}
    assert summary(await client.get("/me")) == "401"


@pytest.mark.parametrize("prefix", ["/forgotten", "/mounted"])
async def test_a_route_without_the_dependencies_has_no_user(
    client: AsyncClient, prefix: str
) -> None:
    created = await client.post(f"{prefix}/events", json={"text": "One"})
    assert created.status_code == 201  # it is public
    event = f"{prefix}/events/{created.json()['id']}"
    memo = f"{prefix}/memos/{created.json()['id']}"
    pad = f"{prefix}/pads"
    for method, path, body in (
        ("GET", f"{prefix}/memos", None),
        ("GET", memo, None),
        ("POST", f"{prefix}/memos", {"text": "One"}),
        ("PATCH", memo, {"text": "One"}),
        ("DELETE", memo, None),
        ("DELETE", f"{memo}?purge=true", None),
        ("POST", f"{memo}/restore", None),
        ("GET", f"{prefix}/memos?deleted=only", None),
        ("GET", pad, None),
        ("POST", pad, {"text": "One", "owner": "ada"}),
        ("GET", f"{event}/history", None),
    ):
        # A token makes no user without the dependencies.
        for headers in ({}, ROOT):
            response = await client.request(method, path, json=body, headers=headers)
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"] == "Bearer"


async def test_a_user_does_not_outlast_the_request(tables: Tables, backend: str) -> None:
    url = await tables.of(Memo.metadata, backend)
    async with serving(Database(url)) as client, serving(Database(url), OFF) as other:
        assert summary(await client.post("/memos", json={"text": "One"}, headers=user())) == "201"
        assert (await other.get("/me")).json() == {"id": "anybody", "roles": ["admin"]}
        assert (await other.get("/memos")).json() == []
        assert summary(await other.get("/memos?deleted=only")) == "200"
        assert summary(await client.get("/me")) == "401"


async def test_tests_sign_in_without_a_token(tables: Tables, backend: str) -> None:
    app = create_app(Database(await tables.of(Memo.metadata, backend)), JWT)
    user = User("eve", frozenset({"admin"}))
    async with calling(app) as client:
        with sign_in(app, current_user, user):
            assert (await client.get("/me")).json() == {"id": "eve", "roles": ["admin"]}
            created = await client.post("/memos", json={"text": "One"})
            assert created.json()["owner"] == "eve"
            assert [row["id"] for row in (await client.get("/pads")).json()] == [
                created.json()["id"]
            ]
            assert summary(await client.get("/memos?deleted=include")) == "200"
        assert summary(await client.get("/me")) == "401"


# --- Paths ----------------------------------------------------------------------------------------


@pytest.mark.both_paths
@pytest.mark.parametrize("fast", FAST.values(), ids=FAST)
@pytest.mark.parametrize("settings", [OFF, JWT], ids=["off", "jwt"])
async def test_both_paths_answer_alike(
    tables: Tables, backend: str, settings: Settings, *, fast: bool
) -> None:
    url = await tables.of(Memo.metadata, backend)
    expected = "fast path" if fast else "ORM path: the fast path of the database is off"
    async with serving(Database(url, fast_path=fast), settings) as client:

        async def call(method: str, path: str, status: int, body: Any = None) -> Any:
            response = await client.request(method, path, json=body, headers=user())
            assert response.status_code == status, response.text
            assert response.headers["x-brickwork-path"].startswith(expected), (method, path)
            return response.json() if response.content else None

        owner = "anybody" if settings is OFF else "ada"
        pad = await call("POST", "/pads", 201, {"text": "One", "owner": owner})
        path = f"/pads/{pad['id']}"
        assert await call("GET", path, 200) == pad
        assert await call("GET", "/pads", 200) == [pad]
        assert (await call("PATCH", path, 200, {"text": "Two"}))["text"] == "Two"
        await call("DELETE", path, 204)
        assert await call("GET", "/pads", 200) == []
        # Of another user, it is written on no path.
        other = {"text": "One", "owner": "eve"}
        response = await client.post("/pads", json=other, headers=user())
        assert summary(response) == "403"
