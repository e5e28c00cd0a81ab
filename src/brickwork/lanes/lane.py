"""What the fast lanes have in common: when they are taken, and how they answer."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Final, Generic, TypeVar

from fastapi import Response
from fastapi.routing import RouteContext
from pydantic import BaseModel
from sqlalchemy import Column
from sqlalchemy.orm import DeclarativeBase
from starlette.types import Message, Receive, Scope

from brickwork.database import Database
from brickwork.models import Versioned
from brickwork.negotiation import JSON
from brickwork.problems import Problem
from brickwork.resource import Resource
from brickwork.shapes import Shape
from brickwork.writes import columns

M = TypeVar("M", bound=DeclarativeBase)

_USUAL: Final = {b"*/*", JSON.encode()}


class Replayed:
    """What a request brings, to be read by a lane and, if need be, by the routes once more."""

    def __init__(self, receive: Receive) -> None:
        """Read nothing yet."""
        self._receive = receive
        self._read: deque[Message | Problem] = deque()

    async def __call__(self) -> Message:
        """Return the next message, those first that were read before; raises what that raised."""
        message = self._read.popleft() if self._read else await self._receive()
        if isinstance(message, Problem):
            raise message
        return message

    async def body(self) -> bytes | None:
        """Return the body, and keep it; None if it is not whole, or too large."""
        parts: list[bytes] = []
        while True:
            try:
                message = await self._receive()
            except Problem as problem:
                self._read.append(problem)
                return None
            self._read.append(message)
            if message["type"] != "http.request":  # the client went away
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)


class Lane(ABC, Generic[M]):
    """A way past FastAPI and the session, to rows as the database has them."""

    method: ClassVar[str]
    unusual: ClassVar[Collection[bytes]]
    """The headers that say what the ordinary lane is for."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile nothing yet: which database it is, a request will tell."""
        self.shape = shape
        self._names = [*shape.read.model_fields]
        self._columns = columns

    async def __call__(
        self, scope: Scope, received: Replayed, route: RouteContext
    ) -> Response | None:
        """Return the answer to a request, or None: then it has to take the ordinary lane."""
        database = scope.get("state", {}).get("database")
        if (
            isinstance(database, Database)
            and database.fast
            and self._is_usual(scope)
            and not scope["app"].dependency_overrides
            and not self.is_watched(database)
        ):
            return await self.answer(scope, received, route, database)
        return None

    @abstractmethod
    def is_watched(self, database: Database) -> bool:
        """Tell whether somebody listens to what this lane would not tell."""

    @abstractmethod
    async def answer(
        self, scope: Scope, received: Replayed, route: RouteContext, database: Database
    ) -> Response | None:
        """Return the answer to a request that is as most are."""

    def response(self, route: RouteContext, content: object, status: int = 200) -> Response | None:
        """Return *content* as the ordinary lane would write it; None if it would fail."""
        model: Any = route.response_field
        value, errors = model.validate(content, {}, loc=("response",))
        if errors:
            return None
        body = model.serialize_json(value, by_alias=True)
        return Response(body, status_code=status, media_type=JSON)

    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return what is shown of *row*: its first values."""
        return dict(zip(self._names, row, strict=False))

    def _is_usual(self, scope: Scope) -> bool:
        """Tell whether a request asks for JSON, and for nothing besides."""
        return all(
            name not in self.unusual and (name != b"accept" or value in _USUAL)
            for name, value in scope["headers"]
        )


def is_plain(resource: type[Resource[Any]], *steps: str) -> bool:
    """Tell whether *steps* of *resource*, and what they stand on, are ours alone."""
    own = (*steps, "query", "__post_init__")
    return all(getattr(resource, each) is getattr(Resource, each) for each in own) and [
        each.name for each in fields(resource) if each.init
    ] == ["session"]


def shown_columns(shape: Shape[Any], *others: str) -> Mapping[str, Column[Any]] | None:
    """Return the columns of what is shown, and *others*; None if something else is shown."""
    model: type[DeclarativeBase] = shape.model
    own = columns(model)
    names = [*shape.read.model_fields, *others]
    names += ["version"] if issubclass(model, Versioned) else []
    aliased = any(each.validation_alias for each in shape.read.model_fields.values())
    if aliased or {*names} - own.keys() or _reads_rows(shape.read):
        return None
    return {name: own[name] for name in names}


def _reads_rows(read: type[BaseModel]) -> bool:
    """Tell whether a validator of *read* is given the row itself."""
    validators = read.__pydantic_decorators__.model_validators.values()
    return any(each.info.mode != "after" for each in validators)
