"""Settings from the environment and `.env`."""

from collections.abc import Iterator
from typing import Final, Literal, LiteralString, Self
from urllib.parse import urlsplit

from pydantic import PositiveInt, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from brickwork import Database

_NO_KEYS: Final = (
    "Several WORKERS need CURSOR_KEYS, secrets of 32 characters or more as JSON. Otherwise each "
    "process would reject the cursors of the others."
)

_MIN_SECRET: Final = 32
"""The bytes of a secret for HS256: as many as its hash has (RFC 7518, section 3.2)."""

_PUBLIC_KEYS: Final = ("-----BEGIN ", "ssh-", "ecdsa-sha2-")
"""How keys begin that verify tokens of other algorithms. A secret for HS256 is no such key."""

_OTHER_CLAIMS: Final = {"", "aud", "exp", "iat", "iss", "jti", "nbf", "sub"}
"""The claims with another meaning (RFC 7519, section 4.1). None of them has roles."""


class Settings(BaseSettings):
    """Settings of the service. Each has an environment variable of its name in capitals.

    The file `.env` of the working directory may set them, too. The environment comes first.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    database_url: str = "sqlite+aiosqlite:///brickwork.db"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: PositiveInt = 1
    """Number of server processes."""
    cursor_keys: list[str] = []
    """Secrets that encrypt cursors, as JSON. All processes of the service need the same ones."""
    access_log: bool = True
    """Whether standard output has a line for each request."""
    development: bool = False
    """Whether the log at start-up names lists without an index."""

    auth: Literal["off", "jwt"] = "off"
    """How users sign in. `off`: they do not, and everything is allowed."""
    auth_secret: SecretStr = SecretStr("")
    """The secret that signs the tokens of users (HS256), of 32 bytes or more."""
    auth_jwks_url: str = ""
    """The address of the public keys that sign the tokens (RS256, ES256), in place of a secret."""
    auth_audience: str = ""
    """The audience that each token must name. Required with `auth_jwks_url`."""
    auth_issuer: str = ""
    """The issuer that each token must name. Required with `auth_jwks_url`."""
    auth_roles_claim: str = "roles"
    """The claim with the roles of a user. `realm_access.roles` is a claim within another."""

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        try:
            Database(url)  # connects to nothing yet
        except (ValueError, ModuleNotFoundError) as error:
            raise PydanticCustomError("database_url", "{reason}", {"reason": str(error)}) from None
        return url

    @model_validator(mode="after")
    def _require_keys(self) -> Self:
        if self.workers > 1 and not (self.cursor_keys or self.development):
            raise PydanticCustomError("no_keys", _NO_KEYS)
        return self

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        problems = _jwt_problems(self) if self.auth == "jwt" else _unused_settings(self)
        if problem := next(iter(problems), None):
            raise PydanticCustomError("auth", problem)
        return self


def _jwt_problems(settings: Settings) -> Iterator[LiteralString]:
    """Yield what is wrong with the settings of AUTH=jwt."""
    secret, url = settings.auth_secret.get_secret_value(), settings.auth_jwks_url
    if bool(secret) is bool(url):
        yield "AUTH=jwt needs one of AUTH_SECRET and AUTH_JWKS_URL, and not both."
    if secret and len(secret.encode()) < _MIN_SECRET:
        yield "AUTH_SECRET needs 32 bytes or more: openssl rand -base64 32"
    if secret.lstrip().startswith(_PUBLIC_KEYS):
        yield (
            "AUTH_SECRET is a key of another algorithm. Give the address of public keys in "
            "AUTH_JWKS_URL, or a random secret: openssl rand -base64 32"
        )
    if url and not _is_web_address(url):
        yield "AUTH_JWKS_URL needs an address that begins with https:// or http://."
    if url and not (settings.auth_audience and settings.auth_issuer):
        yield (
            "AUTH_JWKS_URL needs AUTH_AUDIENCE and AUTH_ISSUER. Otherwise a token for another "
            "service would be valid here."
        )
    if settings.auth_roles_claim.partition(".")[0] in _OTHER_CLAIMS:
        yield "AUTH_ROLES_CLAIM needs the name of a claim with roles."


def _unused_settings(settings: Settings) -> Iterator[LiteralString]:
    """Yield what is wrong with the settings of AUTH=off: somebody may have meant AUTH=jwt."""
    if settings.auth_secret.get_secret_value() or settings.auth_jwks_url:
        yield (
            "AUTH_SECRET and AUTH_JWKS_URL have no effect while AUTH is off. Set AUTH=jwt, or "
            "remove them."
        )


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def error_lines(error: ValidationError) -> str:
    """Return a line about each invalid environment variable."""
    return "\n".join(map(_error_line, error.errors()))


def _error_line(error: ErrorDetails) -> str:
    name = "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg']}" if name else error["msg"]
