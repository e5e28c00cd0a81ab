"""What the fast lanes have in common: when they are taken, and how they answer."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, TypeVar

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import ClauseElement, Column, Dialect, Select, select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.cache_key import CacheKey

from brickwork.database.compiled import BoundStatement, CompiledStatement, compile_statement
from brickwork.database.database import Database
from brickwork.fastpath.dependencies import ResourceDependencies
from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.joins import column_fields
from brickwork.fastpath.listeners import ListenerCheck
from brickwork.fastpath.request import FastRequest
from brickwork.http.conditional import format_etag
from brickwork.http.negotiation import JSON
from brickwork.models.model import Versioned
from brickwork.query.lookup import base_statement
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.schema import is_pure
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)

_NONE: Final = CacheKey((), [], None)

_MOST: Final = 256
"""How many statements a lane keeps of those that differ in what is asked."""

STRONG_ETAG: Final = re.compile(rb'"([1-9][0-9]{0,8})(?:-[0-9a-f]{20})?"')
"""An entity tag that is one of ours, alone."""

_USUAL: Final = {b"*/*", JSON.encode()}

_methods: Final = attrgetter(
    *("__post_init__", "query", "reference_scopes", "get", "page", "create", "update", "delete")
)
"""Returns the methods of a resource that take part in answers, as they are now."""


class FastOperation(ABC, Generic[M]):
    """A way past FastAPI and the session, to rows as the database has them."""

    method: ClassVar[str]
    unusual: ClassVar[Collection[bytes]]
    """The headers that say what the ordinary lane is for."""

    def __init__(
        self,
        shape: ResourceDefinition[M],
        columns: Mapping[str, Column[Any]],
        *models: type[DeclarativeBase],
    ) -> None:
        """Compile nothing yet: which database it is, a request will tell.

        *models* are those of the rows that are read or written.
        """
        self.shape = shape
        self._names = column_fields(shape.model, shape.read)
        self._columns = columns
        self._statements: dict[object, CompiledStatement | None] = {}
        self._methods = _methods(shape.resource)
        self._models = models
        self._observers = ListenerCheck(*models)

    def fast_path(self, route: APIRoute) -> "BoundOperation[M] | None":
        """Return this lane as that of *route*; None for a route that it is not for."""
        try:
            return self.included(route)
        except NotEligible:
            return None

    def included(self, route: APIRoute | RouteContext) -> "BoundOperation[M]":
        """Bind this operation to *route*. Raises `NotEligible` for a route that it cannot serve."""
        if not isinstance(route.response_class, DefaultPlaceholder):
            raise NotEligible("its router has a response class of its own")
        if not is_pure(self.shape.read):
            raise NotEligible(f"{self.shape.read.__name__} runs code, or has types that may")
        return BoundOperation(self, route, ResourceDependencies(self.shape, route))

    def is_patched(self) -> bool:
        """Tell whether a method of the resource was replaced since, as tests do."""
        return bool(_methods(self.shape.resource) != self._methods)

    def observer(self, database: Database) -> str | None:
        """Return the name of foreign code that sees what is done here; None if there is none."""
        return self._observers.of(database)

    @abstractmethod
    async def answer(self, call: FastRequest[M]) -> Response | None:
        """Return the answer to a request that is as most are."""

    @abstractmethod
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        """Yield the statements that most requests send for *rows*; None for one there cannot be.

        Raises `NotEligible` where none does, as only the mapping of all models could tell.
        """

    def statement(
        self,
        dialect: Dialect,
        rows: Select[Any] | None,
        variant: object,
        make: Callable[[], ClauseElement | None],
        *,
        within: Select[Any] | None = None,
    ) -> BoundStatement | None:
        """Return the statement that *make* makes of *rows*, in its *variant*; None if none can be.

        There is none for rows, or for those *within* which they are a page, that more than
        conditions narrow. It is compiled once for all rows that are narrowed alike, by any values.
        """
        of: CacheKey | None
        if rows is None or rows is base_statement(self.shape.model):
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
            base = rows if within is None else within
            made = make() if base is None or is_narrowed(base, self.shape.model) else None
            self._statements[name] = compile_statement(made, self._columns, dialect, of.bindparams)
        statement = self._statements[name]
        return BoundStatement(statement, statement.within(of.bindparams)) if statement else None

    def response(
        self,
        route: APIRoute | RouteContext,
        content: object,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
        version: int | None = None,
    ) -> Response | None:
        """Return *content* as the ordinary lane would answer with it; None if it would fail.

        With a *version*, it has the entity tag of a row.
        """
        if (body := self.body(route, content)) is None:
            return None
        tag = {} if version is None else {"ETag": format_etag(version, body)}
        return json_response(body, {**(headers or {}), **tag}, status=status)

    def body(self, route: APIRoute | RouteContext, content: object) -> bytes | None:
        """Return *content* as the ordinary lane would write it; None if it would fail."""
        model: Any = route.response_field
        value, errors = model.validate(content, {}, loc=("response",))
        return None if errors else model.serialize_json(value, by_alias=True)

    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return what is shown of *row*: its first values."""
        return dict(zip(self._names, row, strict=False))

    def is_usual(self, request: Request) -> bool:
        """Tell whether *request* asks for JSON, and for nothing besides."""
        return all(
            name not in self.unusual and (name != b"accept" or value in _USUAL)
            for name, value in request.scope["headers"]
        )


class BoundOperation(Generic[M]):
    """A lane as that of one route."""

    def __init__(
        self,
        lane: FastOperation[M],
        route: APIRoute | RouteContext,
        fields: ResourceDependencies[M],
    ) -> None:
        """Give the answers of *route*, which asks for *fields*."""
        self.lane = lane
        self.route = route
        self.fields = fields

    async def __call__(self, request: Request) -> Response | None:
        """Return the answer to *request*, or None: then it has to take the ordinary lane."""
        overrides = self.route.dependency_overrides_provider
        if not self.lane.is_usual(request) or (overrides and overrides.dependency_overrides):
            return None
        if self.lane.is_patched():
            return None
        query: bytes = request.scope["query_string"]
        if (rows := await self.fields.rows(request)) is None:
            return None
        # A dependency may have set another database than that of the application.
        database = request.scope.get("state", {}).get("database")
        if not isinstance(database, Database) or not database.fast_path:
            return None
        if self.lane.observer(database):
            return None
        return await self.lane.answer(FastRequest(request, self.route, database, rows, query))


def is_narrowed(rows: Select[Any], model: type[DeclarativeBase]) -> bool:
    """Tell whether *rows* are those of *model*, narrowed by conditions alone."""
    conditions = rows._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    alike = select(model).where(*conditions)
    return alike.compare(rows) and [*alike.get_final_froms()] == [model.__table__]


def json_response(body: bytes, headers: Mapping[str, str] | None, *, status: int = 200) -> Response:
    """Return the answer that has this JSON for a *body*, and these *headers* in the end."""
    response = Response(body, status, media_type=JSON)
    for name, text in (headers or {}).items():
        response.headers.append(name, text)
    return response


def build_fast_operation(
    shape: ResourceDefinition[M], make: Callable[[ResourceDefinition[M]], FastOperation[M]]
) -> FastOperation[M] | NotEligible:
    """Return the lane that *make* makes for the resource of *shape*, or why it has none."""
    try:
        return make(shape)
    except NotEligible as reason:
        return reason


def require_not_overridden(resource: type[Resource[Any]], *steps: str) -> None:
    """Raise `NotEligible` unless *steps* of *resource*, and how it is made, are ours alone."""
    for each in (*steps, "__post_init__"):
        if getattr(resource, each) is not getattr(Resource, each):
            raise NotEligible(f"{resource.__name__}.{each} is overridden")


def selected_columns(shape: ResourceDefinition[Any], *others: str) -> Mapping[str, Column[Any]]:
    """Return the columns of what is shown, and *others*.

    Raises `NotEligible` if what is shown is more than columns, and rows that are related.
    """
    model: type[DeclarativeBase] = shape.model
    names = [*column_fields(model, shape.read), *others]
    names += ["version"] if issubclass(model, Versioned) else []
    own = mapped_columns(model)
    if computed := sorted({*names} - own.keys()):
        raise NotEligible(f"{', '.join(computed)} is no column of {model.__name__}")
    return {name: own[name] for name in names}
