"""Settings of authentication, and tokens for development."""

import os
import subprocess
import sys
from typing import Any, Final

import jwt
import pytest
from pydantic import ValidationError

from app.settings import Settings, error_lines
from tests.support.processes import ROOT
from tests.support.tokens import SECRET

KEYS: Final = {"AUTH": "jwt", "AUTH_JWKS_URL": "https://issuer.example/keys.json"}
NAMES: Final = {"AUTH_AUDIENCE": "articles", "AUTH_ISSUER": "https://issuer.example"}
SIGNED: Final = {"AUTH": "jwt", "AUTH_SECRET": SECRET}
PEM: Final = f"-----BEGIN PUBLIC KEY-----\n{'A' * 64}\n-----END PUBLIC KEY-----\n"

REJECTED: Final[dict[str, tuple[dict[str, str], str]]] = {
    "a database": (
        {"DATABASE_URL": "mysql://ada@localhost/shop"},
        "DATABASE_URL: mysql:// is not supported: use postgresql+asyncpg:// or",
    ),
    "a parameter": ({"DATABASE_URL": "postgresql://localhost/x?sslmod=a"}, "DATABASE_URL: "),
    "no URL": ({"DATABASE_URL": "shop.db"}, "DATABASE_URL: "),
    "unknown": ({"AUTH": "basic"}, "AUTH: Input should be 'off' or 'jwt'"),
    "no key": ({"AUTH": "jwt"}, "AUTH=jwt needs one of AUTH_SECRET and AUTH_JWKS_URL"),
    "two keys": ({**KEYS, **NAMES, **SIGNED}, "and not both"),
    "a short secret": ({**SIGNED, "AUTH_SECRET": "a" * 31}, "AUTH_SECRET needs 32 bytes"),
    "no audience": ({**KEYS, "AUTH_ISSUER": "a"}, "needs AUTH_AUDIENCE and AUTH_ISSUER"),
    "no issuer": ({**KEYS, "AUTH_AUDIENCE": "a"}, "needs AUTH_AUDIENCE and AUTH_ISSUER"),
    "a file": ({**KEYS, **NAMES, "AUTH_JWKS_URL": "file:///etc/keys"}, "begins with https://"),
    "no host": ({**KEYS, **NAMES, "AUTH_JWKS_URL": "https:///keys"}, "begins with https://"),
    "no address": ({**KEYS, **NAMES, "AUTH_JWKS_URL": "https://[::1"}, "begins with https://"),
    "a public key": ({**SIGNED, "AUTH_SECRET": PEM}, "AUTH_SECRET is a key of another algorithm"),
    "an SSH key": ({**SIGNED, "AUTH_SECRET": f"ssh-rsa {'A' * 32}"}, "is a key of another"),
    "no roles": ({**SIGNED, "AUTH_ROLES_CLAIM": "sub"}, "the name of a claim with roles"),
    "nothing in a claim": ({**SIGNED, "AUTH_ROLES_CLAIM": ".roles"}, "a claim with roles"),
    "no claim": ({**SIGNED, "AUTH_ROLES_CLAIM": ""}, "AUTH_ROLES_CLAIM needs"),
    "a secret without AUTH": ({"AUTH_SECRET": SECRET}, "have no effect while AUTH is off"),
    "keys without AUTH": (KEYS | {"AUTH": "off"}, "have no effect while AUTH is off"),
}


@pytest.mark.parametrize("kind", REJECTED)
def test_settings_that_cannot_work_are_rejected_with_one_line(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, line = REJECTED[kind]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    text = error_lines(caught.value)
    assert line in text
    assert "\n" not in text
    assert SECRET not in text


@pytest.mark.parametrize("variables", [{}, SIGNED, {**SIGNED, **NAMES}, {**KEYS, **NAMES}])
def test_settings_that_work(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.auth == variables.get("AUTH", "off")
    assert SECRET not in repr(settings)


def run(*arguments: str, **variables: str) -> Any:
    return subprocess.run(  # noqa: S603 — ours
        [sys.executable, "-m", "app.auth", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_command_prints_a_token() -> None:
    names = {**SIGNED, **NAMES, "AUTH_ROLES_CLAIM": "realm_access.roles"}
    arguments = ("--subject", "ada", "--role", "admin", "--role", "editor", "--hours", "2")
    ended = run(*arguments, **names)
    assert (ended.returncode, ended.stderr) == (0, "")
    claims = jwt.decode(
        ended.stdout.strip(),
        SECRET,
        algorithms=["HS256"],
        audience=NAMES["AUTH_AUDIENCE"],
        issuer=NAMES["AUTH_ISSUER"],
    )
    assert claims["sub"] == "ada"
    assert claims["realm_access"] == {"roles": ["admin", "editor"]}
    assert claims["exp"] - claims["iat"] == 7_200


def test_command_rejects_an_empty_subject() -> None:
    ended = run("--subject", "", **SIGNED)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "A subject is printable text of 1 to 255 characters.\n"


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "Set AUTH=jwt and AUTH_SECRET."),
        ({**KEYS, **NAMES}, "With AUTH_JWKS_URL, the issuer alone makes tokens."),
        ({"AUTH": "jwt"}, "AUTH=jwt needs one of"),
    ],
    ids=["off", "an issuer", "no key"],
)
def test_command_needs_a_secret(variables: dict[str, str], line: str) -> None:
    ended = run("--subject", "ada", **variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert line in ended.stderr
    assert ended.stderr.count("\n") == 1
