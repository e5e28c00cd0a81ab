"""The transaction of one attempt at a request."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from fastapi import Response
from starlette.types import Scope

from brickwork.database.foreign_sessions import commit_adopted, translate_errors
from brickwork.http.fastapi_internals import FUNCTION_STACK, REQUEST_STACK

FINISH_SCOPE_KEY: Final = "brickwork.finish"
"""The scope key of a function that gets the response before the commit."""

STREAM_SCOPE_KEY: Final = "brickwork.stream"
"""The scope key of a function that takes over the transaction until the response ends."""


class Attempt:
    """The context of one attempt: its end commits the sessions, or rolls them back.

    Sessions of the application are committed first. Then FastAPI's stack of dependencies ends, with
    the session of `get_db`. The errors of all of them are translated to problems.
    """

    def __init__(self, scope: Scope) -> None:
        """Prepare an attempt at the request of *scope*."""
        self._scope = scope
        self._stack = AsyncExitStack()
        self._outer: object = None

    async def __aenter__(self) -> Self:
        """Begin the attempt. Transactions begin with their first statement."""
        scope = self._scope
        scope.pop(FINISH_SCOPE_KEY, None)
        scope.pop(STREAM_SCOPE_KEY, None)
        self._outer = scope.get(FUNCTION_STACK)
        await self._stack.enter_async_context(translate_errors(scope))
        scope[FUNCTION_STACK] = await self._stack.enter_async_context(AsyncExitStack())
        await self._stack.enter_async_context(commit_adopted(scope))
        return self

    async def finish(self, response: Response) -> None:
        """Store *response* in the transaction, if asked, or let it take over the transaction."""
        finish: Callable[[Response], Awaitable[None]] | None = self._scope.get(FINISH_SCOPE_KEY)
        if finish:
            await finish(response)
        if stream := self._scope.get(STREAM_SCOPE_KEY):
            stream(rest := self._stack.pop_all())
            # FastAPI always closes this stack after the response.
            self._scope[REQUEST_STACK].push_async_exit(rest)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit, or roll back because of *error*."""
        try:
            await self._stack.__aexit__(kind, error, traceback)
        finally:
            self._scope[FUNCTION_STACK] = self._outer
