"""Database URLs: arguments for the driver, and rejected parameters."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from brickwork import Database
from brickwork.database.urls import parse_target


def driver_arguments(query: str) -> dict[str, Any]:
    """Return the arguments of asyncpg for a URL with *query*."""
    target = parse_target(f"postgresql://ada@db/shop?{query}")
    return {name: value for name, value in target.connect_args.items() if value}


# --- Parameters of libpq --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("sslmode=require", {"ssl": "require"}),
        ("ssl=true", {"ssl": "require"}),
        ("ssl=verify-full", {"ssl": "verify-full"}),
        (
            "sslmode=verify-ca&sslrootcert=/a b.crt",
            {"ssl": "verify-ca", "dsn": "postgresql://?sslrootcert=%2Fa+b.crt"},
        ),
        ("application_name=web", {"server_settings": {"application_name": "web"}}),
        ("fallback_application_name=web", {"server_settings": {"application_name": "web"}}),
        ("options=-csearch_path%3Dshop", {"server_settings": {"options": "-csearch_path=shop"}}),
        ("connect_timeout=5", {"timeout": 5.0}),
        ("connect_timeout=0", {}),
        ("command_timeout=2.5", {"command_timeout": 2.5}),
        ("statement_cache_size=0", {}),
        ("statement_cache_size=7", {"statement_cache_size": 7}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("passfile=/secret", {"passfile": "/secret"}),
        ("channel_binding=prefer&gssencmode=disable&client_encoding=utf8&sslsni=1", {}),
    ],
)
def test_libpq_parameter_becomes_an_asyncpg_argument(query: str, expected: dict[str, Any]) -> None:
    assert driver_arguments(query) == expected


def test_cache_size_of_zero_is_passed() -> None:
    target = parse_target("postgresql://db/shop?statement_cache_size=0")
    assert target.connect_args["statement_cache_size"] == 0


def test_system_certificates_are_trusted() -> None:
    context = driver_arguments("sslmode=verify-full&sslrootcert=system")["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize("sslmode", ["", "&sslmode=prefer", "&sslmode=require"])
def test_channel_binding_is_replaced_by_certificate_verification(sslmode: str) -> None:
    context = driver_arguments(f"channel_binding=require{sslmode}")["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_channel_binding_trusts_the_named_certificates() -> None:
    named = driver_arguments("channel_binding=require&sslmode=require&sslrootcert=/a.crt")
    assert named == {"ssl": "verify-full", "dsn": "postgresql://?sslrootcert=%2Fa.crt"}


def test_client_certificate_is_loaded_with_system_certificates(tmp_path: Path) -> None:
    query = f"sslrootcert=system&sslcert={tmp_path}/none.crt"
    with pytest.raises(FileNotFoundError):
        driver_arguments(query)


# --- Hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "hosts", "ports", "name"),
    [
        ("postgresql://u:p@a:1,b:2/d", ["a", "b"], [1, 2], "postgresql://u:***@/d?host=a:1,b:2"),
        ("postgresql://a,b/d", ["a", "b"], [5432, 5432], "postgresql:///d?host=a,b"),
        ("postgresql:///d?host=a,b&port=1,2", ["a", "b"], [1, 2], "postgresql:///d?host=a:1,b:2"),
        ("postgresql:///d?host=a,b&port=9", ["a", "b"], [9, 9], "postgresql:///d?host=a:9,b:9"),
        ("postgresql:///d?host=a:1&host=b:2", ["a", "b"], [1, 2], "postgresql:///d?host=a:1,b:2"),
        ("postgresql://[::1]:1,b/d", ["::1", "b"], [1, 5432], "postgresql:///d?host=::1:1,b"),
        ("postgresql:///d?host=/run/pg", ["/run/pg"], [5432], "postgresql:///d?host=/run/pg"),
        ("postgresql://%2Frun%2Fpg/d", ["/run/pg"], [5432], "postgresql:///d?host=/run/pg"),
    ],
)
def test_several_hosts_become_a_list(
    url: str, hosts: list[str], ports: list[int], name: str
) -> None:
    target = parse_target(url)
    assert (target.connect_args["host"], target.connect_args["port"]) == (hosts, ports)
    assert target.name == name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:1/d", "postgresql+asyncpg://u@h:1/d"),
        ("postgresql://u@[::1]:1/d", "postgresql+asyncpg://u@[::1]:1/d"),
        ("postgresql:///d?host=h&port=1&user=u", "postgresql+asyncpg://u@h:1/d"),
        ("postgresql://h/?dbname=d&password=p&user=u", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql:///d", "postgresql+asyncpg:///d"),
        ("postgres://u:a,b@h/d", "postgresql+asyncpg://u:a%2Cb@h/d"),
    ],
)
def test_one_host_stays_in_the_url(url: str, expected: str) -> None:
    assert parse_target(url).url.render_as_string(hide_password=False) == expected


# --- Rejected parameters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mysql://u@h/d", r"use postgresql\+asyncpg:// or sqlite\+aiosqlite://"),
        ("postgresql+psycopg://u@h/d", r"use postgresql\+asyncpg://"),
        (
            "postgresql://h/d?zzz=1",
            "zzz is not a parameter of the database: use one of application_name, ",
        ),
        (
            "postgresql://h/d?search_path=shop",
            "search_path is not a parameter of the database: use options=-csearch_path%3D…",
        ),
        ("postgresql://h/d?connection_limit=1", r"use Database\(url, pool_size=…\)"),
        ("postgresql://h/d?sslmode=on", "sslmode in the URL has a wrong value: use one of disa"),
        ("postgresql://h/d?sslmode=require&sslmode=prefer", "sslmode is in the URL more than once"),
        ("postgresql://h/d?target_session_attrs=best", "use one of any, primary"),
        ("postgresql://h/d?statement_cache_size=many", "statement_cache_size in the URL"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout in the URL"),
        ("postgresql://h/d?pgbouncer=maybe", "pgbouncer in the URL has a wrong value: use true"),
        ("postgresql://h/d?port=http", "port in the URL has a wrong value"),
        ("postgresql://a,b,c/d?port=1,2", "3 hosts need one port, or 3"),
        ("postgresql:///d?host=a:b", "a:b is not a host"),
        ("postgresql://h/d?gssencmode=require", "does not support gssencmode=require: leave it"),
        ("postgresql://h/d?load_balance_hosts=random", "does not support load_balance_hosts"),
        ("postgresql://h/d?channel_binding=require&sslmode=disable", "needs sslmode=require"),
        ("postgresql://h/d?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("postgresql://h/d?sslrootcert=system&sslcrl=/a", "sslcrl needs a certificate file"),
        (
            "postgresql://h/d?options=-cdefault_transaction_isolation%3Dserializable",
            r"use Database\(url, isolation_level=…\)",
        ),
        ("sqlite://", "use a file"),
        ("sqlite+aiosqlite:///:memory:", "use a file"),
        ("sqlite:///file::memory:?uri=true", "use a file"),
        ("sqlite:///file:a?mode=memory&cache=shared&uri=true", "use a file"),
        ("sqlite:///app.db?mode=ro", r"mode needs uri=true: sqlite:///file:app.db\?mode=…"),
        (
            "sqlite:///app.db?timeout=30",
            r"timeout is not a parameter of the database: use Database\(url, pool_timeout=…\)",
        ),
        ("sqlite:///app.db?isolation_level=IMMEDIATE", r"use Database\(url, isolation_level=…\)"),
        ("sqlite:///app.db?zzz=1", "zzz is not a parameter of the database"),
        ("sqlite:///app.db?pgbouncer=true", "pgbouncer is not a parameter of the database"),
        ("sqlite:///app.db?uri=maybe", "uri in the URL has a wrong value"),
    ],
)
def test_url_with_an_unsupported_parameter_is_rejected(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Database(url)


@pytest.mark.parametrize(
    ("url", "options", "remedy"),
    [
        (
            "postgresql://h/d",
            {"connect_args": {"zzz": 1}},
            "zzz is not a parameter of the database",
        ),
        (
            "postgresql://h/d",
            {"connect_args": {"dsn": "postgresql://"}},
            "dsn is not a parameter of the database",
        ),
        (
            "postgresql://h/d",
            {"connect_args": {"server_settings": {"default_transaction_read_only": "on"}}},
            r"use Database\(url, isolation_level=…\)",
        ),
        ("sqlite:///a.db", {"connect_args": {"timeout": 1}}, "pool_timeout"),
        ("sqlite:///a.db", {"pooler": True}, "SQLite has no pooler"),
        (
            "postgresql://h/d?statement_cache_size=10",
            {"pooler": True},
            "statements are not cached: leave out statement_cache_size",
        ),
    ],
)
def test_unsupported_argument_is_rejected(url: str, options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Database(url, **options)


# --- Poolers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "pooler"), [("true", True), ("false", False)])
def test_url_can_enable_pooler_mode(value: str, *, pooler: bool) -> None:
    assert parse_target(f"postgresql://h/d?pgbouncer={value}").pooler is pooler


def test_sqlite_file_can_be_a_uri() -> None:
    target = parse_target("sqlite:///file:app.db?mode=ro&uri=true")
    assert target.url.query == {"mode": "ro", "uri": "true"}


@pytest.mark.parametrize("url", ["shop.db", "", "ada:secret@db/shop"])
def test_no_url_is_an_error_without_its_text(url: str) -> None:
    with pytest.raises(ValueError, match="This is no URL of a database: write sqlite://") as raised:
        parse_target(url)
    assert "secret" not in str(raised.value)
