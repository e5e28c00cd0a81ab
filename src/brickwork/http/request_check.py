"""The check of a whole request, as a dependency."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette.types import Scope

from brickwork.http.body import UNREADABLE_SCOPE_KEY
from brickwork.http.parameters import REQUEST_PARAM, undeclared_parameter_errors

current_request: Final = ContextVar[tuple[Request, Mapping[str, Any]]]("brickwork.request")
"""The request that a `StrictRoute` handles, and the query parameters that are declared."""


def current_scope() -> Scope:
    """Return the scope of the request that a `StrictRoute` handles."""
    return current_request.get()[0].scope


def _validate_request(_: object) -> None:
    """Raise the errors of the whole request, which FastAPI adds to the others.

    It validates an extra parameter. An invalid parameter keeps FastAPI from calling the endpoint,
    but not from solving every dependency first.
    """
    request, declared = current_request.get()
    if UNREADABLE_SCOPE_KEY in request.scope:
        raise PydanticCustomError("unreadable", "The body cannot be read.")
    if request.query_params and (
        errors := undeclared_parameter_errors(request.query_params, declared)
    ):
        raise ValidationError.from_exception_data("query", errors)


_REQUEST_QUERY: Final = Query(alias=REQUEST_PARAM, include_in_schema=False, validate_default=True)


async def request_check(
    _: Annotated[None, _REQUEST_QUERY, BeforeValidator(_validate_request)] = None,
) -> None:
    """Check the whole request, as a dependency."""
