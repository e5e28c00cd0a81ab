"""A request as the lanes see it."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from fastapi import Request
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase

from brickwork.database.database import Database
from brickwork.http.routing import JSONRequest

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class FastRequest(Generic[M]):
    """A request whose dependencies have passed, and the route whose answers are given to it."""

    request: Request
    route: APIRoute | RouteContext
    database: Database
    rows: Select[M]
    """The rows that this client may see."""
    query: bytes
    """The query of the URL, whatever dependencies made of it: FastAPI reads it before them."""

    @property
    def key(self) -> str:
        """The text of the key of the row that is meant."""
        text: str = self.request.scope["path_params"]["id"]
        return text

    def headers(self, name: bytes) -> list[bytes]:
        """Return the values of the header *name*, in small letters."""
        return [value for each, value in self.request.headers.raw if each == name]

    async def data(self) -> Any:
        """Return the body, validated; None if it is refused."""
        request = cast("JSONRequest", self.request)  # as that of every route which reads a body
        return await request.data()
