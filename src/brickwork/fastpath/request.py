"""A request on the fast path."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from fastapi import Request
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.database import Database
from brickwork.http.json_request import JSONRequest

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class FastRequest(Generic[M]):
    """A request whose dependencies are resolved, and its route."""

    http_request: Request
    route: APIRoute | RouteContext
    database: Database
    statement: Select[M]
    """The rows that this client may see."""
    query: bytes
    """The query string as received: FastAPI parses it before dependencies can change it."""

    @property
    def key(self) -> str:
        """Return the row key from the path, as text."""
        text: str = self.http_request.scope["path_params"]["id"]
        return text

    def headers(self, name: bytes) -> list[bytes]:
        """Return the values of the header *name*, which is in lower case."""
        return [value for header, value in self.http_request.headers.raw if header == name]

    async def data(self) -> Any:
        """Return the validated body. None if it is rejected."""
        request = cast("JSONRequest", self.http_request)  # the class of all requests with a body
        return await request.data()
