"""Tokens that an issuer signs, with the keys at AUTH_JWKS_URL."""

import asyncio
import base64
import json
import logging
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any, Final, cast

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx2 import AsyncClient, Response

from app import jwks
from app.main import create_app
from app.settings import Settings
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    Issuer,
    bearer,
    claims,
    issuing,
    key_token,
    private_key,
    public_jwk,
    raw,
    secret_token,
)
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio

LOG: Final = "app.jwks"
PROBLEM: Final = "/problems/authentication_unavailable"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing("rsa", "ec") as issuer:
        yield issuer


@pytest.fixture(params=BACKENDS)
async def client(
    request: pytest.FixtureRequest, databases: Databases, issuer: Issuer
) -> AsyncGenerator[AsyncClient]:
    url = databases.migrated(request.param)
    async with calling(create_app(issued_by(issuer.url, url))) as client:
        yield client


def issued_by(issuer: str, database: str) -> Settings:
    return Settings(
        database_url=database,
        auth="jwt",
        auth_jwks_url=issuer,
        auth_audience=AUDIENCE,
        auth_issuer=ISSUER,
    )


async def get(client: AsyncClient, token: str) -> Response:
    return await client.get("/articles", headers=bearer(token))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds by which the clock of the service is ahead."""
    ahead = [0.0]
    late = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(ahead))
    monkeypatch.setattr("app.jwks.time", late)
    return ahead


# --- Keys -----------------------------------------------------------------------------------------


async def test_each_kind_of_key_is_read_once(client: AsyncClient, issuer: Issuer) -> None:
    answers = await asyncio.gather(*(get(client, key_token(k)) for k in ("rsa", "ec") * 5))
    assert {summary(answer) for answer in answers} == {"200"}
    created = await client.post(
        "/articles", json={"title": "One", "slug": "one"}, headers=bearer(key_token("ec"))
    )
    assert summary(created) == "201"
    deleted = await client.get(
        "/articles?deleted=only", headers=bearer(key_token("rsa", roles=["admin"]))
    )
    assert summary(deleted) == "200"
    assert issuer.readings == 1


def confused() -> str:
    """Return a token whose secret is the public key."""
    public = private_key("rsa").public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwt_hmac = jwt.get_algorithm_by_name("HS256")
    header, body = ({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims(roles=["admin"]))
    signed = ".".join(map(encoded, (header, body)))
    signature = cast("Any", jwt_hmac).sign(signed.encode(), pem)
    return f"{signed}.{encoded(signature)}"


def encoded(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def resigned(**header: Any) -> str:
    """Return a token of another private key, whose header points to its public key."""
    return key_token("rsa-evil", {"kid": "rsa", **header})


async def test_invalid_tokens(client: AsyncClient, issuer: Issuer) -> None:
    with issuing("rsa-evil") as evil:
        tokens = {
            "expired": key_token("rsa", exp=int(time.time()) - 60),
            "another audience": key_token("rsa", aud="comments"),
            "another issuer": key_token("ec", iss="https://other.example"),
            "another key": resigned(),
            "an address of keys": resigned(jku=evil.url, x5u=evil.url),
            "a key of its own": resigned(jwk=public_jwk("rsa-evil")),
            "a certificate": resigned(x5c=["MIIB"]),
            "a key of another kind": key_token("rsa", {"kid": "ec"}),
            "an unknown key": key_token("rsa-evil"),
            "no key": key_token("rsa", {"kid": None}),
            "a path as a key": key_token("rsa", {"kid": "../../../../dev/null"}),
            "SQL as a key": key_token("rsa", {"kid": "' OR 1=1 --"}),
            "a secret": secret_token(),
            "the public key as a secret": confused(),
            "unsigned": f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{encoded(claims())}.",
            "another hash": jwt.encode(claims(), private_key("rsa"), "RS512", {"kid": "rsa"}),
            "no base64": "é.é.é",
        }
        for reason, token in tokens.items():
            response = await client.get("/articles", headers=raw(token))
            assert summary(response) == "401", reason
            assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert evil.readings == 0
    assert issuer.readings == 1


async def test_symmetric_and_unknown_keys_of_an_issuer_are_not_used(
    client: AsyncClient, issuer: Issuer
) -> None:
    secret = "a secret that the issuer should not have published"  # noqa: S105 — of nothing
    issuer.publish(
        {"kty": "oct", "kid": "oct", "k": encoded(secret.encode())},
        {"kty": "new", "kid": "new"},
        {"kid": "empty"},
        public_jwk("rsa-evil", use="enc"),
        public_jwk("rsa-2", kid=["rsa-2"]),
        public_jwk("rsa"),
    )
    assert summary(await get(client, key_token("rsa"))) == "200"
    token = jwt.encode(claims(), secret, "HS256", {"kid": "oct"})
    assert summary(await get(client, token)) == "401"
    assert summary(await get(client, key_token("rsa-evil"))) == "401"


# --- Rotation -------------------------------------------------------------------------------------


async def test_new_key_is_read_and_removed_key_is_forgotten(
    client: AsyncClient, issuer: Issuer, clock: list[float]
) -> None:
    assert summary(await get(client, key_token("rsa"))) == "200"
    issuer.publish(public_jwk("rsa-2"), public_jwk("ec"))
    assert summary(await get(client, key_token("rsa-2"))) == "401"
    clock.append(jwks.COOLDOWN)
    assert summary(await get(client, key_token("rsa-2"))) == "200"
    assert summary(await get(client, key_token("rsa"))) == "401"
    issuer.publish(public_jwk("ec"))
    assert summary(await get(client, key_token("rsa-2"))) == "200"
    clock.append(jwks.LIFESPAN)
    assert summary(await get(client, key_token("rsa-2"))) == "401"
    assert issuer.readings == 3


async def test_unknown_keys_cause_one_reading_in_a_while(
    client: AsyncClient, issuer: Issuer, clock: list[float]
) -> None:
    for _ in range(2):
        tokens = [key_token("rsa", {"kid": f"unknown {number}"}) for number in range(20)]
        answers = await asyncio.gather(*(get(client, token) for token in tokens))
        assert {summary(answer) for answer in answers} == {"401"}
    assert issuer.readings == 1
    clock.append(jwks.COOLDOWN)
    await asyncio.gather(*(get(client, key_token("rsa", {"kid": "unknown"})) for _ in range(20)))
    assert issuer.readings == 2


# --- Outages --------------------------------------------------------------------------------------


async def test_an_outage_is_a_503_and_logged_once(
    databases: Databases, caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/keys.json"
    settings = issued_by(url, databases.migrated("sqlite"))
    async with calling(create_app(settings)) as client:
        caplog.clear()
        for _ in range(2):
            response = await get(client, key_token("rsa"))
            assert summary(response) == "503"
            assert 1 <= int(response.headers["retry-after"]) <= jwks.COOLDOWN
            assert response.json()["type"] == PROBLEM
            assert "127.0.0.1" not in response.text
            clock.append(jwks.COOLDOWN)
        assert (await client.get(PROBLEM)).status_code == 200
        # Tokens that no key could make valid, and requests without one, need no keys.
        assert summary(await get(client, secret_token())) == "401"
        assert summary(await client.get("/articles")) == "401"
    (line,) = [record for record in caplog.records if record.name == LOG]
    assert line.levelno == logging.ERROR
    assert "AUTH_JWKS_URL" in line.message


GARBAGE: Final[dict[str, Any]] = {
    "an error": {"status": 500},
    "a redirect": {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}},
    "no JSON": {"body": b"<html>"},
    "keys after a megabyte of blanks": {
        "body": b" " * jwks.MAX_SIZE + json.dumps({"keys": [public_jwk("rsa")]}).encode()
    },
    "no UTF-8": {"body": b"\xff\xfe\xff"},
    "deep JSON": {"body": b"[" * 100_000},
    "a list": {"body": b"[]"},
    "no keys": {"body": b"{}"},
    "an empty set": {"body": b'{"keys": []}'},
    "a set of texts": {"body": b'{"keys": ["a"]}'},
    "a set that is none": {"body": b'{"keys": 1}'},
    "keys without names": {"body": json.dumps({"keys": [public_jwk("rsa", kid=None)]}).encode()},
    "a number of a key that is none": {"body": b'{"keys": [{"kty": "RSA", "n": 1, "e": "AQAB"}]}'},
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_an_outage_until_it_ends(
    databases: Databases,
    issuer: Issuer,
    kind: str,
    clock: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    good, status = issuer.body, issuer.status
    for name, value in GARBAGE[kind].items():
        setattr(issuer, name, value)
    settings = issued_by(issuer.url, databases.migrated("sqlite"))
    async with calling(create_app(settings)) as client:
        assert summary(await get(client, key_token("rsa"))) == "503"
        issuer.body, issuer.status = good, status
        assert summary(await get(client, key_token("rsa"))) == "503"  # not again so soon
        clock.append(jwks.COOLDOWN)
        assert summary(await get(client, key_token("rsa"))) == "200"
    lines = [record for record in caplog.records if record.name == LOG]
    assert [line.levelno for line in lines] == [logging.ERROR, logging.WARNING]
    assert issuer.readings == 2


async def test_known_keys_outlast_an_outage_of_an_hour(
    client: AsyncClient, issuer: Issuer, clock: list[float]
) -> None:
    assert summary(await get(client, key_token("rsa"))) == "200"
    issuer.status = 503
    clock.append(jwks.LIFESPAN)
    assert summary(await get(client, key_token("rsa"))) == "200"
    assert summary(await get(client, key_token("rsa-2"))) == "503"
    clock.append(jwks.MAX_AGE)
    assert summary(await get(client, key_token("rsa"))) == "503"
    issuer.status = 200
    clock.append(jwks.COOLDOWN)
    assert summary(await get(client, key_token("rsa"))) == "200"


async def test_known_keys_do_not_wait_in_an_outage(
    client: AsyncClient, issuer: Issuer, clock: list[float]
) -> None:
    assert summary(await get(client, key_token("rsa"))) == "200"
    issuer.status = 503
    clock.append(jwks.LIFESPAN)
    assert summary(await get(client, key_token("rsa"))) == "200"
    issuer.status = 200
    issuer.free.clear()
    issuer.publish(public_jwk("ec"))
    clock.append(jwks.COOLDOWN)
    token = key_token("rsa")
    assert summary(await get(client, token)) == "200"
    issuer.free.set()
    async with asyncio.timeout(DEADLINE):
        while (await get(client, token)).status_code != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("slow", ["silent", "dripping"])
async def test_slow_issuer_delays_only_requests_that_need_it(
    databases: Databases,
    issuer: Issuer,
    slow: str,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.jwks.TIMEOUT", 1.0)
    if slow == "silent":
        issuer.free.clear()
    issuer.pause = 0.3
    settings = issued_by(issuer.url, databases.migrated("sqlite"))
    token = key_token("rsa")
    async with calling(create_app(settings)) as client:
        await client.get("/openapi.json")  # which takes long the first time
        waiting = asyncio.gather(*(get(client, token) for _ in range(5)))
        await asyncio.sleep(0.01)
        for _ in range(5):
            assert (await client.get("/openapi.json")).status_code == 200
        assert not waiting.done()
        assert {summary(answer) for answer in await waiting} == {"503"}
        assert issuer.readings == 1
        clock.append(jwks.COOLDOWN)
        assert summary(await get(client, token)) == "503"
        assert issuer.readings == 2  # so the first reading has ended
        issuer.free.set()
        issuer.pause = 0
        monkeypatch.setattr("app.jwks.TIMEOUT", DEADLINE)
        clock.append(jwks.COOLDOWN)
        assert summary(await get(client, token)) == "200"
