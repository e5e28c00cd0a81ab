"""The fast lanes of reads: one row by its key, and the pages of a list."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import Response
from pydantic import ValidationError
from sqlalchemy import ARRAY, Column, Dialect, Select, any_, bindparam
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.database.coalescing import is_hashable
from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KEYS_PARAM, FetchedRow, fetch_by_key, fetch_rows
from brickwork.fastpath.joins import to_one_joins
from brickwork.fastpath.operation import (
    STRONG_ETAG,
    FastOperation,
    json_response,
    require_not_overridden,
    selected_columns,
)
from brickwork.fastpath.request import FastRequest
from brickwork.http.conditional import format_etag
from brickwork.http.links import set_pagination_headers
from brickwork.models.model import Versioned
from brickwork.problems import Problem
from brickwork.query.keys import parse_key, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import PageSource, PageWindow, base_statement, page_source
from brickwork.query.ordering import make_order
from brickwork.resource.definition import ResourceDefinition

M = TypeVar("M", bound=DeclarativeBase)

_Asked = tuple[PageSource[Any], PageWindow[Any]]


def fast_get(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `GET /articles/{id}`; raises `Ordinary` if it is overridden."""
    require_not_overridden(shape.resource, "get")
    return _Item(shape, selected_columns(shape, primary_key(shape.model).key))


def fast_list(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `GET /articles`; raises `Ordinary` if it is overridden."""
    require_not_overridden(shape.resource, "page")
    return _List(shape, selected_columns(shape, *_sorts(shape), primary_key(shape.model).key))


def _sorts(shape: ResourceDefinition[M]) -> Sequence[str]:
    """Return the columns by which rows are listed, asked for or not."""
    known = [each.key for each in shape.query.__sorts__]
    with suppress(ValidationError):  # something has to be asked
        usual = make_order(shape.model, shape.query().sort_keys())
        known += [each.attribute.key for each in usual.keys]
    return known


class _Reading(FastOperation[M]):
    """A lane of one statement, which reads."""

    method: ClassVar = "GET"
    unusual: ClassVar = {b"if-match", b"if-none-match"}

    def __init__(self, shape: ResourceDefinition[M], columns: Mapping[str, Column[Any]]) -> None:
        """Show what is related to the rows, besides *columns*; raises `Ordinary`."""
        self._own = [*columns]
        self._related = to_one_joins(shape.model, shape.read)
        others = (named for each in self._related for named in each.columns())
        models = (each for own in self._related for each in own.models())
        super().__init__(shape, {**columns, **dict(others)}, shape.model, *models)

    @override
    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        shown = super().shown(row)
        if self._related:
            values = iter(row[len(self._own) :])
            shown |= {each.name: each.read(values) for each in self._related}
        return shown

    def shown_of(self, rows: Select[Any]) -> Select[Any]:
        """Return *rows* as the columns of which something is shown, or made."""
        attributes = [getattr(self.shape.model, each) for each in self._own]
        for each in self._related:
            rows = each.joined(rows)
            attributes += each.attributes()
        shown: Any = rows.with_only_columns(*attributes, maintain_column_froms=True)
        return cast("Select[Any]", shown)


class _Item(_Reading[M]):
    """The lane of one row."""

    unusual: ClassVar = {b"if-match"}

    def __init__(self, shape: ResourceDefinition[M], columns: Mapping[str, Column[Any]]) -> None:
        """Tell the version of a row, where it has one."""
        super().__init__(shape, columns)
        self._versioned = issubclass(shape.model, Versioned)

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        key, known = parse_key(self.shape.model, call.key), call.headers(b"if-none-match")
        if key is None or call.query or not self._is_one(known):
            return None
        one = self._of_one(call.rows, call.database.reader.dialect)
        if one is None or (found := await self._found(call, one, key)) is None:
            return None
        if found.made is None:
            found.made = self.body(call.route, self.shown(found.row))
        if found.made is None:
            return None
        headers = self._tagged(found.row, found.made)
        if known and known == [tag.encode() for tag in headers.values()]:
            return Response(status_code=304, headers=headers)
        return json_response(found.made, headers)

    def _is_one(self, known: Sequence[bytes]) -> bool:
        """Tell whether of the versions that a client knows there is none, or one of ours."""
        return not known or (
            self._versioned and len(known) == 1 and bool(STRONG_ETAG.fullmatch(known[0]))
        )

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        yield self._of_one(rows, database.reader.dialect)
        if database.coalesce and (many := self._of_many(rows, database.reader.dialect)):
            yield many

    def _tagged(self, row: Sequence[Any], body: bytes) -> Mapping[str, str]:
        version = row[self._own.index("version")] if self._versioned else None
        return {} if version is None else {"ETag": format_etag(version, body)}

    async def _found(
        self, call: FastRequest[M], one: BoundStatement, key: object
    ) -> FetchedRow | None:
        many = self._of_many(call.rows, call.database.reader.dialect)
        return await fetch_by_key(
            call.database, one, many, key, name=primary_key(self.shape.model).key
        )

    def _of_one(self, rows: Select[M], dialect: Dialect) -> BoundStatement | None:
        return self.statement(dialect, rows, "one", lambda: self._by_key(rows))

    def _by_key(self, rows: Select[M]) -> Select[Any]:
        of = primary_key(self.shape.model)
        return self.shown_of(rows.where(of == bindparam(KEY_PARAM, type_=of.type)))

    def _of_many(self, rows: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the statement that finds several rows, where the database takes a list of keys."""
        if dialect.name != "postgresql":  # SQLite carries out many statements at once as well
            return None
        return self.statement(dialect, rows, "many", lambda: self._by_keys(rows))

    def _by_keys(self, rows: Select[M]) -> Select[Any]:
        of = primary_key(self.shape.model)
        return self.shown_of(rows.where(of == any_(bindparam(KEYS_PARAM, type_=ARRAY(of.type)))))


class _List(_Reading[M]):
    """The lane of the pages of a list, as long as nobody counts them."""

    def __init__(self, shape: ResourceDefinition[M], columns: Mapping[str, Column[Any]]) -> None:
        """Remember the pages of which nothing is asked but how long they are."""
        super().__init__(shape, columns)
        fields = shape.query.model_fields
        self._asks = {each.alias or name for name, each in fields.items()}
        self._varies = shape.query.filter is not ListQuery[Any].filter or any(
            each.default_factory for each in fields.values()
        )
        self._known: dict[object, _Asked] = {}

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        dialect = call.database.reader.dialect
        if (params := self._at(call.query)) is None:
            return None
        if (asked := self._asked(call.rows, params, dialect)) is None:
            return None
        if (page := self._statement(asked, dialect)) is None:
            return None
        make = partial(self._page, call, asked, page)
        url = (id(call.route), call.request.scope.get("root_path"), call.request.scope["path"])
        name = (*url, call.query, page.statement, tuple(page.values.items()))
        shared = call.database.coalesce and page.statement.shareable
        if not shared or not is_hashable(name):
            return await make()
        made = await call.database.shared(name, make)
        return made and Response(made.body, headers=made.headers)

    async def _page(
        self, call: FastRequest[M], asked: _Asked, page: BoundStatement
    ) -> Response | None:
        listing, stretch = asked
        if (records := await fetch_rows(call.database, page.statement, page.values)) is None:
            return None
        found = [page.statement.read(each) for each in records]
        items = stretch.items(found)
        shown = [self.shown(each) for each in items]
        if response := self.response(call.route, shown, {"Vary": "Accept"}):
            ends = [self._named(each) for each in (items[0], items[-1])] if items else []
            places = listing.page(stretch, ends, more=len(found) > stretch.params.limit)
            set_pagination_headers(call.request, response, places)
        return response

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        dialect = database.reader.dialect
        if (params := self._at(b"")) and (asked := self._asked(rows, params, dialect)):
            yield self._statement(asked, dialect)

    def _at(self, query: bytes) -> ListQuery[M] | None:
        """Return what is asked; None if that is uncommon, or refused."""
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        given = dict(pairs)
        if len(given) < len(pairs) or not (given.keys() <= self._asks and all(given.values())):
            return None
        try:
            params = self.shape.query.model_validate(given)
        except ValidationError:
            return None
        return None if params.count or getattr(params, "deleted", None) else params

    def _asked(self, rows: Select[M], params: ListQuery[M], dialect: Dialect) -> _Asked | None:
        if (
            self._varies
            or params.model_fields_set - {"limit"}
            or rows is not base_statement(self.shape.model)
        ):
            return self._made(rows, params, dialect)
        name = (dialect.name, params.limit, *params.sort_keys())
        if name not in self._known and (made := self._made(rows, params, dialect)):
            self._known[name] = made
        return self._known.get(name)

    def _made(self, rows: Select[M], params: ListQuery[M], dialect: Dialect) -> _Asked | None:
        try:
            listing = page_source(rows, params, dialect)
            stretch = listing.stretch(params)
        except (Problem, TypeError):  # the ordinary lane raises it again
            return None
        sorts = {each.attribute.key for each in listing.by.keys}
        return (listing, stretch) if sorts <= {*self._own} else None

    def _statement(self, asked: _Asked, dialect: Dialect) -> BoundStatement | None:
        listing, stretch = asked
        rows = stretch.rows
        make = partial(self.shown_of, rows)
        return self.statement(dialect, rows, "page", make, within=listing.rows)

    def _named(self, row: Sequence[Any]) -> Any:
        """Return *row* as an object, which cursors are made of."""
        return SimpleNamespace(**dict(zip(self._columns, row, strict=True)))
