"""Statements that read one row, or a page of a list."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from sqlalchemy import ARRAY, Dialect, Select, any_, bindparam
from typing_extensions import override

from brickwork.database.coalescing import is_hashable
from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, KEYS_PARAM, fetch_by_key, fetch_rows
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.joins import to_one_joins
from brickwork.execution.plans import GetPlan, ListPlan
from brickwork.execution.results import PageResult
from brickwork.execution.statement import (
    Columns,
    StatementCall,
    StatementOperation,
    Statements,
    require_not_overridden,
    require_single_key,
    require_statement,
    selected_columns,
)
from brickwork.http.representation import Representation, Serializer
from brickwork.models.model import Versioned
from brickwork.problems import NotFound
from brickwork.query.keys import primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import base_statement
from brickwork.query.ordering import make_order
from brickwork.query.pagination import PageSource, PageWindow, page_source
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")
P = TypeVar("P")
R = TypeVar("R")

_PageRequest = tuple[PageSource[Any], PageWindow[Any]]


def get_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, GetPlan, Representation]:
    """Return the statement of `GET /articles/{id}`. Raises `NotEligible` if overridden."""
    require_not_overridden(definition.resource, "get")
    (key,) = require_single_key(definition.model).names
    return _Get(definition, selected_columns(definition, key))


def list_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, ListPlan[M], PageResult]:
    """Return the statement of `GET /articles`. Raises `NotEligible` if overridden."""
    require_not_overridden(definition.resource, "page")
    names = (*_sort_columns(definition), *primary_key(definition.model).names)
    return _List(definition, selected_columns(definition, *names))


def _sort_columns(definition: ResourceDefinition[M]) -> Sequence[str]:
    """Return the columns that clients may sort by, and those of the default order.

    An expression is not among them: a list in its order is declined.
    """
    names = [column.key for column in definition.query.__sorts__]
    with suppress(ValidationError):  # a parameter is required
        order = make_order(definition.model, definition.query().sort_keys())
        names += [key.attribute.key for key in order.keys]
    columns = mapped_columns(definition.model)
    return [name for name in names if name in columns]


class _Read(StatementOperation[M, P, R]):
    """An operation that reads with one statement."""

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


class _Get(_Read[M, GetPlan, Representation]):
    """Reads one row."""

    def __init__(self, definition: ResourceDefinition[M], columns: Columns) -> None:
        """Find the positions of the key and of the version."""
        super().__init__(definition, columns)
        names = self._column_names
        self._key = primary_key(definition.model)
        (self._key_name,) = self._key.names
        self._key_position = names.index(self._key_name)
        is_versioned = issubclass(definition.model, Versioned)
        self._version_position = names.index("version") if is_versioned else None

    @override
    async def execute(self, call: StatementCall[M], plan: GetPlan) -> Representation:
        key = self._key.parse(plan.key)
        dialect = call.database.reader.dialect
        one = require_statement(self._one_statement(call.statement, dialect))
        many = self._many_statement(call.statement, dialect)
        name = self._key_name
        row = key is not None and await fetch_by_key(call.database, one, many, key, name=name)
        if not row:
            raise NotFound(f"{self.definition.model.__name__} not found")
        if row.body is None:
            row.body = self._represent_row(call.serializer, row.row)
        shown: Representation = row.body
        return shown

    def _represent_row(self, serializer: Serializer, row: Sequence[Any]) -> Representation:
        body = self.dump(serializer, self.to_dict(row))
        version = None if self._version_position is None else row[self._version_position]
        return Representation(body, version, row[self._key_position])

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        dialect = database.reader.dialect
        yield self._one_statement(statement, dialect)
        if database.coalesce and (many := self._many_statement(statement, dialect)):
            yield many

    def _one_statement(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        return self.cached_statement(
            dialect, statement, "one", lambda: self._select_by_key(statement)
        )

    def _select_by_key(self, statement: Select[M]) -> Select[Any]:
        (key,) = self._key.attributes
        return self.select_columns(statement.where(key == bindparam(KEY_PARAM, type_=key.type)))

    def _many_statement(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the SELECT by a list of keys. None on SQLite, which takes no lists."""
        if dialect.name != "postgresql":  # the driver of SQLite batches statements instead
            return None
        return self.cached_statement(
            dialect, statement, "many", lambda: self._select_by_keys(statement)
        )

    def _select_by_keys(self, statement: Select[M]) -> Select[Any]:
        (key,) = self._key.attributes
        keys = bindparam(KEYS_PARAM, type_=ARRAY(key.type))
        return self.select_columns(statement.where(key == any_(keys)))


class _List(_Read[M, ListPlan[M], PageResult]):
    """Reads a page of a list without a count."""

    def __init__(self, definition: ResourceDefinition[M], columns: Columns) -> None:
        """Prepare the cache of pages whose only parameter is `limit`."""
        super().__init__(definition, columns)
        fields = definition.query.model_fields
        self._is_dynamic = definition.query.filter is not ListQuery[Any].filter or any(
            field.default_factory for field in fields.values()
        )
        self._page_cache: dict[object, _PageRequest] = {}

    @override
    async def execute(self, call: StatementCall[M], plan: ListPlan[M]) -> PageResult:
        params, dialect = plan.params, call.database.reader.dialect
        if params.count or plan.deleted or plan.export:
            raise NotEligible("the request asks for a count, an export or deleted rows")
        if plan.fieldset:
            raise NotEligible("the request asks for some fields")
        page = self._page_request(call.statement, params, dialect)
        select_page = require_statement(self._page_statement(page, dialect))
        build = partial(self._read_page, call, page, select_page)
        compiled = select_page.statement
        name = (*plan.url, compiled, tuple(select_page.values.items()))
        is_shared = call.database.coalesce and compiled.shareable
        if not is_shared or not is_hashable(name):
            return await build()
        return await call.database.shared(name, build)

    async def _read_page(
        self, call: StatementCall[M], page: _PageRequest, select_page: BoundStatement
    ) -> PageResult:
        source, window = page
        compiled = select_page.statement
        records = await fetch_rows(call.database, compiled, select_page.values)
        rows = [compiled.decode_row(record) for record in records]
        items = window.items(rows)
        body = self.dump(call.serializer, [self.to_dict(item) for item in items])
        ends = [self._as_namespace(row) for row in (items[0], items[-1])] if items else []
        links = source.page(window, ends, more=len(rows) > window.params.limit)
        return PageResult(Representation(body), links)

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        dialect = database.reader.dialect
        with suppress(ValidationError):  # a parameter is required
            page = self._page_request(statement, self.definition.query(), dialect)
            yield self._page_statement(page, dialect)

    def _page_request(
        self, statement: Select[M], params: ListQuery[M], dialect: Dialect
    ) -> _PageRequest:
        """Return the list and the page for *params*. Raises `NotEligible` if it cannot."""
        if (
            self._is_dynamic
            or params.model_fields_set - {"limit"}
            or statement is not base_statement(self.definition.model)
        ):
            return self._build_page_request(statement, params, dialect)
        name = (dialect.name, params.limit, *params.sort_keys())
        if name not in self._page_cache:
            self._page_cache[name] = self._build_page_request(statement, params, dialect)
        return self._page_cache[name]

    def _build_page_request(
        self, statement: Select[M], params: ListQuery[M], dialect: Dialect
    ) -> _PageRequest:
        try:
            source = page_source(statement, params, dialect)
        except TypeError as error:  # the ORM path raises it again
            raise NotEligible("the rows have an order of their own") from error
        window = source.window(params)
        sort_columns = {key.attribute.key for key in source.order.keys}
        if not sort_columns <= {*self._column_names}:
            raise NotEligible("the rows are sorted by an expression")
        return source, window

    def _page_statement(self, page: _PageRequest, dialect: Dialect) -> BoundStatement | None:
        source, window = page
        statement = window.statement
        build = partial(self.select_columns, statement)
        return self.cached_statement(dialect, statement, "page", build, source=source.statement)

    def _as_namespace(self, row: Sequence[Any]) -> Any:
        """Return *row* as an object with attributes, from which cursors are built."""
        return SimpleNamespace(**dict(zip(self._columns, row, strict=True)))
