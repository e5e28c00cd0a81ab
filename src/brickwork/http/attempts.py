"""Attempts at a request, each with its own dependencies and transaction."""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Scope

from brickwork.database.database import Database
from brickwork.database.foreign_sessions import commit_adopted, translate_errors
from brickwork.database.retry import with_retries
from brickwork.http.json_request import JSONRequest

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def run_with_retries(request: Request, handle: Handler) -> Response:
    """Run *handle*, and retry it after serialization failures. Nothing is sent before."""
    database = getattr(request.state, "database", None)

    async def attempt() -> Response:
        with _reuse_dependencies(request.scope):  # in the first attempt only
            return await _run_once(request, handle)

    return await with_retries(
        attempt,
        database if isinstance(database, Database) else None,
        may_retry=lambda: not _is_body_consumed(request),
    )


async def _run_once(request: Request, handle: Handler) -> Response:
    """Run *handle* in a transaction that ends before the response is sent."""
    request.scope.pop(FINISH_SCOPE_KEY, None)
    request.scope.pop(STREAM_SCOPE_KEY, None)
    outer = request.scope.get(_BEFORE_RESPONSE_STACK)
    try:
        async with AsyncExitStack() as transaction:
            await transaction.enter_async_context(translate_errors(request.scope))
            request.scope[_BEFORE_RESPONSE_STACK] = await transaction.enter_async_context(
                AsyncExitStack()
            )
            await transaction.enter_async_context(commit_adopted(request.scope))
            response = await handle(request)
            if finish := request.scope.get(FINISH_SCOPE_KEY):
                await finish(response)
            if stream := request.scope.get(STREAM_SCOPE_KEY):
                stream(rest := transaction.pop_all())
                # FastAPI always closes this stack after the response.
                request.scope[_AFTER_RESPONSE_STACK].push_async_exit(rest)
    except RequestValidationError as error:
        if error.body is None and isinstance(request, JSONRequest):
            error.body = (await request.read()).parsed_document()
        raise
    else:
        return response
    finally:
        request.scope[_BEFORE_RESPONSE_STACK] = outer


def _is_body_consumed(request: Request) -> bool:
    """Return whether the body was read and not kept, like a form or a stream."""
    return getattr(request, "_stream_consumed", False) and not hasattr(request, "_body")


SOLVED_SCOPE_KEY: Final = "brickwork.solved"
"""The scope key of the values that the fast path has resolved, by dependency."""

_Value = Callable[[], Awaitable[object]]

_NO_VALUES: Final[Mapping[Callable[..., Any], _Value]] = {}

_resolved_values: Final = ContextVar("brickwork.known", default=_NO_VALUES)


class ResolvedOverrides:
    """The dependency overrides of an application, with values that are already resolved."""

    def __init__(self, provider: Any) -> None:
        """Take the overrides of *provider*, the application."""
        self._provider = provider

    @property
    def dependency_overrides(self) -> Mapping[Callable[..., Any], Callable[..., Any]]:
        """Return the overrides for the current request."""
        if resolved := _resolved_values.get():
            return resolved
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] = getattr(
            self._provider, "dependency_overrides", {}
        )
        return overrides


@contextmanager
def _reuse_dependencies(scope: Scope) -> Generator[None]:
    """Reuse the dependency values that the fast path has resolved for this request."""
    solved = scope.pop(SOLVED_SCOPE_KEY, {})
    token = _resolved_values.set(
        {call: _constant_dependency(value) for (call, *_), value in solved.items()}
    )
    try:
        yield
    finally:
        _resolved_values.reset(token)


def _constant_dependency(value: object) -> _Value:
    async def call() -> object:
        return value

    return call


_BEFORE_RESPONSE_STACK: Final = "fastapi_function_astack"  # FastAPI closes it before the response

_AFTER_RESPONSE_STACK: Final = "fastapi_inner_astack"  # FastAPI closes it after the response

FINISH_SCOPE_KEY: Final = "brickwork.finish"
"""The scope key of a function that gets the response before the commit."""

STREAM_SCOPE_KEY: Final = "brickwork.stream"
"""The scope key of a function that takes over the transaction until the response ends."""
