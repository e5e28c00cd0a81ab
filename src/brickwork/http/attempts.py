"""The transaction of one attempt at a request."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from fastapi import Response
from starlette.types import Scope

from brickwork.database.foreign_sessions import (
    SESSIONS_SCOPE_KEY,
    commit_adopted,
    roll_back_adopted,
)
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
        self._dependencies = AsyncExitStack()
        self._outer: object = None
        self._is_handed_over = False

    async def __aenter__(self) -> Self:
        """Begin the attempt. Transactions begin with their first statement."""
        scope = self._scope
        scope.pop(FINISH_SCOPE_KEY, None)
        scope.pop(STREAM_SCOPE_KEY, None)
        scope.pop(SESSIONS_SCOPE_KEY, None)
        self._outer, scope[FUNCTION_STACK] = scope.get(FUNCTION_STACK), self._dependencies
        return self

    async def finish(self, response: Response) -> None:
        """Store *response* in the transaction, if asked, or let it take over the transaction."""
        finish: Callable[[Response], Awaitable[None]] | None = self._scope.get(FINISH_SCOPE_KEY)
        if finish:
            await finish(response)
        if take := self._scope.get(STREAM_SCOPE_KEY):
            self._is_handed_over = True
            transaction = AsyncExitStack()
            transaction.push_async_exit(self._end)
            take(transaction)
            # FastAPI always closes this stack after the response.
            self._scope[REQUEST_STACK].push_async_exit(transaction)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Commit, or roll back because of *error*, unless the response does so."""
        self._scope[FUNCTION_STACK] = self._outer
        return not self._is_handed_over and await self._end(kind, error, traceback)

    async def _end(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> bool:
        """End the transaction. Return whether a dependency has suppressed *error*."""
        try:
            async with self._dependencies:
                if error is not None:
                    raise error  # noqa: TRY301 — in the block whose dependencies see it
                await commit_adopted(self._scope)
        except Exception as failure:
            if problem := await roll_back_adopted(self._scope, failure):
                raise problem from failure
            if failure is error:
                return False
            raise
        return error is not None
