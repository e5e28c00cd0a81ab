"""The transaction of one attempt at a request."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from fastapi import Response
from starlette.types import Scope

from brickwork.context import request_context
from brickwork.database.foreign_sessions import commit_adopted, roll_back_adopted
from brickwork.http.fastapi_internals import FUNCTION_STACK, REQUEST_STACK


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
        context = request_context(self._scope)
        context.record = context.take_transaction = None
        context.sessions = []
        self._outer = self._scope.get(FUNCTION_STACK)
        self._scope[FUNCTION_STACK] = self._dependencies
        return self

    async def finish(self, response: Response) -> None:
        """Store *response* in the transaction, if asked, or let it take over the transaction."""
        context = request_context(self._scope)
        if context.record:
            await context.record(response)
        if context.take_transaction:
            self._is_handed_over = True
            transaction = AsyncExitStack()
            transaction.push_async_exit(self._end)
            context.take_transaction(transaction)
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
