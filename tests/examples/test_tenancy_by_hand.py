"""The service for many tenants, beside the same by hand."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from brickwork import Database
from examples.tenancy import main, models, plain
from examples.tenancy.auth import Caller
from examples.tenancy.plain import main as by_hand, models as plain_models
from examples.tenancy.seed import add_tenant
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.example_lines import shown_and_counted
from tests.support.tenants import bearer

pytestmark = pytest.mark.anyio

USER: Final = {"email": "ada@example.org", "name": "Ada", "salary": 5}
MARK: Final = re.compile(r"\{(user|project|task)\}")
MISSING: Final = "01a226c6-582e-73a0-944c-468be35288ff"

# The role of the caller, method, path and body. Answers name their rows: {user}, {project}, {task}.
REQUESTS: Final[Sequence[tuple[str, str, str, Any]]] = [
    ("member", "POST", "/users", USER),
    ("admin", "POST", "/users", USER),
    ("admin", "POST", "/users", USER),
    ("admin", "POST", "/users", {"email": "no address", "name": "", "x": 1}),
    ("member", "GET", "/users?sort=-name&count=exact", None),
    ("admin", "GET", "/users?email=ada@example.org", None),
    ("member", "GET", "/users/{user}", None),
    ("member", "PATCH", "/users/{user}", {"name": "Eve"}),
    ("admin", "PATCH", "/users/{user}", {"salary": 6}),
    ("admin", "PUT", "/users/{user}", {"email": "ada@example.org", "name": "Ada L."}),
    ("admin", "GET", "/users/abc", None),
    ("admin", "POST", "/projects", {"name": "Plans"}),
    ("admin", "POST", "/projects", {"name": "Plans"}),
    ("member", "GET", "/projects?name__icontains=PLAN", None),
    ("member", "PATCH", "/projects/{project}", {"name": "Secret plans"}),
    (
        "member",
        "POST",
        "/tasks",
        {"title": "One", "project_id": "{project}", "assignee_id": "{user}"},
    ),
    ("member", "POST", "/tasks", {"title": "Two", "project_id": MISSING}),
    ("member", "POST", "/projects/{project}/tasks", {"title": "Two"}),
    ("member", "POST", f"/projects/{MISSING}/tasks", {"title": "Two"}),
    ("member", "GET", f"/projects/{MISSING}/tasks", None),
    ("member", "GET", "/projects/{project}/tasks?sort=title", None),
    ("member", "GET", "/projects/{project}/tasks/{task}", None),
    ("member", "PATCH", "/tasks/{task}", {"title": "Uno"}),
    ("member", "PATCH", "/tasks/{task}", {"assignee_id": MISSING}),
    ("member", "POST", "/tasks/{task}/complete", None),
    ("admin", "POST", "/tasks/{task}/complete", None),
    ("member", "GET", "/tasks?done=true", None),
    ("member", "GET", "/tasks/counts", None),
    ("member", "DELETE", "/tasks/{task}", None),
    ("admin", "DELETE", "/projects/{project}", None),
    ("admin", "DELETE", "/tasks/{task}", None),
    ("admin", "GET", "/tasks/{task}", None),
]


async def answers(app: FastAPI, admin: Caller) -> list[object]:
    """Return the answers to all requests, without keys and times."""
    async with calling(app) as client:
        return [await ask(client, admin, *request) for request in REQUESTS]


async def ask(client: AsyncClient, admin: Caller, *request: Any) -> object:
    """Return the answer to a request, whose keys stand for those of the application."""
    role, method, path, body = request
    keys = {
        name: await first_key(client, admin, f"{name}s")
        for name in ("user", "project", "task")
        if f"{{{name}}}" in f"{path} {body}"
    }
    caller = admin if role == "admin" else Caller(UUID(MISSING), admin.tenant_id, "member")
    url = "/v1" + MARK.sub(lambda mark: keys[mark[1]], path)
    filled = json.loads(MARK.sub(lambda mark: keys[mark[1]], json.dumps(body)))
    response = await client.request(method, url, json=filled, headers=bearer(caller))
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "KEY", response.text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    shown = (response.headers.get("x-total-count"), "location" in response.headers)
    return method, path, response.status_code, shown, text if response.is_success else ""


async def first_key(client: AsyncClient, admin: Caller, resource: str) -> str:
    """Return the key of the first row that is not the admin. A key of no row without one."""
    rows = (await client.get(f"/v1/{resource}", headers=bearer(admin))).json()
    return next((row["id"] for row in rows if row["id"] != str(admin.user_id)), MISSING)


async def test_code_by_hand_answers_the_same(databases: Databases, backend: str) -> None:
    url = databases.empty(backend)
    database = Database(url)
    await database.create_all(models.Base.metadata)
    admin = await add_tenant(database, "alpha", "admin@example.org")
    declared = await answers(main.create_app(url), admin)
    await database.dispose()

    url = databases.empty(backend)
    app = by_hand.create_app(url)
    database = Database(url)
    await database.create_all(plain_models.Base.metadata)
    async with database.session() as session:
        session.add(plain_models.Tenant(id=admin.tenant_id, name="alpha"))
        await session.flush()
        user = plain_models.User(id=admin.user_id, email="admin@example.org", name="Admin")
        user.tenant_id, user.role = admin.tenant_id, "admin"
        session.add(user)
    assert await answers(app, admin) == declared
    async with database.session(readonly=True) as session:
        actions = await session.scalars(select(plain_models.Entry.action))
        assert {*actions} == {"create", "update", "delete"}
    await database.dispose()


def test_page_shows_the_lines_of_code() -> None:
    shown, counted = shown_and_counted("tenancy")
    assert shown == counted
    assert len(shown) == 2
    assert plain.__doc__
