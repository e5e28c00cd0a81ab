"""A request as the lanes see it, and what it brings."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi.routing import RouteContext
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase
from starlette.types import Message, Receive, Scope

from brickwork.database import Database
from brickwork.lanes.fields import Fields
from brickwork.problems import Problem

M = TypeVar("M", bound=DeclarativeBase)


class Replayed:
    """What a request brings, to be read by several in turn, each from the beginning."""

    def __init__(self, receive: Receive) -> None:
        """Read nothing yet."""
        self._receive = receive
        self._read: list[Message | Problem] = []
        self._next = 0

    async def __call__(self) -> Message:
        """Return the next message; raises what came in its place."""
        if self._next == len(self._read):
            try:
                self._read.append(await self._receive())
            except Problem as problem:
                self._read.append(problem)
        message = self._read[self._next]
        self._next += 1
        if isinstance(message, Problem):
            raise message
        return message

    def rewind(self) -> None:
        """Begin again at the first message."""
        self._next = 0

    async def body(self) -> bytes | None:
        """Return the body; None if it is not whole, or too large."""
        parts: list[bytes] = []
        try:
            while (message := await self())["type"] == "http.request":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    return b"".join(parts)
        except Problem:
            pass
        return None  # it is too large, or the client went away


@dataclass(frozen=True)
class Call(Generic[M]):
    """A request, and the route whose answers are given to it."""

    scope: Scope
    received: Replayed
    route: RouteContext
    database: Database
    fields: Fields[M]

    @property
    def key(self) -> str:
        """The text of the key of the row that is meant."""
        text: str = self.scope["path_params"]["id"]
        return text

    @property
    def query(self) -> bytes:
        """What comes after the path."""
        text: bytes = self.scope["query_string"]
        return text

    def headers(self, name: bytes) -> list[bytes]:
        """Return the values of the header *name*, in small letters."""
        return [value for each, value in self.scope["headers"] if each == name]

    async def rows(self) -> Select[M] | None:
        """Return the rows that this client may see; None if the ordinary lane has to say so."""
        self.received.rewind()
        return await self.fields.rows(self.scope, self.received)
