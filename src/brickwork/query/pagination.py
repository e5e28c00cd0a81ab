"""Pages of a list."""

import hashlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Dialect, Select, inspect, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Load, Mapper
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.util import LRUCache

from brickwork.limits import current_limits
from brickwork.models.caching import cached_per_model
from brickwork.query.counting import count_rows, estimate_rows
from brickwork.query.cursors import Cursor, CursorCipher, cursor_cipher, invalid_cursor
from brickwork.query.keys import primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import select_keys, selected_model, statement_fingerprint
from brickwork.query.ordering import Order, make_order
from brickwork.query.statement_cache import cached_per_statement
from brickwork.sqlalchemy_internals import has_order_or_limit

M = TypeVar("M")


T = TypeVar("T")

_MAX_PAGE_STATEMENTS: Final = 100
"""The number of cached page statements of one list, by order and page size."""

_STREAM_CHUNK: Final = 50
"""The number of rows that a stream reads at a time."""

_JOINED: Final = {"joined", False}
_WHOLE_RESULT: Final = {*_JOINED, "subquery"}
"""Eager loaders of lists that need all rows of the result."""

_DEFAULT_FILTER: Final = ListQuery[Any].filter
"""The filter that depends on nothing but the parameters of a list."""

PageLink = Mapping[str, str]
"""The query parameters of another page of a list."""


@dataclass(frozen=True)
class Page(Generic[M]):
    """The rows of one page of a list, and links to other pages. None if there is no such page.

    `total` is the number of rows on all pages. None if the request did not ask for it.
    """

    items: Sequence[M]
    next: PageLink | None = None
    prev: PageLink | None = None
    last: PageLink | None = None
    total: int | None = None


async def paginate(session: AsyncSession, statement: Select[M], params: ListQuery[M]) -> Page[M]:
    """Return the page of *statement* for *params*: filtered, sorted, counted on demand.

    Raises:
        InvalidCursor: The cursor is of another list, filter, sort or scope.
        TypeError: *statement* already has an order or a limit.

    """
    dialect = session.get_bind().dialect
    source = page_source(statement, params, dialect)
    window = source.window(params)
    total: int | None = None
    if params.count:
        can_estimate = params.count == "estimated" and _is_whole_table(statement, params, dialect)
        total = await (estimate_rows if can_estimate else count_rows)(session, source.statement)
    if columns := source.order.selected_columns():
        records = (await session.execute(window.statement.add_columns(*columns))).unique().all()
        found: Sequence[M] = [record[0] for record in records]
        places: Sequence[Any] = [
            source.order.with_selected(row, values) for row, *values in records
        ]
    else:
        places = found = (await session.scalars(window.statement)).unique().all()
    page = source.page(window, window.items(places), more=len(found) > params.limit, total=total)
    return replace(page, items=window.items(found))


async def stream(
    session: AsyncSession, statement: Select[M], params: ListQuery[M]
) -> AsyncGenerator[M]:
    """Yield all rows of *statement* that *params* selects, a few at a time.

    Raises `TypeError` if *statement* already has an order or a limit.
    """
    filtered = params.filter(statement)
    ordered = filtered.order_by(*list_order(filtered, params).clauses())
    loaded = ordered.options(*_unjoined_lists(selected_model(statement)))
    result = await session.stream_scalars(loaded.execution_options(yield_per=_STREAM_CHUNK))
    try:
        async for chunk in result.partitions():
            for row in chunk:
                yield row
    finally:
        await result.close()


@cached_per_model
def _unjoined_lists(model: type[object]) -> Sequence[ORMOption]:
    """Return options that load the joined lists of *model* by statements of their own.

    A row with a joined list is several rows of the result, and a chunk may end between them.
    """
    return [*_list_options(inspect(model), Load(model), ())]


def _list_options(
    mapper: Mapper[Any], path: Load, outer: tuple[Mapper[Any], ...]
) -> Iterator[ORMOption]:
    """Yield the options of rows of *mapper*, to which *path* leads through rows of *outer*."""
    for relationship in mapper.relationships:
        attribute = relationship.class_attribute
        if relationship.uselist and relationship.lazy in _WHOLE_RESULT:
            yield path.selectinload(attribute)
        elif relationship.lazy in _JOINED and mapper not in outer:
            inner = path.defaultload(attribute)
            yield from _list_options(relationship.mapper, inner, (*outer, mapper))


def _is_whole_table(statement: Select[M], params: ListQuery[M], dialect: Dialect) -> bool:
    """Return whether *statement* selects a whole table, which only *params* filter.

    An estimate is made from all rows. With a scope, it would reveal hidden rows: deleted rows, or
    rows of another tenant.
    """
    if type(params).filter is not _DEFAULT_FILTER or statement.get_execution_options():
        return False
    return statement_fingerprint(statement, dialect) == statement_fingerprint(
        select(selected_model(statement)), dialect
    )


@dataclass(frozen=True)
class PageWindow(Generic[M]):
    """The statement of one page, with one more row to detect a next page."""

    statement: Select[M]
    begin: Cursor
    params: ListQuery[M]

    def items(self, found: Sequence[T]) -> Sequence[T]:
        """Return the rows of the page from the *found* rows, in its order."""
        return found[: self.params.limit][:: -1 if self.begin.backwards else 1]


@dataclass(frozen=True)
class PageSource(Generic[M]):
    """A list: its statement, its order, and the binding of its cursors."""

    statement: Select[M]
    order: Order
    binding: bytes

    def window(self, params: ListQuery[M]) -> PageWindow[M]:
        """Return the page window for *params*. Raises `InvalidCursor`."""
        begin = Cursor(None) if params.cursor is None else self._links().decode(params.cursor)
        order = self.order.reversed() if begin.backwards else self.order
        return PageWindow(_page_statement(self.statement, order, begin, params), begin, params)

    def page(
        self, window: PageWindow[M], items: Sequence[Any], *, more: bool, total: int | None = None
    ) -> Page[Any]:
        """Return the page of *items*, which have the sort values of its rows.

        *more* says whether rows follow in its direction.
        """
        return _build_page(
            self._links(), window.params, window.begin, items, more=more, total=total
        )

    def _links(self) -> "_PageLinks":
        """Return the page links with the cipher of the current application."""
        return _PageLinks(cursor_cipher.get(), self.binding, self.order)


def page_source(statement: Select[M], params: ListQuery[M], dialect: Dialect) -> PageSource[M]:
    """Return the list of *statement* for *params*."""
    filtered = params.filter(statement)
    scope = (
        statement if type(params).filter is _DEFAULT_FILTER else filtered
    )  # the binding has the rest from *params*
    return PageSource(filtered, list_order(filtered, params), _binding(scope, params, dialect))


def list_order(statement: Select[M], params: ListQuery[M]) -> Order:
    """Return the order of *params*. Raises `TypeError` if *statement* has an order or a limit."""
    if has_order_or_limit(statement):
        raise TypeError(
            "The statement has an order or a limit, but the list adds its own: remove order_by() "
            "and limit(), and override ListQuery.sort_keys for another default."
        )
    return make_order(selected_model(statement), params.sort_keys())


def _page_statement(
    statement: Select[M], order: Order, begin: Cursor, params: ListQuery[M]
) -> Select[M]:
    """Return the statement for one page and one more row, to detect a next page."""
    first = params.limit + 1
    if begin.values is not None:
        statement = _rows_after(statement, order, begin.values, first)
    page = _ordered_statement(statement, order, first)
    return page.offset(params.offset) if params.offset else page


def _rows_after(statement: Select[M], order: Order, values: Sequence[Any], first: int) -> Select[M]:
    """Return a statement for rows after *values*, with at least the *first* in this order."""
    conditions = order.keyset_after(values)
    if len(conditions) == 1:
        return statement.where(*conditions)
    # A database uses no index for an OR, but one for each of its sides.
    sides = [
        _ordered_statement(select_keys(statement).where(condition), order, first).subquery()
        for condition in conditions
    ]
    key = primary_key(selected_model(statement))
    return statement.where(key.is_in(union_all(*(select(*side.c) for side in sides))))


def _ordered_statement(statement: Select[M], order: Order, first: int) -> Select[M]:
    cache = _page_statements(statement)
    if (ordered := cache.get((order, first))) is None:
        ordered = cache[order, first] = statement.order_by(*order.clauses()).limit(first)
    return ordered


@cached_per_statement
def _page_statements(_: Select[Any]) -> LRUCache[tuple[Order, int], Select[Any]]:
    """Return the cache of page statements, by order and number of rows."""
    return LRUCache(_MAX_PAGE_STATEMENTS)


@dataclass(frozen=True)
class _PageLinks:
    """The links to pages of one list, with its cursors."""

    cipher: CursorCipher
    binding: bytes
    order: Order

    def decode(self, text: str) -> Cursor:
        cursor = self.cipher.decode(text, self.binding)
        try:
            values = None if cursor.values is None else self.order.parse_values(cursor.values)
        except ValueError:  # the type of a column has changed
            raise invalid_cursor() from None
        return Cursor(values, backwards=cursor.backwards)

    def after(self, row: object) -> PageLink:
        return self._link(Cursor(self.order.values(row)))

    def before(self, row: object) -> PageLink:
        return self._link(Cursor(self.order.values(row), backwards=True))

    def end(self) -> PageLink:
        return self._link(Cursor(None, backwards=True))

    def _link(self, cursor: Cursor) -> PageLink:
        return {"cursor": self.cipher.encode(cursor, self.binding)}


def _build_page(  # noqa: PLR0913 — the parts of a page
    links: _PageLinks,
    params: ListQuery[M],
    begin: Cursor,
    items: Sequence[Any],
    *,
    more: bool,
    total: int | None,
) -> Page[Any]:
    """Return the page of *items*, with links to other pages."""
    has_next, has_prev = more, params.cursor is not None
    if begin.backwards:
        has_next, has_prev = begin.values is not None, more
    last = links.end() if total is not None and params.count == "exact" else None
    after: PageLink = links.after(items[-1]) if items else {}
    before: PageLink = links.before(items[0]) if items else links.end()
    if "offset" in params.model_fields_set:
        has_prev, max_offset = params.offset > 0, current_limits.get().offset
        before = {"offset": str(max(0, params.offset - params.limit))}
        if params.offset + params.limit <= max_offset:
            after = {"offset": str(params.offset + params.limit)}
        last_offset = ((total or 1) - 1) // params.limit * params.limit
        last = {"offset": str(last_offset)} if last and last_offset <= max_offset else last
    return Page(
        items,
        next=after if has_next else None,
        prev=before if has_prev else None,
        last=last,
        total=total,
    )


def _binding(statement: Select[M], params: ListQuery[M], dialect: Dialect) -> bytes:
    """Return a digest of the filter, the sort and the scope that a cursor is valid for.

    Datetimes in the scope do not count, since they may be the current time.
    """
    unbound = {"limit", "offset", "cursor", "count", *(["fields"] if params.__fieldsets__ else [])}
    sent = params.model_dump(exclude=unbound, exclude_none=True)
    document = repr((statement_fingerprint(statement, dialect), sent))
    return hashlib.sha256(document.encode(errors="surrogatepass")).digest()
