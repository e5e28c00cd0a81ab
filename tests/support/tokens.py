"""Tokens of users, and an issuer that publishes its keys."""

import json
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key as generate_ec_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    generate_private_key as generate_rsa_key,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from typing_extensions import override

SECRET: Final = "a secret for tests, of more than 32 bytes"  # noqa: S105 — of nothing
AUDIENCE: Final = "articles"
ISSUER: Final = "https://issuer.example"

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a user who is no admin. A change to None removes a claim."""
    now = int(time.time())
    usual = {"sub": "ada", "iat": now, "exp": now + 600, "aud": AUDIENCE, "iss": ISSUER}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def secret_token(secret: str = SECRET, **changes: Any) -> str:
    """Return a token that a secret signs."""
    return jwt.encode(claims(**changes), secret, algorithm="HS256")


def bearer(token: str | None = None, **more: str) -> dict[str, str]:
    """Return the headers of a request with *token*, by default that of a user."""
    return {"authorization": f"Bearer {secret_token() if token is None else token}", **more}


def raw(token: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request with *token*, which need not be ASCII."""
    return [(b"Authorization", f"Bearer {token}".encode())]


def admin(**more: str) -> dict[str, str]:
    """Return the headers of an admin."""
    return bearer(secret_token(sub="root", roles=["admin"]), **more)


@cache
def private_key(name: str) -> PrivateKey:
    """Return the private key *name*: an elliptic curve if it begins with `ec`, else RSA."""
    if name.startswith("ec"):
        return generate_ec_key(SECP256R1())
    return generate_rsa_key(65_537, 2_048)


def public_jwk(name: str, **members: Any) -> dict[str, Any]:
    """Return the public key *name* as the issuer publishes it."""
    key = private_key(name)
    shown = (
        ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        if isinstance(key, EllipticCurvePrivateKey)
        else RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    )
    return {**shown, "kid": name, "use": "sig", **members}


def key_token(name: str, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """Return a token that the private key *name* signs."""
    algorithm = "ES256" if name.startswith("ec") else "RS256"
    header = {"kid": name, **(headers or {})}
    header = {name: value for name, value in header.items() if value is not None}
    return jwt.encode(claims(**changes), private_key(name), algorithm, headers=header)


@dataclass
class Issuer:
    """An HTTP server with a set of keys."""

    url: str = ""
    body: bytes = b""
    status: int = 200
    free: threading.Event = field(default_factory=threading.Event)
    """Its answers wait for this event, which is set at first."""
    pause: float = 0
    """The seconds before each tenth of the answer."""
    readings: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def publish(self, *keys: Mapping[str, Any]) -> None:
        """Answer with *keys* from now on."""
        self.body = json.dumps({"keys": keys}).encode()


@contextmanager
def issuing(*names: str) -> Generator[Issuer]:
    """Run an issuer that publishes the public keys *names*."""
    issuer = Issuer()
    issuer.free.set()
    issuer.publish(*map(public_jwk, names))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.readings += 1
            issuer.free.wait()
            self.send_response(issuer.status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            size = len(issuer.body) // 10 + 1
            with suppress(ConnectionError):  # the service waits no longer
                for start in range(0, len(issuer.body), size):
                    time.sleep(issuer.pause)
                    self.wfile.write(issuer.body[start : start + size])

        @override
        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer.url = f"http://127.0.0.1:{server.server_port}/keys.json"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield issuer
    finally:
        issuer.free.set()
        server.shutdown()
        server.server_close()
        thread.join()
