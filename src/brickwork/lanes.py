"""The fast lane: reads of which no step is overridden go to the driver, and come back as bytes.

It is taken by itself, for what is asked for most. Whatever is unusual about a resource, an
application or a request is left to the ordinary lane, which gives the same bytes.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, Final, Generic, TypeVar

from fastapi import Request, Response
from fastapi.routing import RouteContext
from pydantic import BaseModel, ValidationError
from sqlalchemy import Column, Dialect, Integer, Select, bindparam, select
from sqlalchemy.orm import DeclarativeBase
from starlette.types import Scope
from typing_extensions import override

from brickwork.database import Database
from brickwork.deletion import visible
from brickwork.drivers import Statement, compiled, fetch, is_watched
from brickwork.etags import tag_of
from brickwork.keys import parse_key, primary_key
from brickwork.links import tell_places
from brickwork.lists import ListQuery
from brickwork.models import Versioned
from brickwork.negotiation import JSON
from brickwork.queries import Listing, listed
from brickwork.resource import Resource
from brickwork.shapes import Shape
from brickwork.sorting import order
from brickwork.writes import columns

M = TypeVar("M", bound=DeclarativeBase)

_CONDITIONS: Final = {b"if-match", b"if-none-match"}
_USUAL: Final = {b"*/*", JSON.encode()}
_LIMIT: Final = re.compile(rb"limit=([1-9][0-9]{0,5})")


def get_lane(shape: Shape[M]) -> "Lane[M] | None":
    """Return the fast lane of `GET /articles/{id}`, if the resource leaves it as it is."""
    shown = _columns(shape)
    return _Item(shape, shown) if shown and _is_plain(shape, "get") else None


def list_lane(shape: Shape[M]) -> "Lane[M] | None":
    """Return the fast lane of `GET /articles`, if the resource leaves it as it is."""
    if not (_is_plain(shape, "page") and _asks_nothing(shape.query)):
        return None
    sorts = order(shape.model, shape.query().sort_keys())
    shown = _columns(shape, *(each.attribute.key for each in sorts.keys))
    return _List(shape, shown) if shown else None


def _is_plain(shape: Shape[Any], step: str) -> bool:
    """Tell whether *step*, and what it stands on, is ours alone."""
    own = shape.resource
    steps = (step, "query", "__post_init__")
    return (
        all(getattr(own, each) is getattr(Resource, each) for each in steps)
        and [each.name for each in fields(own) if each.init] == ["session"]
        and not _reads_rows(shape.read)
    )


def _reads_rows(read: type[BaseModel]) -> bool:
    """Tell whether a validator of *read* is given the row itself."""
    validators = read.__pydantic_decorators__.model_validators.values()
    return any(each.info.mode != "after" for each in validators)


def _asks_nothing(query: type[ListQuery[Any]]) -> bool:
    """Tell whether a list of which nothing is asked is always the same one."""
    each = query.model_fields.values()
    if any(field.default_factory or field.is_required() for field in each):
        return False
    at = query()
    return query.narrow is ListQuery[Any].narrow and not (at.count or at.offset or at.cursor)


def _columns(shape: Shape[Any], *others: str) -> Mapping[str, Column[Any]] | None:
    """Return the columns of what is shown, and *others*; None if something else is shown."""
    model: type[DeclarativeBase] = shape.model
    own = columns(model)
    names = [*shape.read.model_fields, *others]
    names += ["version"] if issubclass(model, Versioned) else []
    aliased = any(each.validation_alias for each in shape.read.model_fields.values())
    return None if aliased or {*names} - own.keys() else {name: own[name] for name in names}


class Lane(ABC, Generic[M]):
    """A way past FastAPI and the session, to rows as the database has them."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile nothing yet: which database it is, a request will tell."""
        self.shape = shape
        self._names = [*shape.read.model_fields]
        self._columns = columns
        self._statements: dict[str, Statement | None] = {}

    async def __call__(self, scope: Scope, route: RouteContext) -> Response | None:
        """Return the answer to a request, or None: then it has to take the ordinary lane."""
        database = scope.get("state", {}).get("database")
        if (
            isinstance(database, Database)
            and database.fast
            and _is_usual(scope)
            and not scope["app"].dependency_overrides
            and not is_watched(database.reader, self.shape.model)
            and (statement := self._statement(database.reader.dialect))
        ):
            return await self.answer(scope, route, database, statement)
        return None

    @abstractmethod
    async def answer(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        """Return the answer to a request that is as most are."""

    @abstractmethod
    def rows(self, dialect: Dialect) -> Select[Any]:
        """Return the statement for the rows; which columns of them, is said later."""

    def response(self, route: RouteContext, content: object) -> Response | None:
        """Return *content* as the ordinary lane would write it; None if it would fail."""
        model: Any = route.response_field
        value, errors = model.validate(content, {}, loc=("response",))
        if errors:
            return None
        return Response(model.serialize_json(value, by_alias=True), media_type=JSON)

    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return what is shown of *row*: its first values."""
        return dict(zip(self._names, row, strict=False))

    def _statement(self, dialect: Dialect) -> Statement | None:
        name = dialect.name
        if name not in self._statements:
            attributes = [getattr(self.shape.model, each) for each in self._columns]
            statement: Any = self.rows(dialect).with_only_columns(*attributes)
            self._statements[name] = compiled(statement, self._columns, dialect)
        return self._statements[name]


def _is_usual(scope: Scope) -> bool:
    """Tell whether a request is a GET of JSON, without conditions."""
    return scope["method"] == "GET" and all(
        name not in _CONDITIONS and (name != b"accept" or value in _USUAL)
        for name, value in scope["headers"]
    )


def _live(shape: Shape[M]) -> Select[M]:
    return select(shape.model).where(*visible(shape.model))


class _Item(Lane[M]):
    """The lane of one row."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Tell the version of a row, where it has one."""
        super().__init__(shape, columns)
        self._versioned = issubclass(shape.model, Versioned)

    @override
    async def answer(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        key = parse_key(self.shape.model, scope["path_params"]["id"])
        if key is None or scope["query_string"]:
            return None
        if not (records := await fetch(database.reader, statement, key=key)):
            return None
        row = statement.read(records[0])
        response = self.response(route, self.shown(row))
        if response and self._versioned:
            response.headers["ETag"] = tag_of(row[statement.columns.index("version")])
        return response

    @override
    def rows(self, dialect: Dialect) -> Select[M]:
        key = primary_key(self.shape.model)
        return _live(self.shape).where(key == bindparam("key", type_=key.type))


class _List(Lane[M]):
    """The lane of the first page of a list, in its own order and as long as it may be."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Take the list as it is when nothing is asked of it."""
        super().__init__(shape, columns)
        self._listings: dict[str, Listing[M]] = {}

    @override
    async def answer(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        if (at := self._asked(scope["query_string"])) is None:
            return None
        records = await fetch(database.reader, statement, limit=at.limit + 1)
        if records is None:
            return None
        rows = [statement.read(each) for each in records]
        if response := self.response(route, [self.shown(each) for each in rows[: at.limit]]):
            response.headers["Vary"] = "Accept"
            ends = self._ends(rows, statement.columns, min(len(rows), at.limit) - 1)
            page = self._listings[database.reader.dialect.name].first(ends, at)
            tell_places(Request(scope), response, page)
        return response

    @override
    def rows(self, dialect: Dialect) -> Select[M]:
        listing = listed(_live(self.shape), self.shape.query(), dialect)
        self._listings[dialect.name] = listing
        limit = bindparam("limit", type_=Integer)
        return listing.rows.order_by(*listing.by.clauses()).limit(limit)

    def _asked(self, query: bytes) -> ListQuery[M] | None:
        if not query:
            return self.shape.query()
        if not (found := _LIMIT.fullmatch(query)):
            return None
        try:
            return self.shape.query.model_validate({"limit": found[1].decode()})
        except ValidationError:
            return None

    def _ends(self, rows: Sequence[Sequence[Any]], names: Sequence[str], last: int) -> list[Any]:
        """Return the first and the *last* of *rows* as objects, which cursors are made of."""
        return [
            SimpleNamespace(**dict(zip(names, row, strict=True))) if index in {0, last} else None
            for index, row in enumerate(rows)
        ]
