"""The transaction of one attempt at a request."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from fastapi import Response
from starlette.types import Scope
from typing_extensions import override

from brickwork.context import request_context
from brickwork.database.foreign_sessions import commit_adopted, commit_managed, roll_back_adopted
from brickwork.http.fastapi_internals import FUNCTION_STACK, REQUEST_STACK

T = TypeVar("T")


class Attempt:
    """The context of one attempt: its end commits the sessions, or rolls them back.

    Sessions of the application are committed first. Then FastAPI's stack of dependencies ends, with
    the session of `get_db`. Sessions of a `Database` that end after the response are committed
    last. The errors of all of them are translated to problems.
    """

    def __init__(self, scope: Scope) -> None:
        """Prepare an attempt at the request of *scope*."""
        self._scope = scope
        self._dependencies = _Dependencies()
        self._late_dependencies = AsyncExitStack()
        self._outer: object = None
        self._outer_late = AsyncExitStack()
        self._is_handed_over = False

    async def __aenter__(self) -> Self:
        """Begin the attempt. Transactions begin with their first statement."""
        context = request_context(self._scope)
        context.record = context.take_transaction = None
        context.sessions, context.managed_sessions = [], []
        self._outer = self._scope.get(FUNCTION_STACK)
        self._outer_late = self._scope[REQUEST_STACK]
        self._scope[FUNCTION_STACK] = self._dependencies
        self._scope[REQUEST_STACK] = self._late_dependencies
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
        """Commit, or roll back because of *error*, unless the response does so.

        Raises `TypeError` if a dependency has suppressed an error.
        """
        self._scope[FUNCTION_STACK] = self._outer
        self._scope[REQUEST_STACK] = self._outer_late
        try:
            async with self._late_dependencies as late:
                if not self._is_handed_over:
                    await self._end(kind, error, traceback)
                # They end after the response. Those of a failed attempt end with it.
                self._outer_late.push_async_exit(late.pop_all())
                return False
        except BaseException as failure:
            if failure is error:
                return False
            raise
        raise _suppressed()

    async def _end(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        """End the transaction. Raises *error*, or that of the commit."""
        try:
            async with self._dependencies:
                if error is not None:
                    raise error  # noqa: TRY301 — in the block whose dependencies see it
                await commit_adopted(self._scope)
            if not self._dependencies.has_failed:
                await commit_managed(self._scope)
        except Exception as failure:
            if problem := await roll_back_adopted(self._scope, failure):
                raise problem from failure
            raise
        if self._dependencies.has_failed:
            raise _suppressed()


class _Dependencies(AsyncExitStack):
    """The stack of dependencies that end before the response is sent."""

    has_failed: bool = False
    """Whether one of them had an error, also if another has suppressed it."""

    @override
    async def enter_async_context(self, cm: AbstractAsyncContextManager[T, bool | None]) -> T:
        entered = await super().enter_async_context(cm)
        self.push_async_exit(self._note_error)  # called before *cm* can suppress the error
        return entered

    async def _note_error(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self.has_failed = self.has_failed or error is not None


def _suppressed() -> TypeError:
    """Return the error for a transaction that has failed without one."""
    return TypeError("A dependency that yields has suppressed an error: raise it again.")
