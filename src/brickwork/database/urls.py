"""URLs of databases, as hosting companies hand them out."""

import inspect
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlencode

import asyncpg
from sqlalchemy import URL, make_url

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
"""The parts of a URL with several hosts, which SQLAlchemy cannot read."""


@dataclass(frozen=True)
class Target:
    """A database, and how a driver connects to it."""

    url: URL
    """The URL that SQLAlchemy makes an engine of."""
    connect_args: Mapping[str, Any]
    """Further arguments of the driver."""
    name: str
    """The database in a log, without the password."""
    pooler: bool = False
    """Whether a pooler between here and the server lends connections for one transaction each."""


def parse_target(url: str | URL, connect_args: Mapping[str, Any] | None = None) -> Target:
    """Return the database that *url* names; the driver takes *connect_args*, too.

    Raises `ValueError` for a parameter, a value or an argument that would have no effect.
    """
    hosts = ""
    if isinstance(url, str) and (parts := _HOSTS.fullmatch(url)):
        hosts, url = parts[3], parts[1] + parts[2] + parts[4]
    url = make_url(url)
    driver = driver_url(url)
    if driver.startswith("sqlite"):
        return _sqlite(url.set(drivername=driver), connect_args or {})
    return _postgresql(url.set(drivername=driver), hosts, connect_args or {})


def driver_url(url: URL) -> str:
    """Return the driver for *url*; raises `ValueError` for a database that is not supported."""
    if (driver := _DRIVERS.get(url.drivername)) is None:
        known = "postgresql+asyncpg:// or sqlite+aiosqlite://"
        raise ValueError(f"{url.drivername}:// is not supported: use {known}.")
    return driver


def url_without_password(url: URL) -> str:
    """Return *url* for a log, without the password and the parameters."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string()


def require_file_database(url: URL) -> None:
    """Raise `ValueError` if *url* names a database of SQLite in memory."""
    if ":memory:" in (url.database or ":memory:") or url.query.get("mode") == "memory":
        raise ValueError(
            "A database in memory belongs to one connection, and readers and writers have their "
            "own: give it a file, sqlite+aiosqlite:///app.db."
        )


def _single(url: URL, name: str) -> str:
    """Return the value of the parameter *name*; raises `ValueError` if there are several."""
    value = url.query[name]
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is in the URL more than once.")


def _require_known(name: str, known: Collection[str]) -> None:
    if name not in known:
        remedy = _REMEDIES.get(name) or f"the names are {', '.join(sorted(known))}"
        raise ValueError(f"The database's connections take no {name}: {remedy}.")


_REMEDIES: Final[Mapping[str, str]] = {
    "connection_limit": "use Database(url, pool_size=…)",
    "isolation_level": "use Database(url, isolation_level=…)",
    "search_path": "use options=-csearch_path%3D…",
    "timeout": "use Database(url, pool_timeout=…)",
}
"""What to use instead of parameters that other drivers and libraries have."""


# --- SQLite ---------------------------------------------------------------------------------------

_SQLITE: Final = {"cached_statements", "check_same_thread", "detect_types", "uri"}
_SQLITE_FILE: Final = {"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"}
"""The parameters of the URI of a file, where `uri=true` tells that it is one."""


def _sqlite(url: URL, connect_args: Mapping[str, Any]) -> Target:
    require_file_database(url)
    is_uri = "uri" in url.query and _converted("uri", _single(url, "uri"), _boolean)
    for name in url.query:
        if name in _SQLITE_FILE and not is_uri:
            raise ValueError(f"{name} needs uri=true: sqlite:///file:app.db?{name}=…&uri=true.")
        _require_known(name, _SQLITE | _SQLITE_FILE)
    for name in connect_args:
        _require_known(name, {*_SQLITE, "async_creator_fn", "factory", "iter_chunk_size"})
    return Target(url, connect_args, url_without_password(url))


# --- PostgreSQL -----------------------------------------------------------------------------------


def _boolean(text: str) -> bool:
    if text in {"true", "1", "on", "yes"}:
        return True
    if text in {"false", "0", "off", "no"}:
        return False
    raise ValueError("it is true or false.")


def _seconds(text: str) -> float | None:
    return float(text) or None


def _one_of(*values: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text in values:
            return text
        raise ValueError(f"it is one of {', '.join(values)}.")

    return convert


_MODE: Final = _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def _mode(text: str) -> str:
    return "require" if text == "true" else _MODE(text)  # JDBC's word for it, as libpq has it


_CONVERTERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "command_timeout": ("command_timeout", _seconds),
    "connect_timeout": ("timeout", _seconds),
    "gsslib": ("gsslib", str),
    "krbsrvname": ("krbsrvname", str),
    "max_cacheable_statement_size": ("max_cacheable_statement_size", int),
    "max_cached_statement_lifetime": ("max_cached_statement_lifetime", int),
    "passfile": ("passfile", str),
    "prepared_statement_cache_size": ("prepared_statement_cache_size", int),
    "service": ("service", str),
    "ssl": ("ssl", _mode),
    "sslmode": ("ssl", _MODE),
    "statement_cache_size": ("statement_cache_size", int),
    "target_session_attrs": (
        "target_session_attrs",
        _one_of("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    ),
}
"""The arguments of asyncpg for parameters of libpq and its own, and how to read their values."""

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
"""The parameters of libpq that asyncpg takes in a URL only."""

_SETTINGS: Final[Mapping[str, str]] = {
    "fallback_application_name": "application_name",
    "application_name": "application_name",
    "options": "options",
}
"""The settings of a session for parameters of libpq; the later wins."""

_USUAL: Final[Mapping[str, Collection[str]]] = {
    "channel_binding": ("disable", "prefer", "require"),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
"""The parameters of libpq that asyncpg lacks, with the values that describe what it does."""

_ADAPTER: Final = (
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
)
"""The arguments that SQLAlchemy adds to those of asyncpg."""

_RESERVED: Final = ("connection_class", "dsn", "host", "loop", "port")
"""The arguments of asyncpg that Brickwork sets itself, or reads from the URL."""

_SYSTEM: Final = "system"
"""The value of `sslrootcert` for the certificates that the operating system trusts."""


def _postgresql(url: URL, hosts: str, connect_args: Mapping[str, Any]) -> Target:
    query = {name: _single(url, name) for name in url.query if name != "host"}
    places = _places(url, hosts, query.pop("port", ""))
    pooler = _converted("pgbouncer", query.pop("pgbouncer", "false"), _boolean)
    url = url.set(
        username=query.pop("user", url.username),
        password=query.pop("password", url.password),
        database=query.pop("dbname", None) or query.pop("database", url.database),
        query={},
    )
    known = {*inspect.signature(asyncpg.connect).parameters, *_ADAPTER}.difference(_RESERVED)
    for name in connect_args:
        _require_known(name, known)
    arguments = {**dict(_arguments(query)), **connect_args}
    settings = {_SETTINGS[name]: query[name] for name in _SETTINGS if name in query}
    settings |= arguments.get("server_settings") or {}
    if any("default_transaction_" in each for each in (*settings, settings.get("options", ""))):
        raise ValueError(
            "Brickwork sets default_transaction_…: use Database(url, isolation_level=…)."
        )
    return _at(url, places, {**arguments, "server_settings": settings}, pooler=pooler)


def _arguments(query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of asyncpg that the parameters *query* stand for."""
    for name, text in query.items():
        if name in _CONVERTERS:
            argument, convert = _CONVERTERS[name]
            yield argument, _converted(name, text, convert)
        elif name in _USUAL:
            if text not in _USUAL[name]:
                raise ValueError(f"asyncpg does not support {name}={text}: leave it out.")
        else:
            _require_known(name, {*_CONVERTERS, *_SETTINGS, *_SSL_FILES, *_USUAL, "pgbouncer"})
    yield from _trust(query)


def _converted(name: str, text: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"{name} in the URL has a wrong value: {error}") from None


def _trust(query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of asyncpg that tell which servers are trusted."""
    files = {name: text for name, text in query.items() if name in _SSL_FILES}
    if query.get("channel_binding") == "require":
        # asyncpg cannot do it. It keeps others from posing as the server, and so does this.
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
    """Return a context that trusts the certificates which the operating system trusts."""
    if query.get("sslmode", "verify-full") != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full.")
    if others := sorted(_SSL_FILES.intersection(query) - {"sslcert", "sslkey", "sslrootcert"}):
        raise ValueError(f"{others[0]} needs a file of certificates: name it as sslrootcert.")
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if "sslcert" in query:
        context.load_cert_chain(query["sslcert"], query.get("sslkey"))
    return context


# --- Hosts ----------------------------------------------------------------------------------------

_Place = tuple[str, int | None]

_PLACE: Final = re.compile(r"(\[[^\]]+\]|/.*|[^:]*)(?::(\d+))?")
"""A host, an address in brackets or the folder of a socket, and perhaps its port."""

_PORT: Final = 5432


def _places(url: URL, hosts: str, ports: str) -> Sequence[_Place]:
    """Return the hosts and ports of *url*, whose authority has *hosts* if they are several."""
    own = url.host or ""
    given = url.query.get("host") or hosts or own
    if given == own and ":" in own:  # an address of IPv6, without its brackets
        return [(own, url.port)]
    texts = given.split(",") if isinstance(given, str) else given
    numbers = _converted("port", ports, _ports) if ports else [url.port]
    if len(numbers) not in {1, len(texts)}:
        raise ValueError(f"{len(texts)} hosts need one port, or {len(texts)}.")
    numbers *= len(texts) // len(numbers)
    return [_place(text, number) for text, number in zip(texts, numbers, strict=True)]


def _ports(text: str) -> list[int | None]:
    return [int(each) if each else None for each in text.split(",")]


def _place(text: str, port: int | None) -> _Place:
    if (found := _PLACE.fullmatch(text)) is None:
        raise ValueError(f"{text} is no host.")
    return unquote(found[1].strip("[]")), int(found[2]) if found[2] else port


def _at(
    url: URL, places: Sequence[_Place], arguments: Mapping[str, Any], *, pooler: bool
) -> Target:
    """Return the database at *places*: a host of the URL if it is one, else an argument."""
    host, port = places[0]
    if len(places) == 1 and not host.startswith("/"):
        url = url.set(host=host or None, port=port)
        return Target(url, arguments, url_without_password(url), pooler)
    hosts = {"host": [each for each, _ in places], "port": [each or _PORT for _, each in places]}
    where = ",".join(each if port is None else f"{each}:{port}" for each, port in places)
    url = URL.create(url.drivername, url.username, url.password, database=url.database)
    return Target(url, {**arguments, **hosts}, f"{url_without_password(url)}?host={where}", pooler)
