"""Request paths as the client sees them."""

from urllib.parse import quote

from starlette.types import Scope

from brickwork.context import request_context
from brickwork.http.starlette_internals import route_path


def root_path(scope: Scope) -> str:
    """Return the path prefix of the application. Empty at the root."""
    return _quote_path(_normalize_root(application_root(scope)))


def request_path(scope: Scope) -> str:
    """Return the path of the request, without a trailing slash.

    It includes the root path, whether a proxy strips it or not.
    """
    path = route_path(scope).rstrip("/") or "/"
    return _quote_path(_normalize_root(scope.get("root_path", "")) + path)


def application_root(scope: Scope) -> str:
    """Return the root path of the application that `install` prepared, else of the scope."""
    root = request_context(scope).root_path
    return str(scope.get("root_path", "")) if root is None else root


def _normalize_root(path: str) -> str:
    inner = path.strip("/")
    return f"/{inner}" if inner else ""


def _quote_path(path: str) -> str:
    """Quote *path* as a relative reference, which must not begin with `//` (RFC 3986, 4.2)."""
    quoted = quote(path)
    return f"/.{quoted}" if quoted.startswith("//") else quoted
