"""The private parts of FastAPI and Starlette that all layers use.

Each is behind one function. `tests/test_request_internals.py` fails when one of them changes.
`http/fastapi_internals.py` and `http/starlette_internals.py` have the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def embeds_body(route: Any) -> bool:
    """Return FastAPI's `_embed_body_fields`: whether several parameters share the body."""
    return bool(route._embed_body_fields)  # noqa: SLF001


def is_mounted(scope: Mapping[str, Any]) -> bool:
    """Return whether Starlette set `app_root_path`: a mounted application gets no lifespan."""
    return "app_root_path" in scope


def replace_errors(error: Any, errors: Sequence[Mapping[str, Any]]) -> None:
    """Set FastAPI's `_errors` of a validation *error*, which `errors()` and its text show."""
    error._errors = errors  # noqa: SLF001
