"""Database URLs, in the forms that hosting companies use."""

import inspect
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from brickwork.database.drivers import connect_postgresql, require_driver

T = TypeVar("T")

_DRIVERS: Final = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
_HOSTS: Final = re.compile(
    r"([\w+]+://)((?:[^@/?#]*@)?)([^@/?#]*,[^@/?#]*)((?:[/?#].*)?)", re.DOTALL
)
"""The parts of a URL with several hosts, which SQLAlchemy cannot parse."""


@dataclass(frozen=True)
class Target:
    """A database, and the driver's arguments to connect to it."""

    url: URL
    """The URL for SQLAlchemy's engine."""
    connect_args: Mapping[str, Any]
    """Further arguments of the driver."""
    name: str
    """The database's name in a log, without the password."""
    pooler: bool = False
    """Whether a transaction pooler such as PgBouncer is in between."""


def parse_target(url: str | URL, connect_args: Mapping[str, Any] | None = None) -> Target:
    """Parse *url* and merge *connect_args* into the driver's arguments.

    Raises `ValueError` for a parameter, a value or an argument that would have no effect.
    """
    hosts = ""
    if isinstance(url, str) and (parts := _HOSTS.fullmatch(url)):
        hosts, url = parts[3], parts[1] + parts[2] + parts[4]
    url = _parse(url)
    driver = driver_url(url)
    if driver.startswith("sqlite"):
        return _sqlite_target(url.set(drivername=driver), connect_args or {})
    return _postgresql_target(url.set(drivername=driver), hosts, connect_args or {})


def _parse(url: str | URL) -> URL:
    """Parse *url*. Raises `ValueError` without its text, which may have a password."""
    try:
        return make_url(url)
    except ArgumentError:
        raise ValueError(
            "This is no URL of a database: write sqlite:///app.db or "
            "postgresql://user:password@host/name."
        ) from None


def driver_url(url: URL) -> str:
    """Return the driver for *url*.

    Raises `ValueError` for an unsupported database, `ModuleNotFoundError` without its driver.
    """
    if (driver := _DRIVERS.get(url.drivername)) is None:
        drivers = "postgresql+asyncpg:// or sqlite+aiosqlite://"
        raise ValueError(f"{url.drivername}:// is not supported: use {drivers}.")
    require_driver(driver.partition("+")[0])
    return driver


def url_without_password(url: URL) -> str:
    """Return *url* for a log, without the password and the parameters."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string()


def require_file_database(url: URL) -> None:
    """Raise `ValueError` if *url* names a SQLite database in memory."""
    if ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory":
        raise ValueError(
            "A database in memory belongs to one connection, but readers and writers use separate "
            "connections: use a file, sqlite+aiosqlite:///app.db."
        )


def _single_value(url: URL, name: str) -> str:
    """Return the value of the parameter *name*. Raises `ValueError` for several values."""
    value = url.query[name]
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is in the URL more than once.")


def _require_known_name(name: str, known: Collection[str]) -> None:
    if name not in known:
        remedy = _REMEDIES.get(name) or f"use one of {', '.join(sorted(known))}"
        raise ValueError(f"{name} is not a parameter of the database: {remedy}.")


_REMEDIES: Final[Mapping[str, str]] = {
    "connection_limit": "use Database(url, pool_size=…)",
    "isolation_level": "use Database(url, isolation_level=…)",
    "search_path": "use options=-csearch_path%3D…",
    "timeout": "use Database(url, pool_timeout=…)",
}
"""Replacements for parameters of other drivers and libraries."""


# --- SQLite ---------------------------------------------------------------------------------------

_SQLITE: Final = {"cached_statements", "check_same_thread", "detect_types", "uri"}
_SQLITE_FILE: Final = {"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"}
"""Parameters of a file URI, which needs `uri=true`."""


def _sqlite_target(url: URL, connect_args: Mapping[str, Any]) -> Target:
    require_file_database(url)
    is_uri = "uri" in url.query and _convert("uri", _single_value(url, "uri"), _parse_boolean)
    for name in url.query:
        if name in _SQLITE_FILE and not is_uri:
            raise ValueError(f"{name} needs uri=true: sqlite:///file:app.db?{name}=…&uri=true.")
        _require_known_name(name, _SQLITE | _SQLITE_FILE)
    for name in connect_args:
        _require_known_name(name, {*_SQLITE, "async_creator_fn", "factory", "iter_chunk_size"})
    return Target(url, connect_args, url_without_password(url))


# --- PostgreSQL -----------------------------------------------------------------------------------


def _parse_boolean(text: str) -> bool:
    if text in {"true", "1", "on", "yes"}:
        return True
    if text in {"false", "0", "off", "no"}:
        return False
    raise ValueError("use true or false.")


def _parse_seconds(text: str) -> float | None:
    return float(text) or None


def _one_of(*values: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text in values:
            return text
        raise ValueError(f"use one of {', '.join(values)}.")

    return convert


_SSL_MODE: Final = _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def _parse_ssl_mode(text: str) -> str:
    return "require" if text == "true" else _SSL_MODE(text)  # JDBC's spelling of "require"


_CONVERTERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "command_timeout": ("command_timeout", _parse_seconds),
    "connect_timeout": ("timeout", _parse_seconds),
    "gsslib": ("gsslib", str),
    "krbsrvname": ("krbsrvname", str),
    "max_cacheable_statement_size": ("max_cacheable_statement_size", int),
    "max_cached_statement_lifetime": ("max_cached_statement_lifetime", int),
    "passfile": ("passfile", str),
    "prepared_statement_cache_size": ("prepared_statement_cache_size", int),
    "service": ("service", str),
    "ssl": ("ssl", _parse_ssl_mode),
    "sslmode": ("ssl", _SSL_MODE),
    "statement_cache_size": ("statement_cache_size", int),
    "target_session_attrs": (
        "target_session_attrs",
        _one_of("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    ),
}
"""Parameters of a URL, with the argument of asyncpg and the converter of the value."""

_SSL_FILES: Final = {
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
}
"""Parameters of libpq that asyncpg accepts in a URL only."""

_SETTINGS: Final[Mapping[str, str]] = {
    "fallback_application_name": "application_name",
    "application_name": "application_name",
    "options": "options",
}
"""Session settings for parameters of libpq. A later entry overrides an earlier one."""

_SUPPORTED_VALUES: Final[Mapping[str, Collection[str]]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
"""Parameters of libpq that asyncpg lacks, with the values that match its behaviour."""

_ADAPTER: Final = (
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
)
"""Arguments of SQLAlchemy's asyncpg dialect."""

_RESERVED: Final = ("connection_class", "dsn", "host", "loop", "port")
"""Arguments of asyncpg that Brickwork sets itself or reads from the URL."""

_SYSTEM: Final = "system"
"""Value of `sslrootcert` for the operating system's certificates."""


def _postgresql_target(url: URL, hosts: str, connect_args: Mapping[str, Any]) -> Target:
    query = {name: _single_value(url, name) for name in url.query if name != "host"}
    places = _parse_hosts(url, hosts, query.pop("port", ""))
    pooler = _convert("pgbouncer", query.pop("pgbouncer", "false"), _parse_boolean)
    url = url.set(
        username=query.pop("user", url.username),
        password=query.pop("password", url.password),
        database=query.pop("dbname", None) or query.pop("database", url.database),
        query={},
    )
    known = {*inspect.signature(connect_postgresql).parameters, *_ADAPTER}.difference(_RESERVED)
    for name in connect_args:
        _require_known_name(name, known)
    arguments = {**dict(_asyncpg_arguments(query)), **connect_args}
    settings = {_SETTINGS[name]: query[name] for name in _SETTINGS if name in query}
    settings |= arguments.get("server_settings") or {}
    if any(
        "default_transaction_" in setting for setting in (*settings, settings.get("options", ""))
    ):
        raise ValueError(
            "Brickwork sets default_transaction_…: use Database(url, isolation_level=…)."
        )
    return _target_at_hosts(url, places, {**arguments, "server_settings": settings}, pooler=pooler)


def _asyncpg_arguments(query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of asyncpg for the parameters in *query*."""
    for name, text in query.items():
        if name in _CONVERTERS:
            argument, convert = _CONVERTERS[name]
            yield argument, _convert(name, text, convert)
        elif name in _SUPPORTED_VALUES:
            if text not in _SUPPORTED_VALUES[name]:
                raise ValueError(f"asyncpg does not support {name}={text}: leave it out.")
        else:
            _require_known_name(
                name, {*_CONVERTERS, *_SETTINGS, *_SSL_FILES, *_SUPPORTED_VALUES, "pgbouncer"}
            )
    yield from _ssl_arguments(query)


def _convert(name: str, text: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"{name} in the URL has a wrong value: {error}") from None


def _ssl_arguments(query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of asyncpg that decide which servers are trusted."""
    files = {name: text for name, text in query.items() if name in _SSL_FILES}
    if query.get("channel_binding") == "require":
        # asyncpg lacks channel binding. Verifying the certificate also stops an impostor server.
        if query.get("sslmode") in {"disable", "allow"}:
            raise ValueError("channel_binding=require needs sslmode=require.")
        query = {**query, "sslmode": "verify-full"}
        files.setdefault("sslrootcert", _SYSTEM)
        yield "ssl", "verify-full"
    if files.get("sslrootcert") == _SYSTEM:
        yield "ssl", _system_context(query)
    elif files:
        yield "dsn", f"postgresql://?{urlencode(files)}"


def _system_context(query: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts the operating system's certificates."""
    if query.get("sslmode", "verify-full") != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full.")
    if others := sorted(_SSL_FILES.intersection(query) - {"sslcert", "sslkey", "sslrootcert"}):
        raise ValueError(f"{others[0]} needs a certificate file: set sslrootcert to its path.")
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in query:
        context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    return context


# --- Hosts ----------------------------------------------------------------------------------------

_HostPort = tuple[str, int | None]

_HOST_PORT: Final = re.compile(r"(\[[^\]]+\]|/.*|[^:]*)(?::(\d+))?")
"""A host, an address in brackets or a socket's folder, with an optional port."""

_PORT: Final = 5432


def _parse_hosts(url: URL, hosts: str, ports: str) -> Sequence[_HostPort]:
    """Return the hosts and ports of *url*. *hosts* is its authority if that has several."""
    own = url.host or ""
    authority = url.query.get("host") or hosts or own
    if authority == own and ":" in own:  # an IPv6 address without brackets
        return [(own, url.port)]
    texts = authority.split(",") if isinstance(authority, str) else authority
    numbers = _convert("port", ports, _parse_ports) if ports else [url.port]
    if len(numbers) not in {1, len(texts)}:
        raise ValueError(f"{len(texts)} hosts need one port, or {len(texts)}.")
    numbers *= len(texts) // len(numbers)
    return [_parse_host(text, number) for text, number in zip(texts, numbers, strict=True)]


def _parse_ports(text: str) -> list[int | None]:
    return [int(number) if number else None for number in text.split(",")]


def _parse_host(text: str, port: int | None) -> _HostPort:
    if (match := _HOST_PORT.fullmatch(text)) is None:
        raise ValueError(f"{text} is not a host: write host or host:port.")
    return unquote(match[1].strip("[]")), int(match[2]) if match[2] else port


def _target_at_hosts(
    url: URL, places: Sequence[_HostPort], arguments: Mapping[str, Any], *, pooler: bool
) -> Target:
    """Return the database at *places*. A single host goes into the URL, others into arguments."""
    host, port = places[0]
    if len(places) == 1 and not host.startswith("/"):
        url = url.set(host=host or None, port=port)
        return Target(url, arguments, url_without_password(url), pooler)
    hosts = {
        "host": [name for name, _ in places],
        "port": [number or _PORT for _, number in places],
    }
    where = ",".join(name if number is None else f"{name}:{number}" for name, number in places)
    url = URL.create(url.drivername, url.username, url.password, database=url.database)
    return Target(url, {**arguments, **hosts}, f"{url_without_password(url)}?host={where}", pooler)
