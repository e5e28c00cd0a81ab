"""Fast GET of one row, and of list pages."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import Response
from pydantic import ValidationError
from sqlalchemy import ARRAY, Dialect, Select, any_, bindparam
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.database.coalescing import is_hashable
from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KEYS_PARAM, FetchedRow, fetch_by_key, fetch_rows
from brickwork.fastpath.joins import to_one_joins
from brickwork.fastpath.operation import (
    STRONG_ETAG,
    Columns,
    FastOperation,
    Statements,
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
from brickwork.query.lookup import base_statement
from brickwork.query.ordering import make_order
from brickwork.query.pagination import PageSource, PageWindow, page_source
from brickwork.resource.definition import ResourceDefinition

M = TypeVar("M", bound=DeclarativeBase)

_PageRequest = tuple[PageSource[Any], PageWindow[Any]]


def fast_get(definition: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast path of `GET /articles/{id}`. Raises `NotEligible` if overridden."""
    require_not_overridden(definition.resource, "get")
    key = primary_key(definition.model).key
    return _FastGet(definition, selected_columns(definition, key))


def fast_list(definition: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast path of `GET /articles`. Raises `NotEligible` if overridden."""
    require_not_overridden(definition.resource, "page")
    names = (*_sort_columns(definition), primary_key(definition.model).key)
    return _FastList(definition, selected_columns(definition, *names))


def _sort_columns(definition: ResourceDefinition[M]) -> Sequence[str]:
    """Return the columns that clients may sort by, and those of the default order."""
    names = [column.key for column in definition.query.__sorts__]
    with suppress(ValidationError):  # a parameter is required
        order = make_order(definition.model, definition.query().sort_keys())
        names += [key.attribute.key for key in order.keys]
    return names


class _FastRead(FastOperation[M]):
    """A fast operation that reads with one statement."""

    method: ClassVar = "GET"
    unsupported_headers: ClassVar = {b"if-match", b"if-none-match"}

    def __init__(self, definition: ResourceDefinition[M], columns: Columns) -> None:
        """Add the columns of embedded rows to *columns*. Raises `NotEligible` if it cannot."""
        self._column_names = [*columns]
        self._joins = to_one_joins(definition.model, definition.read)
        others = (pair for join in self._joins for pair in join.columns())
        models = (model for join in self._joins for model in join.models())
        super().__init__(definition, {**columns, **dict(others)}, definition.model, *models)

    @override
    def to_dict(self, row: Sequence[Any]) -> dict[str, Any]:
        fields = super().to_dict(row)
        if self._joins:
            values = iter(row[len(self._column_names) :])
            fields |= {join.name: join.take_fields(values) for join in self._joins}
        return fields

    def select_columns(self, statement: Select[Any]) -> Select[Any]:
        """Replace the entity of *statement* by columns, and add the joins of embedded rows."""
        attributes = [getattr(self.definition.model, name) for name in self._column_names]
        for join in self._joins:
            statement = join.apply(statement)
            attributes += join.attributes()
        columns: Any = statement.with_only_columns(*attributes, maintain_column_froms=True)
        return cast("Select[Any]", columns)


class _FastGet(_FastRead[M]):
    """Fast GET of one row."""

    unsupported_headers: ClassVar = {b"if-match"}

    def __init__(self, definition: ResourceDefinition[M], columns: Columns) -> None:
        """Determine whether rows have versions."""
        super().__init__(definition, columns)
        self._versioned = issubclass(definition.model, Versioned)

    @override
    async def respond(self, request: FastRequest[M]) -> Response | None:
        key = parse_key(self.definition.model, request.key)
        tags = request.headers(b"if-none-match")
        if key is None or request.query or not self._supports(tags):
            return None
        one = self._one_statement(request.statement, request.database.reader.dialect)
        if one is None or (row := await self._fetch_row(request, one, key)) is None:
            return None
        if row.body is None:
            row.body = self.body(request.route, self.to_dict(row.row))
        if row.body is None:
            return None
        headers = self._etag_headers(row.row, row.body)
        if tags and tags == [tag.encode() for tag in headers.values()]:
            return Response(status_code=304, headers=headers)
        return json_response(row.body, headers)

    def _supports(self, tags: Sequence[bytes]) -> bool:
        """Return whether If-None-Match is absent, or one strong tag of a versioned row."""
        return not tags or (
            self._versioned and len(tags) == 1 and bool(STRONG_ETAG.fullmatch(tags[0]))
        )

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        dialect = database.reader.dialect
        yield self._one_statement(statement, dialect)
        if database.coalesce and (many := self._many_statement(statement, dialect)):
            yield many

    def _etag_headers(self, row: Sequence[Any], body: bytes) -> Mapping[str, str]:
        version = row[self._column_names.index("version")] if self._versioned else None
        return {} if version is None else {"ETag": format_etag(version, body)}

    async def _fetch_row(
        self, request: FastRequest[M], one: BoundStatement, key: object
    ) -> FetchedRow | None:
        many = self._many_statement(request.statement, request.database.reader.dialect)
        return await fetch_by_key(
            request.database, one, many, key, name=primary_key(self.definition.model).key
        )

    def _one_statement(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        return self.cached_statement(
            dialect, statement, "one", lambda: self._select_by_key(statement)
        )

    def _select_by_key(self, statement: Select[M]) -> Select[Any]:
        key = primary_key(self.definition.model)
        return self.select_columns(statement.where(key == bindparam(KEY_PARAM, type_=key.type)))

    def _many_statement(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the SELECT by a list of keys. None on SQLite, which takes no lists."""
        if dialect.name != "postgresql":  # the driver of SQLite batches statements instead
            return None
        return self.cached_statement(
            dialect, statement, "many", lambda: self._select_by_keys(statement)
        )

    def _select_by_keys(self, statement: Select[M]) -> Select[Any]:
        key = primary_key(self.definition.model)
        keys = bindparam(KEYS_PARAM, type_=ARRAY(key.type))
        return self.select_columns(statement.where(key == any_(keys)))


class _FastList(_FastRead[M]):
    """Fast GET of a list page without a count."""

    def __init__(self, definition: ResourceDefinition[M], columns: Columns) -> None:
        """Prepare the cache of pages whose only parameter is `limit`."""
        super().__init__(definition, columns)
        fields = definition.query.model_fields
        self._parameters = {field.alias or name for name, field in fields.items()}
        self._is_dynamic = definition.query.filter is not ListQuery[Any].filter or any(
            field.default_factory for field in fields.values()
        )
        self._page_cache: dict[object, _PageRequest] = {}

    @override
    async def respond(self, request: FastRequest[M]) -> Response | None:
        dialect = request.database.reader.dialect
        if (params := self._parse_query(request.query)) is None:
            return None
        if (page := self._page_request(request.statement, params, dialect)) is None:
            return None
        if (select_page := self._page_statement(page, dialect)) is None:
            return None
        build = partial(self._build_response, request, page, select_page)
        scope, compiled = request.http_request.scope, select_page.statement
        url = (id(request.route), scope.get("root_path"), scope["path"])
        name = (*url, request.query, compiled, tuple(select_page.values.items()))
        is_shared = request.database.coalesce and compiled.shareable
        if not is_shared or not is_hashable(name):
            return await build()
        response = await request.database.shared(name, build)
        return response and Response(response.body, headers=response.headers)

    async def _build_response(
        self, request: FastRequest[M], page: _PageRequest, select_page: BoundStatement
    ) -> Response | None:
        source, window = page
        compiled = select_page.statement
        records = await fetch_rows(request.database, compiled, select_page.values)
        if records is None:
            return None
        rows = [compiled.decode_row(record) for record in records]
        items = window.items(rows)
        content = [self.to_dict(item) for item in items]
        if response := self.response(request.route, content, {"Vary": "Accept"}):
            ends = [self._as_namespace(row) for row in (items[0], items[-1])] if items else []
            links = source.page(window, ends, more=len(rows) > window.params.limit)
            set_pagination_headers(request.http_request, response, links)
        return response

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        dialect = database.reader.dialect
        if (params := self._parse_query(b"")) and (
            page := self._page_request(statement, params, dialect)
        ):
            yield self._page_statement(page, dialect)

    def _parse_query(self, query: bytes) -> ListQuery[M] | None:
        """Parse the query string. None if it is rejected, or has unsupported parameters."""
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        values = dict(pairs)
        if len(values) < len(pairs) or not values.keys() <= self._parameters:
            return None
        if not all(values.values()):
            return None
        try:
            params = self.definition.query.model_validate(values)
        except ValidationError:
            return None
        return None if params.count or getattr(params, "deleted", None) else params

    def _page_request(
        self, statement: Select[M], params: ListQuery[M], dialect: Dialect
    ) -> _PageRequest | None:
        if (
            self._is_dynamic
            or params.model_fields_set - {"limit"}
            or statement is not base_statement(self.definition.model)
        ):
            return self._build_page_request(statement, params, dialect)
        name = (dialect.name, params.limit, *params.sort_keys())
        if name not in self._page_cache and (
            page := self._build_page_request(statement, params, dialect)
        ):
            self._page_cache[name] = page
        return self._page_cache.get(name)

    def _build_page_request(
        self, statement: Select[M], params: ListQuery[M], dialect: Dialect
    ) -> _PageRequest | None:
        try:
            source = page_source(statement, params, dialect)
            window = source.stretch(params)
        except (Problem, TypeError):  # the ORM path raises it again
            return None
        sort_columns = {key.attribute.key for key in source.by.keys}
        return (source, window) if sort_columns <= {*self._column_names} else None

    def _page_statement(self, page: _PageRequest, dialect: Dialect) -> BoundStatement | None:
        source, window = page
        statement = window.rows
        build = partial(self.select_columns, statement)
        return self.cached_statement(dialect, statement, "page", build, source=source.rows)

    def _as_namespace(self, row: Sequence[Any]) -> Any:
        """Return *row* as an object with attributes, from which cursors are built."""
        return SimpleNamespace(**dict(zip(self._columns, row, strict=True)))
