"""The base of fast operations."""

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

Columns = Mapping[str, Column[Any]]
"""Columns by attribute name."""

Statements = Iterator[BoundStatement | None]

_EMPTY_CACHE_KEY: Final = CacheKey((), [], None)

_MAX_STATEMENTS: Final = 256
"""How many compiled statements an operation caches."""

STRONG_ETAG: Final = re.compile(rb'"([1-9][0-9]{0,8})(?:-[0-9a-f]{20})?"')
"""A header value that is one strong entity tag of a versioned row."""

_JSON_ACCEPT: Final = {b"*/*", JSON.encode()}

_resource_methods: Final = attrgetter(
    *("__post_init__", "query", "reference_scopes", "get", "page", "create", "update", "delete")
)
"""Returns the current methods of a resource that affect responses."""


class FastOperation(ABC, Generic[M]):
    """A resource operation that the driver executes, without the ORM session."""

    method: ClassVar[str]
    unsupported_headers: ClassVar[Collection[bytes]]
    """Headers that only the ORM path supports."""

    def __init__(
        self, definition: ResourceDefinition[M], columns: Columns, *models: type[DeclarativeBase]
    ) -> None:
        """Store the *columns* that statements return, and the *models* that they read or write.

        Statements are compiled for the dialect of the first request.
        """
        self.definition = definition
        self._field_names = column_fields(definition.model, definition.read)
        self._columns = columns
        self._statements: dict[object, CompiledStatement | None] = {}
        self._methods = _resource_methods(definition.resource)
        self._models = models
        self._listeners = ListenerCheck(*models)

    def try_bind(self, route: APIRoute) -> "BoundOperation[M] | None":
        """Bind this operation to *route*. None if it cannot serve the route."""
        try:
            return self.bind(route)
        except NotEligible:
            return None

    def bind(self, route: APIRoute | RouteContext) -> "BoundOperation[M]":
        """Bind this operation to *route*. Raises `NotEligible` if it cannot serve the route."""
        if not isinstance(route.response_class, DefaultPlaceholder):
            raise NotEligible("its router has its own response class")
        if not is_pure(self.definition.read):
            raise NotEligible(f"{self.definition.read.__name__} has code or types of its own")
        return BoundOperation(self, route, ResourceDependencies(self.definition, route))

    def has_patched_methods(self) -> bool:
        """Return whether a method of the resource was replaced since, as tests do."""
        return bool(_resource_methods(self.definition.resource) != self._methods)

    def find_observer(self, database: Database) -> str | None:
        """Return the name of application code that SQLAlchemy would call. None if there is none."""
        return self._listeners.find_observer(database)

    @abstractmethod
    async def respond(self, request: FastRequest[M]) -> Response | None:
        """Return the response to *request*. None if the ORM path has to handle it."""

    @abstractmethod
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        """Yield the statements that most requests send. None for one that cannot be compiled.

        *statement* selects the rows of the client. Raises `NotEligible` if the mapping of all
        models shows that the operation has none.
        """

    def cached_statement(
        self,
        dialect: Dialect,
        statement: Select[Any] | None,
        kind: object,
        build: Callable[[], ClauseElement | None],
        *,
        source: Select[Any] | None = None,
    ) -> BoundStatement | None:
        """Return the compiled statement of a *kind* for *statement*, built by *build* on first use.

        Statements that differ only in parameter values share one entry. *source* is the list of
        which *statement* is a page. None if *statement*, or its *source*, has more than conditions.
        """
        cache_key: CacheKey | None
        if statement is None or statement is base_statement(self.definition.model):
            cache_key = _EMPTY_CACHE_KEY
        elif statement.get_execution_options():
            return None
        else:
            cache_key = statement._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if cache_key is None or cache_key.params:
            return None
        name = (dialect.name, kind, cache_key.key)
        if name not in self._statements:
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
            base = statement if source is None else source
            is_eligible = base is None or has_only_conditions(base, self.definition.model)
            self._statements[name] = compile_statement(
                build() if is_eligible else None, self._columns, dialect, cache_key.bindparams
            )
        compiled = self._statements[name]
        return (
            BoundStatement(compiled, compiled.extract_params(cache_key.bindparams))
            if compiled
            else None
        )

    def response(
        self,
        route: APIRoute | RouteContext,
        content: object,
        headers: Mapping[str, str] | None = None,
        *,
        status: int = 200,
        version: int | None = None,
    ) -> Response | None:
        """Serialise *content* as the ORM path does. None if it does not fit the read schema.

        With a *version*, the response has an entity tag.
        """
        if (body := self.body(route, content)) is None:
            return None
        tag = {} if version is None else {"ETag": format_etag(version, body)}
        return json_response(body, {**(headers or {}), **tag}, status=status)

    def body(self, route: APIRoute | RouteContext, content: object) -> bytes | None:
        """Serialise *content* to JSON. None if it does not fit the read schema."""
        model: Any = route.response_field
        value, errors = model.validate(content, {}, loc=("response",))
        return None if errors else model.serialize_json(value, by_alias=True)

    def to_dict(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the read schema's fields, which are the first values of *row*."""
        return dict(zip(self._field_names, row, strict=False))

    def is_eligible(self, request: Request) -> bool:
        """Return whether *request* accepts JSON and has no unsupported header."""
        return all(
            name not in self.unsupported_headers and (name != b"accept" or value in _JSON_ACCEPT)
            for name, value in request.scope["headers"]
        )


class BoundOperation(Generic[M]):
    """A fast operation of one route."""

    def __init__(
        self,
        operation: FastOperation[M],
        route: APIRoute | RouteContext,
        dependencies: ResourceDependencies[M],
    ) -> None:
        """Bind *operation* to *route*, which has *dependencies*."""
        self.operation = operation
        self.route = route
        self.dependencies = dependencies

    async def __call__(self, request: Request) -> Response | None:
        """Return the response to *request*. None if the ORM path has to handle it."""
        overrides = self.route.dependency_overrides_provider
        is_overridden = overrides and overrides.dependency_overrides
        if not self.operation.is_eligible(request) or is_overridden:
            return None
        if self.operation.has_patched_methods():
            return None
        query: bytes = request.scope["query_string"]
        if (statement := await self.dependencies.scoped_statement(request)) is None:
            return None
        # A dependency may have replaced the database of the application.
        database = request.scope.get("state", {}).get("database")
        if not isinstance(database, Database) or not database.fast_path:
            return None
        if self.operation.find_observer(database):
            return None
        fast_request = FastRequest(request, self.route, database, statement, query)
        return await self.operation.respond(fast_request)


def has_only_conditions(statement: Select[Any], model: type[DeclarativeBase]) -> bool:
    """Return whether *statement* is a SELECT of *model* with nothing but WHERE conditions."""
    conditions = statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    rebuilt = select(model).where(*conditions)
    return rebuilt.compare(statement) and [*rebuilt.get_final_froms()] == [model.__table__]


def json_response(body: bytes, headers: Mapping[str, str] | None, *, status: int = 200) -> Response:
    """Return a JSON response with *headers* in last place."""
    response = Response(body, status, media_type=JSON)
    for name, text in (headers or {}).items():
        response.headers.append(name, text)
    return response


def build_fast_operation(
    definition: ResourceDefinition[M], build: Callable[[ResourceDefinition[M]], FastOperation[M]]
) -> FastOperation[M] | NotEligible:
    """Call *build*, and return its operation or the reason why there is none."""
    try:
        return build(definition)
    except NotEligible as reason:
        return reason


def require_not_overridden(resource: type[Resource[Any]], *methods: str) -> None:
    """Raise `NotEligible` if *resource* overrides `__post_init__` or one of *methods*."""
    for method in (*methods, "__post_init__"):
        if getattr(resource, method) is not getattr(Resource, method):
            raise NotEligible(f"{resource.__name__}.{method} is overridden")


def selected_columns(definition: ResourceDefinition[Any], *others: str) -> Columns:
    """Return the columns of the read schema, the version if there is one, and *others*.

    Raises `NotEligible` if a field is neither a column nor an embedded row.
    """
    model: type[DeclarativeBase] = definition.model
    names = [*column_fields(model, definition.read), *others]
    names += ["version"] if issubclass(model, Versioned) else []
    columns = mapped_columns(model)
    if computed := sorted({*names} - columns.keys()):
        raise NotEligible(f"{', '.join(computed)} is no column of {model.__name__}")
    return {name: columns[name] for name in names}
