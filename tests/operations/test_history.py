"""The history of a row."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import func, select
from typing_extensions import override

from brickwork import (
    AuditEntry,
    Conflict,
    Database,
    ListQuery,
    Page,
    SessionDep,
    crud_router,
    install,
)
from tests.support import blog
from tests.support.blog import Article, Articles
from tests.support.calls import calling
from tests.support.recording import statements
from tests.support.services import Service

ANN = {"user": "ann", "site": "a", "x-request-id": "r-1"}
BEN = {"user": "ben", "site": "b"}


@pytest.fixture
async def client(blog_service: Service) -> AsyncIterator[AsyncClient]:
    """Return a client of the blog, with the headers of Ann on site a."""
    async with blog_service.client() as client:
        client.headers.update(ANN)
        yield client


@pytest.fixture
def database(blog_service: Service) -> Database:
    """Return the blog's database."""
    return blog_service.database


async def create_article(client: AsyncClient, **values: Any) -> str:
    """Create an article, and return its path."""
    response = await client.post("/articles", json={"slug": "a", "token": "1234"} | values)
    assert response.status_code == 201, response.text
    return response.headers["location"]


async def get_history(client: AsyncClient, path: str) -> list[dict[str, Any]]:
    response = await client.get(f"{path}/history")
    assert response.status_code == 200, response.text
    entries: list[dict[str, Any]] = response.json()
    return entries


async def count_entries(database: Database) -> int:
    async with database.session(readonly=True) as session:
        return await session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def changed_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the changes of *entry* without the time of the update."""
    return {name: value for name, value in entry["changes"].items() if name != "updated_at"}


# --- Entries -----------------------------------------------------------------------------------


async def test_entry_has_the_action_the_actor_and_the_request(client: AsyncClient) -> None:
    (entry,) = await get_history(client, await create_article(client))

    assert (entry["action"], entry["actor"], entry["request_id"]) == ("create", "ann", "r-1")
    assert UUID(entry["id"]).version == 7


async def test_entry_has_the_time_of_the_change(client: AsyncClient) -> None:
    before = datetime.now(UTC)
    (entry,) = await get_history(client, await create_article(client))

    assert before <= datetime.fromisoformat(entry["created_at"]) <= datetime.now(UTC)


async def test_entry_of_a_create_has_the_fields_of_the_row(client: AsyncClient) -> None:
    (entry,) = await get_history(client, await create_article(client))

    assert changed_fields(entry) == {
        "id": {"after": 1},  # the database made it
        "slug": {"after": "a"},
        "views": {"after": 0},  # the database's default
        "token": {},  # a secret
        "source": {},  # clients write it and do not read it
        "meta": {"after": None},
    }


async def test_entry_has_the_request_id_of_the_answer(client: AsyncClient) -> None:
    path = await create_article(client)
    del client.headers["x-request-id"]
    response = await client.patch(path, json={"slug": "b"})
    latest, _ = await get_history(client, path)

    assert latest["request_id"] == response.headers["x-request-id"]


async def test_entry_of_an_unknown_user_has_no_actor(client: AsyncClient) -> None:
    path = await create_article(client)
    await client.patch(path, json={"slug": "b"}, headers={"user": ""})
    latest, _ = await get_history(client, path)

    assert latest["actor"] is None


@pytest.mark.parametrize(
    ("method", "action", "body", "changes"),
    [
        pytest.param(
            "PATCH", "", {"slug": "b"}, {"slug": {"before": "a", "after": "b"}}, id="PATCH"
        ),
        pytest.param(
            "PUT", "", {"slug": "b"}, {"slug": {"before": "a", "after": "b"}, "token": {}}, id="PUT"
        ),
        pytest.param("PATCH", "", {"token": "0000"}, {"token": {}}, id="a secret"),
        pytest.param("PATCH", "", {"source": "b"}, {"source": {}}, id="a field only written"),
        pytest.param(
            "PATCH",
            "",
            {"meta": {"a": 1}},
            {"meta": {"before": None, "after": {"a": 1}}},
            id="an object",
        ),
        pytest.param("POST", "/view", None, {"views": {"before": 0, "after": 1}}, id="in SQL"),
    ],
)
async def test_entry_of_an_update_has_the_values_before_and_after(
    client: AsyncClient, method: str, action: str, body: object, changes: object
) -> None:
    path = await create_article(client)
    response = await client.request(method, path + action, json=body)
    latest, first = await get_history(client, path)

    assert (latest["action"], changed_fields(latest)) == ("update", changes)
    assert latest["changes"]["updated_at"] == {
        "before": first["changes"]["updated_at"]["after"],
        "after": response.json()["updated_at"],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("PATCH", "/articles/1", {"slug": "a"}, 200, id="the same value"),
        pytest.param("PATCH", "/articles/1", {}, 200, id="no field"),
        pytest.param("PATCH", "/articles/1", {"slug": "b"}, 409, id="a taken value"),
        pytest.param("POST", "/articles", {"slug": "b"}, 409, id="a row with a taken value"),
        pytest.param("PATCH", "/articles/1", {"slug": 5}, 422, id="a wrong type"),
        pytest.param("DELETE", "/articles/9", None, 404, id="an unknown row"),
        pytest.param("POST", "/tags", {"name": "c"}, 201, id="a row that is not audited"),
    ],
)
async def test_request_without_a_change_leaves_no_entry(  # noqa: PLR0913, PLR0917 — a case
    client: AsyncClient, database: Database, method: str, path: str, body: object, status: int
) -> None:
    await create_article(client, slug="a")
    await create_article(client, slug="b")
    response = await client.request(method, path, json=body)

    assert response.status_code == status, response.text
    assert await count_entries(database) == 2


async def test_request_that_fails_after_a_flush_leaves_no_entry(blog_service: Service) -> None:
    app = blog.create_app(blog_service.url)

    @app.post("/refuse")
    async def refuse(session: SessionDep) -> None:
        session.add(Article(slug="a"))
        await session.flush()
        raise Conflict("Not today.")

    async with calling(app) as client:
        assert (await client.post("/refuse")).status_code == 409
    assert await count_entries(blog_service.database) == 0


async def test_batch_writes_its_entries_in_one_statement(client: AsyncClient) -> None:
    with statements() as sent:
        response = await client.post("/articles/batch", json=[{"slug": slug} for slug in "abc"])

    assert response.status_code == 201, response.text
    assert len([statement for statement in sent if "INSERT INTO audit_entries" in statement]) == 1
    entries = [await get_history(client, f"/articles/{row['id']}") for row in response.json()]
    assert [
        [(entry["actor"], entry["changes"]["slug"]) for entry in row_entries]
        for row_entries in entries
    ] == [
        [("ann", {"after": "a"})],
        [("ann", {"after": "b"})],
        [("ann", {"after": "c"})],
    ]


async def test_rejected_batch_leaves_no_entry(client: AsyncClient, database: Database) -> None:
    await create_article(client, slug="b")
    response = await client.post("/articles/batch", json=[{"slug": "a"}, {"slug": "b"}])

    assert response.status_code == 409
    assert await count_entries(database) == 1


# --- The endpoint ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/articles/1", BEN, id="of another site"),
        pytest.param("/articles/9", ANN, id="unknown"),
        pytest.param("/articles/x", ANN, id="no key"),
    ],
)
async def test_invisible_row_has_no_history(
    client: AsyncClient, path: str, headers: dict[str, str]
) -> None:
    await create_article(client)
    response = await client.get(f"{path}/history", headers=headers)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/not_found")


async def test_deleted_row_has_no_history(client: AsyncClient) -> None:
    path = await create_article(client)
    await client.delete(path)

    assert (await client.get(f"{path}/history")).status_code == 404


async def test_deleted_row_has_a_history_with_deleted_include(
    client: AsyncClient,
) -> None:
    path = await create_article(client)
    await client.delete(path)
    latest, first = (await client.get(f"{path}/history?deleted=include")).json()

    assert (first["action"], latest["action"]) == ("create", "update")
    assert changed_fields(latest).keys() == {"deleted_at"}
    assert latest["changes"]["deleted_at"]["before"] is None


async def test_history_is_paged_like_a_list(client: AsyncClient) -> None:
    path = await create_article(client)
    for slug in ("b", "c", "d", "e"):
        await client.patch(path, json={"slug": slug})

    url, slugs = f"{path}/history?limit=2&count=exact", list[str]()
    while url:
        response = await client.get(url)
        assert response.headers["x-total-count"] == "5"
        slugs += [entry["changes"]["slug"]["after"] for entry in response.json()]
        url = response.links.get("next", {}).get("url", "")
    assert slugs == ["e", "d", "c", "b", "a"]


async def test_history_supports_head(client: AsyncClient) -> None:
    assert (await client.head(f"{await create_article(client)}/history")).status_code == 200


async def test_history_rejects_invalid_parameters_like_a_list(client: AsyncClient) -> None:
    path = await create_article(client)
    response = await client.get(f"{path}/history?limit=0&colour=red")

    assert {fault["parameter"] for fault in response.json()["errors"]} == {"limit", "colour"}


async def test_cursor_is_valid_for_the_history_of_one_row(client: AsyncClient) -> None:
    path, other = await create_article(client, slug="a"), await create_article(client, slug="b")
    await client.patch(path, json={"slug": "c"})
    response = await client.get(f"{path}/history?limit=1")
    moved = response.links["next"]["url"].replace(path, other)

    assert (await client.get(moved)).json()["type"] == "/problems/invalid_cursor"


async def test_unaudited_row_has_no_history(client: AsyncClient) -> None:
    await client.post("/tags", json={"name": "a"})

    assert (await client.get("/tags/1/history")).status_code == 404


def test_openapi_describes_histories() -> None:
    document = blog.create_app("sqlite:///unused.db").openapi()

    histories = [path for path in document["paths"] if path.endswith("history")]
    assert histories == ["/articles/{id}/history", "/authors/{id}/history"]
    (operation,) = document["paths"]["/articles/{id}/history"].values()
    assert operation["operationId"] == "articles_history"
    assert operation["responses"].keys() >= {"200", "404", "422", "503"}
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    assert reference == {"$ref": "#/components/schemas/AuditEntryRead"}
    entry = document["components"]["schemas"]["AuditEntryRead"]["properties"]
    assert entry["action"]["enum"] == ["create", "update", "delete"]
    changes = entry["changes"]["additionalProperties"]
    assert changes["propertyNames"] == {"enum": ["before", "after"]}


SCHEMAS: dict[str, Any] = {
    "read": blog.ArticleRead,
    "create": blog.ArticleCreate,
    "update": blog.ArticleUpdate,
}


async def test_resource_can_forbid_the_history(blog_service: Service) -> None:
    class Discreet(Articles):
        @override
        async def history(self, key: object, at: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
            if self.user == "ann":
                raise Conflict("Not you.")
            return await super().history(key, at)

    app = FastAPI(lifespan=Database(blog_service.url).lifespan)
    install(app)
    app.include_router(crud_router("/articles", Discreet, **SCHEMAS))
    async with calling(app) as client:
        await client.post("/articles", json={"slug": "a"}, headers=ANN)
        assert (await client.get("/articles/1/history", headers=ANN)).status_code == 409
        eve = ANN | {"user": "eve"}
        assert (await client.get("/articles/1/history", headers=eve)).status_code == 200


async def test_router_can_omit_the_history(blog_service: Service) -> None:
    app = FastAPI(lifespan=Database(blog_service.url).lifespan)
    install(app)
    app.include_router(crud_router("/articles", Articles, **SCHEMAS, omit={"history"}))
    async with calling(app) as client:
        await client.post("/articles", json={"slug": "a"}, headers=ANN)
        assert (await client.get("/articles/1/history", headers=ANN)).status_code == 404
