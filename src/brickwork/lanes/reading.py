"""The fast lanes of reads: one row by its key, and the first page of a list."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Final, TypeVar

from fastapi import Request, Response
from fastapi.routing import RouteContext
from pydantic import ValidationError
from sqlalchemy import ARRAY, Column, Dialect, Integer, Select, any_, bindparam
from sqlalchemy.orm import DeclarativeBase
from starlette.types import Scope
from typing_extensions import override

from brickwork.database import Database
from brickwork.drivers import fetch, find
from brickwork.etags import tag_of
from brickwork.keys import parse_key, primary_key
from brickwork.lanes.lane import Lane, Replayed, is_plain, shown_columns
from brickwork.links import tell_places
from brickwork.listeners import is_read_watched
from brickwork.lists import ListQuery
from brickwork.models import Versioned
from brickwork.queries import Listing, every, listed
from brickwork.shapes import Shape
from brickwork.sorting import order
from brickwork.statements import Statement, compiled

M = TypeVar("M", bound=DeclarativeBase)

_LIMIT: Final = re.compile(rb"limit=([1-9][0-9]{0,5})")


def get_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `GET /articles/{id}`, if the resource leaves it as it is."""
    shown = shown_columns(shape, primary_key(shape.model).key)
    return _Item(shape, shown) if shown and is_plain(shape.resource, "get") else None


def list_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `GET /articles`, if the resource leaves it as it is."""
    if not (is_plain(shape.resource, "page") and _asks_nothing(shape.query)):
        return None
    sorts = order(shape.model, shape.query().sort_keys())
    shown = shown_columns(shape, *(each.attribute.key for each in sorts.keys))
    return _List(shape, shown) if shown else None


def _asks_nothing(query: type[ListQuery[Any]]) -> bool:
    """Tell whether a list of which nothing is asked is always the same one."""
    each = query.model_fields.values()
    if any(field.default_factory or field.is_required() for field in each):
        return False
    at = query()
    return query.narrow is ListQuery[Any].narrow and not (at.count or at.offset or at.cursor)


class _Reading(Lane[M]):
    """A lane of one statement, which reads."""

    method: ClassVar = "GET"
    unusual: ClassVar = {b"if-match", b"if-none-match"}

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile the statement when it is known for which database."""
        super().__init__(shape, columns)
        self._statements: dict[str, Statement | None] = {}

    @override
    def is_watched(self, database: Database) -> bool:
        return is_read_watched(database.reader, self.shape.model)

    @override
    async def answer(
        self, scope: Scope, received: Replayed, route: RouteContext, database: Database
    ) -> Response | None:
        dialect = database.reader.dialect
        if dialect.name not in self._statements:
            self._statements[dialect.name] = self._compiled(self.rows(dialect), dialect)
        statement = self._statements[dialect.name]
        return await self.read(scope, route, database, statement) if statement else None

    @abstractmethod
    async def read(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        """Return the answer, of what *statement* reads."""

    @abstractmethod
    def rows(self, dialect: Dialect) -> Select[Any]:
        """Return the statement for the rows; which columns of them, is said later."""

    def _compiled(self, rows: Select[Any], dialect: Dialect) -> Statement | None:
        attributes = [getattr(self.shape.model, each) for each in self._columns]
        statement: Any = rows.with_only_columns(*attributes)
        return compiled(statement, self._columns, dialect)


class _Item(_Reading[M]):
    """The lane of one row."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Tell the version of a row, where it has one."""
        super().__init__(shape, columns)
        self._versioned = issubclass(shape.model, Versioned)
        self._many: Statement | None = None

    @override
    async def read(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        key = parse_key(self.shape.model, scope["path_params"]["id"])
        if key is None or scope["query_string"]:
            return None
        if (record := await self._found(database, statement, key)) is None:
            return None
        row = statement.read(record)
        response = self.response(route, self.shown(row))
        if response and self._versioned:
            response.headers["ETag"] = tag_of(row[statement.columns.index("version")])
        return response

    @override
    def rows(self, dialect: Dialect) -> Select[M]:
        key = primary_key(self.shape.model)
        return every(self.shape.model).where(key == bindparam("key", type_=key.type))

    async def _found(self, database: Database, one: Statement, key: object) -> Any:
        of = primary_key(self.shape.model)
        if database.coalesce and (many := self._of_many(database.reader.dialect)):
            return await find(database, one, many, key, name=of.key)
        rows = await fetch(database, one, {"key": key})
        return rows[0] if rows else None

    def _of_many(self, dialect: Dialect) -> Statement | None:
        """Return the statement that finds several rows, where the database takes a list of keys."""
        if dialect.name != "postgresql":  # SQLite carries out many statements at once as well
            return None
        if self._many is None:
            of = primary_key(self.shape.model)
            keys = bindparam("keys", type_=ARRAY(of.type))
            self._many = self._compiled(every(self.shape.model).where(of == any_(keys)), dialect)
        return self._many


class _List(_Reading[M]):
    """The lane of the first page of a list, in its own order and as long as it may be."""

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Take the list as it is when nothing is asked of it."""
        super().__init__(shape, columns)
        self._listings: dict[str, Listing[M]] = {}

    @override
    async def read(
        self, scope: Scope, route: RouteContext, database: Database, statement: Statement
    ) -> Response | None:
        if (at := self._asked(scope["query_string"])) is None:
            return None
        records = await fetch(database, statement, {"limit": at.limit + 1})
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
        listing = listed(every(self.shape.model), self.shape.query(), dialect)
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
