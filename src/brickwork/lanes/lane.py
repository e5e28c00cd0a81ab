"""What the fast lanes have in common: when they are taken, and how they answer."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar

from fastapi import Response
from fastapi.routing import RouteContext
from sqlalchemy import ClauseElement, Column, Dialect, Select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.cache_key import CacheKey
from starlette.types import Scope

from brickwork.database import Database
from brickwork.lanes.call import Call, Replayed
from brickwork.lanes.fields import Fields
from brickwork.lanes.ordinary import Ordinary
from brickwork.lanes.related import own_fields
from brickwork.models import Versioned
from brickwork.negotiation import JSON
from brickwork.queries import every
from brickwork.resource import Resource
from brickwork.shapes import Shape
from brickwork.statements import Prepared, Statement, compiled
from brickwork.writes import columns

M = TypeVar("M", bound=DeclarativeBase)

_NONE: Final = CacheKey((), [], None)

_MOST: Final = 256
"""How many statements a lane keeps of those that differ in what is asked."""

TAG: Final = re.compile(rb'"([1-9][0-9]{0,8})"')
"""An entity tag that is one of ours, alone."""

_USUAL: Final = {b"*/*", JSON.encode()}


class Lane(ABC, Generic[M]):
    """A way past FastAPI and the session, to rows as the database has them."""

    method: ClassVar[str]
    unusual: ClassVar[Collection[bytes]]
    """The headers that say what the ordinary lane is for."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile nothing yet: which database it is, a request will tell."""
        self.shape = shape
        self._names = own_fields(shape.model, shape.read)
        self._columns = columns
        self._statements: dict[object, Statement | None] = {}

    async def __call__(
        self, scope: Scope, received: Replayed, route: RouteContext, asked: Fields[M]
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
            return await self.answer(Call(scope, received, route, database, asked))
        return None

    @abstractmethod
    def is_watched(self, database: Database) -> bool:
        """Tell whether somebody listens to what this lane would not tell."""

    @abstractmethod
    async def answer(self, call: Call[M]) -> Response | None:
        """Return the answer to a request that is as most are."""

    @abstractmethod
    def usual(self, rows: Select[M], database: Database) -> Iterator[Prepared | None]:
        """Yield the statements that most requests send for *rows*; None for one there cannot be.

        Raises `Ordinary` where none does, as only the mapping of all models could tell.
        """

    def statement(
        self,
        dialect: Dialect,
        rows: Select[Any] | None,
        variant: object,
        make: Callable[[], ClauseElement | None],
    ) -> Prepared | None:
        """Return the statement that *make* makes of *rows*, in its *variant*; None if none can be.

        It is compiled once for all rows that are narrowed alike, be it by other values.
        """
        of: CacheKey | None
        if rows is None or rows is every(self.shape.model):
            of = _NONE
        elif rows.get_execution_options():
            return None
        else:
            of = rows._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if of is None or of.params:
            return None
        name = (dialect.name, variant, of.key)
        if name not in self._statements:
            if len(self._statements) >= _MOST:
                self._statements.clear()
            self._statements[name] = compiled(make(), self._columns, dialect, of.bindparams)
        statement = self._statements[name]
        return Prepared(statement, statement.within(of.bindparams)) if statement else None

    def response(
        self,
        route: RouteContext,
        content: object,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> Response | None:
        """Return *content* as the ordinary lane would answer with it; None if it would fail."""
        body = self.body(route, content)
        return None if body is None else responded(body, headers, status=status)

    def body(self, route: RouteContext, content: object) -> bytes | None:
        """Return *content* as the ordinary lane would write it; None if it would fail."""
        model: Any = route.response_field
        value, errors = model.validate(content, {}, loc=("response",))
        return None if errors else model.serialize_json(value, by_alias=True)

    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return what is shown of *row*: its first values."""
        return dict(zip(self._names, row, strict=False))

    def _is_usual(self, scope: Scope) -> bool:
        """Tell whether a request asks for JSON, and for nothing besides."""
        return all(
            name not in self.unusual and (name != b"accept" or value in _USUAL)
            for name, value in scope["headers"]
        )


def responded(body: bytes, headers: Mapping[str, str] | None, *, status: int = 200) -> Response:
    """Return the answer that has this JSON for a *body*, and these *headers* in the end."""
    response = Response(body, status, media_type=JSON)
    for name, text in (headers or {}).items():
        response.headers.append(name, text)
    return response


def lane_of(shape: Shape[M], make: Callable[[Shape[M]], Lane[M]]) -> Lane[M] | Ordinary:
    """Return the lane that *make* makes for the resource of *shape*, or why it has none."""
    try:
        return make(shape)
    except Ordinary as reason:
        return reason


def require_plain(resource: type[Resource[Any]], *steps: str) -> None:
    """Raise `Ordinary` unless *steps* of *resource*, and how it is made, are ours alone."""
    for each in (*steps, "__post_init__"):
        if getattr(resource, each) is not getattr(Resource, each):
            raise Ordinary(f"{resource.__name__}.{each} is overridden")


def shown_columns(shape: Shape[Any], *others: str) -> Mapping[str, Column[Any]]:
    """Return the columns of what is shown, and *others*.

    Raises `Ordinary` if what is shown is more than columns, and rows that are related.
    """
    model: type[DeclarativeBase] = shape.model
    names = [*own_fields(model, shape.read), *others]
    names += ["version"] if issubclass(model, Versioned) else []
    own = columns(model)
    if computed := sorted({*names} - own.keys()):
        raise Ordinary(f"{', '.join(computed)} is no column of {model.__name__}")
    return {name: own[name] for name in names}
