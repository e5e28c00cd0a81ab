"""Attacks of one tenant on another, on every route."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
import pytest
from httpx2 import Response

from brickwork.testing import assert_no_leaks
from examples.tenancy.auth import SECRET
from tests.support.bodies import summary
from tests.support.databases import BACKENDS, Databases
from tests.support.tenants import Party, Tenancy, bearer, two_tenants

pytestmark = pytest.mark.anyio

NDJSON: Final = "application/x-ndjson"


@pytest.fixture(
    scope="module",
    params=[(backend, separate) for backend in BACKENDS for separate in (False, True)],
    ids=[f"{backend} {kind}" for backend in BACKENDS for kind in ("shared", "separate")],
)
async def tenancy(request: pytest.FixtureRequest, templates: Databases) -> AsyncGenerator[Tenancy]:
    databases = templates.another()
    backend, separate = request.param
    async with two_tenants(databases, backend, separate=separate) as tenancy:
        yield tenancy
    databases.drop()


def operations(tenancy: Tenancy) -> Iterator[tuple[str, str]]:
    """Yield the method and the path of every operation."""
    for path, item in tenancy.app.openapi()["paths"].items():
        for method in item:
            yield method.upper(), path.removeprefix("/v1")


# --- Rows of another tenant -----------------------------------------------------------------------

USER: Final = {"email": "eve@example.org", "name": "Eve"}
PROJECT: Final = {"name": "Eve's"}
TITLE: Final = {"title": "Eve's"}

# Method, path, query or key, body and answer. {user} is a row of the other tenant, {own_user} is
# a row of the caller's tenant.
Attack = tuple[str, str, str, Any, str]


def on_items(resource: str, key: str, change: Any, whole: Any) -> Sequence[Attack]:
    """Return the attacks on the rows of a resource."""
    item, batch = f"{resource}/{{id}}", f"{resource}/batch"
    return [
        ("GET", item, key, None, "404"),
        ("PATCH", item, key, change, "404"),
        ("PUT", item, key, whole, "404"),
        ("DELETE", item, key, None, "404"),
        ("DELETE", item, f"{key}?allow_missing=true", None, "204"),
        ("PATCH", batch, "", [change | {"id": key}], "404 #/0/id not_found"),
        (
            "PATCH",
            batch,
            "",
            [change | {"id": f"{{own_{key[1:]}"}, change | {"id": key}],
            "404 #/1/id not_found",
        ),
        ("DELETE", batch, f"?id={key}", None, "404 ?id not_found"),
        ("DELETE", batch, f"?id={{own_{key[1:]}&id={key}", None, "404 ?id not_found"),
        ("POST", resource, "", whole | {"tenant_id": "{tenant}"}, "422 #/tenant_id unknown_field"),
        ("POST", batch, "", [whole | {"tenant_id": "{tenant}"}], "422 #/0/tenant_id unknown_field"),
        (
            "PATCH",
            item,
            f"{{own_{key[1:]}",
            {"tenant_id": "{tenant}"},
            "422 #/tenant_id unknown_field",
        ),
    ]


IN_PROJECT: Final = "/projects/{project_id}/tasks"
TASK: Final = TITLE | {"project_id": "{own_project}"}

ATTACKS: Final[Sequence[Attack]] = [
    *on_items("/users", "{user}", {"name": "Eve"}, USER),
    *on_items("/projects", "{project}", PROJECT, PROJECT),
    *on_items("/tasks", "{task}", TITLE, TASK),
    ("GET", "/users/{id}/history", "{user}", None, "404"),
    ("GET", "/tasks/{id}/history", "{task}", None, "404"),
    ("POST", "/tasks/{id}/complete", "{task}", None, "404"),
    # References
    (
        "POST",
        "/tasks",
        "",
        TASK | {"project_id": "{project}"},
        "422 #/project_id reference_not_found",
    ),
    (
        "POST",
        "/tasks",
        "",
        TASK | {"assignee_id": "{user}"},
        "422 #/assignee_id reference_not_found",
    ),
    (
        "POST",
        "/tasks/batch",
        "",
        [TASK, TASK | {"project_id": "{project}"}],
        "422 #/1/project_id reference_not_found",
    ),
    (
        "PATCH",
        "/tasks/{id}",
        "{own_task}",
        {"project_id": "{project}"},
        "422 #/project_id reference_not_found",
    ),
    (
        "PUT",
        "/tasks/{id}",
        "{own_task}",
        TASK | {"assignee_id": "{user}"},
        "422 #/assignee_id reference_not_found",
    ),
    (
        "PATCH",
        "/tasks/batch",
        "",
        [{"id": "{own_task}", "assignee_id": "{user}"}],
        "422 #/0/assignee_id reference_not_found",
    ),
    # A project of the other tenant
    ("GET", IN_PROJECT, "{project}", None, "404"),
    ("POST", IN_PROJECT, "{project}", TITLE, "404"),
    ("POST", f"{IN_PROJECT}/batch", "{project}", [TITLE], "404"),
    ("DELETE", f"{IN_PROJECT}/batch", "{project}?id={task}", None, "404"),
    ("DELETE", f"{IN_PROJECT}/batch", "{project}?id={own_task}", None, "404"),
    ("GET", f"{IN_PROJECT}/{{id}}", "{project}/{task}", None, "404"),
    ("GET", f"{IN_PROJECT}/{{id}}", "{project}/{own_task}", None, "404"),
    ("PUT", f"{IN_PROJECT}/{{id}}", "{project}/{task}", TITLE, "404"),
    ("DELETE", f"{IN_PROJECT}/{{id}}", "{project}/{task}", None, "404"),
    ("GET", f"{IN_PROJECT}/{{id}}/history", "{project}/{task}", None, "404"),
    # A task of the other tenant in a project of one's own
    ("GET", f"{IN_PROJECT}/{{id}}", "{own_project}/{task}", None, "404"),
    ("PUT", f"{IN_PROJECT}/{{id}}", "{own_project}/{task}", TITLE, "404"),
    ("DELETE", f"{IN_PROJECT}/{{id}}", "{own_project}/{task}", None, "404"),
    ("DELETE", f"{IN_PROJECT}/batch", "{own_project}?id={task}", None, "404 ?id not_found"),
    ("GET", f"{IN_PROJECT}/{{id}}/history", "{own_project}/{task}", None, "404"),
    (
        "POST",
        IN_PROJECT,
        "{own_project}",
        TITLE | {"assignee_id": "{user}"},
        "422 #/assignee_id reference_not_found",
    ),
    (
        "POST",
        IN_PROJECT,
        "{own_project}",
        TITLE | {"project_id": "{project}"},
        "422 #/project_id read_only",
    ),
]

LISTS: Final[Sequence[tuple[str, str]]] = [
    *(("/users", query) for query in ("", "?email=member@example.org", "?sort=name")),
    *(("/projects", query) for query in ("", "?name__icontains=secret", "?sort=-name")),
    *(("/tasks", query) for query in ("", "?project_id={project}", "?assignee_id={user}")),
    ("/tasks/counts", ""),
]


def urls_of(attack: Attack, mine: Party, other: Party) -> str:
    """Return the URL of *attack* by *mine* on *other*."""
    _, path, rest, _, _ = attack
    keys, question, query = fill_in(rest, mine, other).partition("?")
    for key in keys.split("/"):
        path = path.replace("{project_id}" if "{project_id}" in path else "{id}", key)
    return f"/v1{path}{question}{query}"


def fill_in(text: str, mine: Party, other: Party) -> str:
    for name, key in other.ids.items():
        text = text.replace(f"{{{name}}}", key).replace(f"{{own_{name}}}", mine.ids[name])
    return text.replace("{tenant}", str(other.admin.tenant_id))


def reveals(response: Response, other: Party) -> bool:
    """Return whether *response* has something of *other* that the request had not."""
    request = f"{response.request.url} {response.request.content!r}"
    secrets = [
        *other.ids.values(),
        str(other.admin.tenant_id),
        str(other.admin.user_id),
        other.name,
    ]
    text = f"{response.text} {response.headers}"
    return any(secret in text and secret not in request for secret in secrets)


HEADERS: Final[Sequence[dict[str, str]]] = [
    {},
    {"idempotency-key": "attack"},
    {"if-match": "*"},
    {"prefer": "return=minimal"},
]


@pytest.mark.parametrize(
    "attack", ATTACKS, ids=[f"{n} {method} {path}" for n, (method, path, *_) in enumerate(ATTACKS)]
)
async def test_no_route_reaches_another_tenant(tenancy: Tenancy, attack: Attack) -> None:
    method, _, _, body, expected = attack
    mine, other = tenancy.b, tenancy.a
    content = None if body is None else fill_in(json.dumps(body), mine, other)
    before = await tenancy.stored()
    for more in [{"accept": NDJSON}, *HEADERS] if method == "GET" else HEADERS:
        headers = bearer(mine.admin, **{"content-type": "application/json"}) | more
        url = urls_of(attack, mine, other)
        response = await tenancy.client.request(method, url, content=content, headers=headers)
        if response.status_code != 406:  # NDJSON, where there is no export
            assert summary(response) == expected, (url, more)
        assert not reveals(response, other)
        assert await tenancy.stored() == before, (url, more)


@pytest.mark.parametrize(("path", "query"), LISTS)
@pytest.mark.parametrize("accept", ["application/json", NDJSON])
async def test_no_list_shows_rows_of_another_tenant(
    tenancy: Tenancy, path: str, query: str, accept: str
) -> None:
    mine, other = tenancy.b, tenancy.a
    url = f"/v1{path}{fill_in(query, mine, other)}"
    response = await tenancy.client.get(url, headers=bearer(mine.admin, accept=accept))
    assert response.status_code == (406 if (path, accept) == ("/tasks/counts", NDJSON) else 200)
    assert not reveals(response, other)
    if "{" in query:
        assert response.text in {"[]", ""}
    if accept != NDJSON and path != "/tasks/counts":
        mark = "&" if query else "?"
        for count in ("exact", "estimated"):
            counted = await tenancy.client.get(
                f"{url}{mark}count={count}&limit=100", headers=bearer(mine.admin)
            )
            assert counted.headers["x-total-count"] == str(len(counted.json()))


def test_every_operation_is_attacked(tenancy: Tenancy) -> None:
    attacked = {(method, path) for method, path, *_ in ATTACKS} | {
        ("GET", path) for path, _ in LISTS
    }
    assert {*operations(tenancy)} == attacked


async def test_cursor_belongs_to_its_tenant(tenancy: Tenancy) -> None:
    for path in ("/v1/tasks", "/v1/users"):
        page = await tenancy.client.get(f"{path}?limit=1", headers=bearer(tenancy.a.admin))
        link = page.links["next"]["url"]
        own = await tenancy.client.get(link, headers=bearer(tenancy.a.admin))
        assert (own.status_code, len(own.json())) == (200, 1)
        assert (
            summary(await tenancy.client.get(link, headers=bearer(tenancy.b.admin)))
            == "400 ?cursor invalid_cursor"
        )


async def test_idempotency_key_belongs_to_its_caller(tenancy: Tenancy) -> None:
    key, seen = {"idempotency-key": "same"}, set[str]()
    callers = [party.admin for party in (tenancy.a, tenancy.b)]
    callers += [party.member for party in (tenancy.a, tenancy.b)]
    for number, caller in enumerate(callers):
        body = {"name": "Same" if number < 2 else f"Member's {number}"}
        for replayed in (None, "true"):
            headers = bearer(caller, **key)
            response = await tenancy.client.post("/v1/projects", json=body, headers=headers)
            assert summary(response) == "201"
            assert response.headers.get("idempotency-replayed") == replayed
            seen.add(response.json()["id"])
    assert len(seen) == 4
    for caller in callers:
        mine = [
            one["id"]
            for one in (await tenancy.client.get("/v1/projects", headers=bearer(caller))).json()
        ]
        assert len(seen & {*mine}) == 2
    for project in seen:
        for party in (tenancy.a, tenancy.b):
            await tenancy.client.delete(
                f"/v1/projects/{project}?allow_missing=true", headers=bearer(party.admin)
            )


async def test_replay_has_the_schema_of_its_caller(tenancy: Tenancy) -> None:
    a, key = tenancy.a, {"idempotency-key": "rename"}
    path, body = f"/v1/users/{a.ids['user']}", {"name": "alpha member"}
    for caller, shown in ((a.admin, True), (a.member, False), (a.admin, True)):
        response = await tenancy.client.patch(path, json=body, headers=bearer(caller, **key))
        assert summary(response) == "200"
        assert ("salary" in response.json()) is shown


# --- Unique values of a tenant --------------------------------------------------------------------


async def test_unique_values_are_those_of_a_tenant(tenancy: Tenancy) -> None:
    before = await tenancy.stored()
    for party in (tenancy.a, tenancy.b):  # both have a project of this name
        headers = bearer(party.admin)
        project = await tenancy.client.post(
            "/v1/projects", json={"name": "Secret plans"}, headers=headers
        )
        assert summary(project) == "409 #/name not_unique"
        user = {"email": "member@example.org", "name": "Eve"}
        response = await tenancy.client.post("/v1/users", json=user, headers=headers)
        assert summary(response) == "409 #/email not_unique"
        assert "tenant" not in response.text
    assert await tenancy.stored() == before


# --- Authentication -------------------------------------------------------------------------------


def token(**changes: Any) -> str:
    claims = {
        "sub": "01a226c6-582e-73a0-944c-468be35288ff",
        "tenant": "01a226c6-582e-73a0-944c-468be35288ff",
        "role": "admin",
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    secret = changes.pop("secret", SECRET)
    return jwt.encode(claims | changes, secret, algorithm="HS256")


INVALID: Final[Mapping[str, str]] = {
    "no token": "",
    "another scheme": "Basic YTpi",
    "no JWT": "Bearer abc",
    "another secret": f"Bearer {token(secret=SECRET[::-1])}",
    "expired": f"Bearer {token(exp=datetime(2020, 1, 1, tzinfo=UTC))}",
    "no UUID": f"Bearer {token(sub='ada')}",
    "unknown role": f"Bearer {token(role='root')}",
    "unsigned": "Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhIn0.",
}


@pytest.mark.parametrize("reason", INVALID)
async def test_every_operation_needs_a_valid_token(tenancy: Tenancy, reason: str) -> None:
    before = await tenancy.stored()
    headers = {"authorization": INVALID[reason], "content-type": "application/json"}
    if not INVALID[reason]:
        del headers["authorization"]
    for method, path in operations(tenancy):
        url = "/v1" + fill_in(
            path.replace("{id}", "{task}").replace("{project_id}", "{project}"),
            tenancy.b,
            tenancy.a,
        )
        response = await tenancy.client.request(method, url, headers=headers, content=b"{")
        assert summary(response) == "401", (method, path)
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert await tenancy.stored() == before


def test_every_operation_documents_401_and_403(tenancy: Tenancy) -> None:
    document = tenancy.app.openapi()
    for method, path in operations(tenancy):
        operation = document["paths"][f"/v1{path}"][method.lower()]
        assert operation["responses"].keys() >= {"401", "403", "422"}, (method, path)
        assert operation["security"], (method, path)


# --- Roles ----------------------------------------------------------------------------------------

FORBIDDEN: Final[Sequence[tuple[str, str, Any]]] = [
    ("POST", "/users", USER),
    ("POST", "/users/batch", [USER]),
    ("DELETE", "/users/{own_user}", None),
    ("DELETE", "/users/batch?id={own_user}", None),
    ("DELETE", "/projects/{own_project}", None),
    ("DELETE", "/projects/batch?id={own_project}", None),
    ("DELETE", "/tasks/{own_task}", None),
    ("DELETE", "/projects/{own_project}/tasks/{own_task}", None),
    ("PATCH", "/users/{own_user}", {"salary": 9_000}),
    ("PATCH", "/users/{own_user}", {"role": "admin"}),
    ("PATCH", "/users/batch", [{"id": "{own_user}", "salary": 9_000}]),
    ("PUT", "/users/{own_user}", USER | {"salary": 9_000}),
    ("PUT", "/users/{own_user}", USER),  # which would reset the salary
    ("PATCH", "/users/{own_admin}", {"name": "Eve"}),
    ("POST", "/tasks/{own_unassigned}/complete", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN)
async def test_member_may_not(tenancy: Tenancy, method: str, path: str, body: Any) -> None:
    mine, other = tenancy.b, tenancy.a
    await add_unassigned(tenancy)
    before = await tenancy.stored()
    content = None if body is None else fill_in(json.dumps(body), mine, other)
    headers = bearer(mine.member, **{"content-type": "application/json"})
    path = path.replace("{own_admin}", str(mine.admin.user_id))
    url = f"/v1{fill_in(path, mine, other)}"
    response = await tenancy.client.request(method, url, content=content, headers=headers)
    assert summary(response).startswith("403")
    assert await tenancy.stored() == before


async def add_unassigned(tenancy: Tenancy) -> None:
    """Add a task that nobody has to do, unless it exists."""
    for party in (tenancy.a, tenancy.b):
        if "unassigned" not in party.ids:
            body = TITLE | {"project_id": party.ids["project"]}
            response = await tenancy.client.post(
                "/v1/tasks", json=body, headers=bearer(party.admin)
            )
            party.ids["unassigned"] = response.json()["id"]


async def test_only_admins_see_and_set_salaries(tenancy: Tenancy) -> None:
    a = tenancy.a
    path = f"/v1/users/{a.ids['user']}"
    changed = await tenancy.client.patch(path, json={"salary": 6_000}, headers=bearer(a.admin))
    assert changed.json()["salary"] == 6_000
    for accept in ("application/json", NDJSON):
        for caller, shown in ((a.admin, True), (a.member, False)):
            headers = bearer(caller, accept=accept)
            response = await tenancy.client.get("/v1/users", headers=headers)
            assert ("salary" in response.text) is shown
    own = await tenancy.client.patch(path, json={"name": "alpha member"}, headers=bearer(a.member))
    assert summary(own) == "200"
    assert "salary" not in own.json()
    history = await tenancy.client.get(f"{path}/history", headers=bearer(a.admin))
    assert history.json()[0]["changes"] == {"salary": {"before": 5_000, "after": 6_000}}
    assert history.json()[0]["actor"] == f"{a.admin.tenant_id}/{a.admin.user_id}"


# --- Endpoints of its own -------------------------------------------------------------------------


async def test_assignee_completes_a_task(tenancy: Tenancy) -> None:
    a = tenancy.a
    url = f"/v1/tasks/{a.ids['task']}"
    before = (await tenancy.client.get("/v1/tasks/counts", headers=bearer(a.member))).json()
    done = await tenancy.client.post(f"{url}/complete", headers=bearer(a.member))
    assert (done.status_code, done.json()["done"]) == (200, True)
    after = (await tenancy.client.get("/v1/tasks/counts", headers=bearer(a.member))).json()
    assert after == {"open": before["open"] - 1, "done": before["done"] + 1}
    history = await tenancy.client.get(f"{url}/history", headers=bearer(a.member))
    assert history.json()[0]["changes"]["done"] == {"before": False, "after": True}


async def test_task_of_a_project_is_created_in_it(tenancy: Tenancy) -> None:
    a = tenancy.a
    path = f"/v1/projects/{a.ids['project']}/tasks"
    response = await tenancy.client.post(path, json=TITLE, headers=bearer(a.member))
    assert summary(response) == "201"
    assert response.headers["location"] == f"{path}/{response.json()['id']}"
    assert response.json()["project_id"] == a.ids["project"]
    item = await tenancy.client.get(response.headers["location"], headers=bearer(a.member))
    assert item.json() == response.json()
    for wrong in ("abc", a.ids["task"]):
        answer = await tenancy.client.get(f"/v1/projects/{wrong}/tasks", headers=bearer(a.admin))
        assert summary(answer) == "404"


async def test_mail_is_sent_after_the_commit(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, sent = tenancy.a, list[tuple[str, str, int]]()

    async def count_tasks() -> int:
        rows = await tenancy.stored()
        return len(rows["0 tasks"])

    async def send(email: str, title: str) -> None:
        sent.append((email, title, await count_tasks()))

    monkeypatch.setattr("examples.tenancy.mail.send_assignment", send)
    before, headers = await count_tasks(), bearer(a.admin)
    body = TITLE | {"project_id": a.ids["project"], "assignee_id": a.ids["user"]}
    assert summary(await tenancy.client.post("/v1/tasks", json=body, headers=headers)) == "201"
    assert sent == [("member@example.org", TITLE["title"], before + 1)]
    rejected = [body, body | {"project_id": a.ids["task"]}]
    response = await tenancy.client.post("/v1/tasks/batch", json=rejected, headers=headers)
    assert summary(response) == "422 #/1/project_id reference_not_found"
    assert len(sent) == 1


# --- The test of every application ----------------------------------------------------------------


async def test_the_testing_kit_finds_no_leak(tenancy: Tenancy) -> None:
    owner, stranger = bearer(tenancy.a.admin), bearer(tenancy.b.admin)
    report = await assert_no_leaks(tenancy.app, tenancy.client, owner=owner, stranger=stranger)
    assert {*report.attacked} == {f"{method} /v1{path}" for method, path in operations(tenancy)}
