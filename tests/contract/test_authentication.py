"""Users of the service: tokens, roles, and openapi.json."""

import base64
import json
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

import jwt
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.main import create_app
from app.settings import Settings
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases
from tests.support.tokens import AUDIENCE, ISSUER, SECRET, admin, bearer, raw, secret_token

pytestmark = pytest.mark.anyio

JWT: Final[Any] = {"auth": "jwt", "auth_secret": SECRET}
NAMED: Final[Any] = {"auth_audience": AUDIENCE, "auth_issuer": ISSUER}
NDJSON: Final = "application/x-ndjson"
MISSING: Final = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module", params=BACKENDS)
async def served(
    request: pytest.FixtureRequest, templates: Databases
) -> AsyncGenerator[tuple[FastAPI, AsyncClient]]:
    databases = templates.another()
    settings = Settings(database_url=databases.migrated(request.param), **JWT, **NAMED)
    app = create_app(settings)
    async with calling(app) as client:
        yield app, client
    databases.drop()


@pytest.fixture
def app(served: tuple[FastAPI, AsyncClient]) -> FastAPI:
    return served[0]


@pytest.fixture
def client(served: tuple[FastAPI, AsyncClient]) -> AsyncClient:
    return served[1]


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the method, the path and the description of every operation."""
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def new_article() -> dict[str, Any]:
    return {"title": "One", "slug": f"one-{time.monotonic_ns()}"}


async def create(client: AsyncClient) -> str:
    response = await client.post("/articles", json=new_article(), headers=bearer())
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


# --- Every operation ------------------------------------------------------------------------------


async def test_every_operation_needs_a_token(app: FastAPI, client: AsyncClient) -> None:
    tried = 0
    for method, path, _ in operations(app):
        url = path.replace("{id}", MISSING)
        # Not even a body that is no JSON is read, and no row is looked up.
        headers = {"content-type": "application/json"}
        response = await client.request(method, url, content=b"{", headers=headers)
        assert summary(response) == "401", (method, path)
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["type"] == "/problems/unauthorized"
        rejected = await client.request(
            method, f"{url}?nonsense=1", content=b"{", headers=headers | bearer("abc")
        )
        assert summary(rejected) == "401"
        assert rejected.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        tried += 1
    assert tried > 20


async def test_every_operation_documents_its_token(app: FastAPI) -> None:
    document = app.openapi()
    for method, path, operation in operations(app):
        assert operation["security"] == [{"token": []}], (method, path)
        assert operation["responses"].keys() >= {"401", "403"}, (method, path)
    assert document["components"]["securitySchemes"] == {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A JSON Web Token.",
        }
    }
    assert "WWW-Authenticate" in document["components"]["responses"]["Unauthorized"]["headers"]


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_lists_exports_and_head_need_a_token(
    client: AsyncClient, method: str, accept: str
) -> None:
    for path in ("/articles", "/articles/", "/articles?deleted=only", "/comments"):
        response = await client.request(method, path, headers={"accept": accept})
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert bool(response.content) is (method == "GET")
    response = await client.request(method, "/articles", headers=bearer(accept=accept))
    assert response.status_code == 200


async def test_paths_and_methods_are_no_secret(client: AsyncClient) -> None:
    for path in ("/", "/docs", "/redoc", "/openapi.json", "/problems", "/problems/unauthorized"):
        assert (await client.get(path)).status_code == 200
    assert (await client.options("/articles")).status_code == 204
    assert summary(await client.delete("/articles")) == "405"
    assert summary(await client.get("/nothing")) == "404"


async def test_user_reads_and_writes(client: AsyncClient) -> None:
    key = await create(client)
    path = f"/articles/{key}"
    headers = bearer()
    assert summary(await client.get(path, headers=headers)) == "200"
    assert summary(await client.patch(path, json={"views": 1}, headers=headers)) == "200"
    assert summary(await client.put(path, json=new_article(), headers=headers)) == "200"
    batch = await client.post("/articles/batch", json=[new_article()], headers=headers)
    assert summary(batch) == "201"
    assert summary(await client.delete(path, headers=headers)) == "204"


# --- Tokens ---------------------------------------------------------------------------------------


def unsigned(algorithm: str, **header: Any) -> str:
    parts: list[Any] = [{"alg": algorithm, "typ": "JWT", **header}, {"sub": "ada", "exp": 2**33}]
    return ".".join([*map(encoded, parts), ""])


def encoded(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def altered() -> str:
    header, _, signature = secret_token().split(".")
    claims = {"sub": "root", "roles": ["admin"], "exp": 2**33, "aud": AUDIENCE, "iss": ISSUER}
    return f"{header}.{encoded(claims)}.{signature}"


INVALID: Final = {
    "expired": secret_token(exp=int(time.time()) - 60),
    "not yet valid": secret_token(nbf=int(time.time()) + 3_600),
    "issued tomorrow": secret_token(iat=int(time.time()) + 86_400),
    "no expiry": secret_token(exp=None),
    "expiry of another type": secret_token(exp="tomorrow"),
    "infinite expiry": secret_token(exp=float("inf")),
    "no subject": secret_token(sub=None),
    "empty subject": secret_token(sub=""),
    "subject of another type": secret_token(sub=1),
    "null character in the subject": secret_token(sub="a\x00b"),
    "line break in the subject": secret_token(sub="a\nb"),
    "long subject": secret_token(sub="a" * 256),
    "another audience": secret_token(aud="comments"),
    "no audience": secret_token(aud=None),
    "another issuer": secret_token(iss="https://other.example"),
    "no issuer": secret_token(iss=None),
    "another secret": secret_token(SECRET[::-1]),
    "altered claims": altered(),
    "unsigned": unsigned("none"),
    "unsigned in capitals": unsigned("NONE"),
    "another hash": jwt.encode({"sub": "ada"}, SECRET * 2, algorithm="HS512"),
    "public keys": unsigned("RS256", kid="a", jku="https://evil.example/keys.json"),
    "three parts": "a.b.c",
    "no parts": "abc",
    "spaces": "a b c",
    "no base64": f"{secret_token()}!",
    "not ASCII": "schlüssel",
    "deep header": f"{encoded(b'[' * 9_000)}.e30.",
    "deep object": encoded(b'{"a":' * 4_000) + ".e30.",
    "long number": encoded(b'{"alg":' + b"9" * 6_000 + b"}") + ".e30.",
    "huge": "a" * 20_000,
    "roles as a number": secret_token(roles=1),
    "roles as an object": secret_token(roles={"admin": True}),
    "a role as a number": secret_token(roles=["admin", 1]),
    "roles as false": secret_token(roles=False),
}


@pytest.mark.parametrize("reason", INVALID)
async def test_an_invalid_token_is_rejected_without_a_reason(
    client: AsyncClient, reason: str
) -> None:
    response = await client.get("/articles", headers=raw(INVALID[reason]))
    assert summary(response) == "401"
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json()["detail"] == "The token is not valid, or has expired."


async def test_too_large_a_token_is_rejected_with_the_headers(client: AsyncClient) -> None:
    assert summary(await client.get("/articles", headers=bearer("a" * 40_000))) == "431"


@pytest.mark.parametrize("value", ["", " ", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "abc"])
async def test_another_header_is_no_token(client: AsyncClient, value: str) -> None:
    response = await client.get("/articles", headers={"authorization": value})
    assert summary(response) == "401"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_the_scheme_has_no_case(client: AsyncClient, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {secret_token()}"}
    assert summary(await client.get("/articles", headers=headers)) == "200"


async def test_several_headers_are_rejected(client: AsyncClient) -> None:
    value = f"Bearer {secret_token()}"
    for other in (value, "Basic YTpi", ""):
        headers = [("Authorization", value), ("authorization", other)]
        response = await client.get("/articles", headers=headers)
        assert summary(response) == "400 Authorization repeated"
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_request"'


async def test_clocks_may_differ(client: AsyncClient) -> None:
    now = int(time.time())
    for token in (secret_token(exp=now - 20), secret_token(nbf=now + 20)):
        assert summary(await client.get("/articles", headers=bearer(token))) == "200"


# --- Roles ----------------------------------------------------------------------------------------

ADMINS: Final[dict[str, dict[str, Any]]] = {
    "a list": {"roles": ["editor", "admin"]},
    "a text": {"roles": "editor admin"},
}
OTHERS: Final[dict[str, dict[str, Any]]] = {
    "no roles": {},
    "null": {"roles": None},
    "an empty list": {"roles": []},
    "another role": {"roles": ["administrator", "Admin", " admin"]},
    "another claim": {"role": "admin", "scope": "admin"},
}


async def deleted_article(client: AsyncClient) -> str:
    key = await create(client)
    assert (await client.delete(f"/articles/{key}", headers=bearer())).status_code == 204
    return key


async def use_rights(client: AsyncClient, key: str, headers: dict[str, str]) -> list[Response]:
    """Return the responses to requests of admins."""
    path = f"/articles/{key}"
    return [
        await client.get("/articles?deleted=include", headers=headers),
        await client.get("/articles?deleted=only", headers=headers | {"accept": NDJSON}),
        await client.head("/articles?deleted=only", headers=headers),
        await client.post(f"{path}/restore", headers=headers),
        await client.delete(f"{path}?purge=true", headers=headers),
    ]


@pytest.mark.parametrize("kind", ADMINS)
async def test_admins_see_restore_and_purge_deleted_rows(client: AsyncClient, kind: str) -> None:
    key = await deleted_article(client)
    headers = bearer(secret_token(**ADMINS[kind]))
    responses = await use_rights(client, key, headers)
    assert [response.status_code for response in responses] == [200, 200, 200, 200, 204]
    assert key in responses[0].text


@pytest.mark.parametrize("kind", OTHERS)
async def test_others_may_not(client: AsyncClient, kind: str) -> None:
    key = await deleted_article(client)
    headers = bearer(secret_token(**OTHERS[kind]))
    for row in (key, MISSING):  # the answer does not tell whether the row exists
        responses = await use_rights(client, row, headers)
        assert [response.status_code for response in responses] == [403] * 5
        assert responses[0].json()["detail"] == "Only users with the role admin may do this."
    restored = await client.post(f"/articles/{key}/restore", headers=admin())
    assert summary(restored) == "200"


async def test_others_cannot_use_a_cursor_over_deleted_rows(client: AsyncClient) -> None:
    for _ in range(2):
        await deleted_article(client)
    page = await client.get("/articles?deleted=only&limit=1", headers=admin())
    following = page.links["next"]["url"]
    assert summary(await client.get(following, headers=bearer())) == "403"
    cursor = following.replace("deleted=only&", "")
    assert summary(await client.get(cursor, headers=bearer())) == "400 ?cursor invalid_cursor"


async def test_an_idempotency_key_belongs_to_its_user(client: AsyncClient) -> None:
    body, key = new_article(), f"key-{time.monotonic_ns()}"
    mine = bearer(**{"idempotency-key": key})
    first = await client.post("/articles", json=body, headers=mine)
    # A new token of the same user, as after a refresh.
    refreshed = bearer(secret_token(jti="2"), **{"idempotency-key": key})
    again = await client.post("/articles", json=body, headers=refreshed)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    others = bearer(secret_token(sub="bob"), **{"idempotency-key": key})
    other = await client.post("/articles", json=body, headers=others)
    assert summary(other) == "409 #/slug not_unique"
    assert "idempotency-replayed" not in other.headers


# --- Off, and other claims ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["realm_access.roles", "https://example.com/roles"])
async def test_roles_are_read_from_a_claim_of_choice(databases: Databases, name: str) -> None:
    url = databases.migrated("sqlite")
    settings = Settings(database_url=url, **JWT, auth_roles_claim=name)
    claims: dict[str, Any] = {"aud": None, "roles": ["admin"]}
    async with calling(create_app(settings)) as client:

        async def status(**more: Any) -> int:
            headers = bearer(secret_token(**claims, **more))
            return (await client.get("/articles?deleted=only", headers=headers)).status_code

        assert await status() == 403
        assert await status(**{name: ["admin"]}) == 200
        outer, _, inner = name.partition(".")
        assert await status(**{outer: {inner: "admin"}}) == 200
        assert await status(**{outer: "admin"}) == 403
        assert await status(**{name: 1}) == 401


async def test_a_token_names_no_unknown_audience(
    databases: Databases,
) -> None:
    settings = Settings(database_url=databases.migrated("sqlite"), **JWT)
    async with calling(create_app(settings)) as client:
        assert summary(await client.get("/articles", headers=bearer())) == "401"
        token = secret_token(aud=None)
        assert summary(await client.get("/articles", headers=bearer(token))) == "200"


@pytest.mark.parametrize("backend", BACKENDS)
async def test_everything_is_allowed_while_auth_is_off(
    databases: Databases, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(database_url=databases.migrated(backend)))
    assert not caplog.records
    async with calling(app) as client:
        (warning,) = [record for record in caplog.records if record.name == "app.main"]
        assert "AUTH is off" in warning.message
        assert "Set AUTH=jwt" in warning.message
        key = (await client.post("/articles", json=new_article())).json()["id"]
        assert (await client.delete(f"/articles/{key}")).status_code == 204
        responses = await use_rights(client, key, {})
        assert [response.status_code for response in responses] == [200, 200, 200, 200, 204]
    document = app.openapi()
    assert "securitySchemes" not in document["components"]
    for _, _, operation in operations(app):
        assert "security" not in operation
        assert "401" not in operation["responses"]
