"""Reading rows: one or the lack of it, and pages in an order that is always total."""

import hashlib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Dialect, Select, bindparam, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.util import LRUCache

from brickwork.limits import current_limits
from brickwork.models.soft_delete import DeletedFilter, soft_delete_conditions
from brickwork.problems import NotFound
from brickwork.query.counting import count_rows, estimate_rows
from brickwork.query.cursors import Cursor, CursorCipher, cursor_cipher, invalid_cursor
from brickwork.query.keys import parse_key, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.ordering import Order, make_order
from brickwork.query.statement_cache import cached_per_statement

M = TypeVar("M", bound=DeclarativeBase)
T = TypeVar("T")

_KEY_PARAM: Final = "brickwork_key"
"""The parameter of a statement that has the key of its row."""

_FINGERPRINTS: Final = LRUCache[Any, str](1000)
"""What statements read that differ in nothing but values, for each dialect by name."""

_MAX_PAGE_STATEMENTS: Final = 100
"""How many statements are kept for pages of one list, in other orders and of other lengths."""

_STREAM_CHUNK: Final = 50
"""How many rows of a stream are read at a time."""

_DEFAULT_FILTER: Final = ListQuery[Any].filter
"""What makes a filter of nothing but the parameters of a list."""

PageLink = Mapping[str, str]
"""The query parameters by which another page of a list is found."""


@dataclass(frozen=True)
class Page(Generic[M]):
    """Some rows of a list, and where its other pages are; None where there is none.

    `total` is the number of rows on all pages, if it was asked for.
    """

    items: Sequence[M]
    next: PageLink | None = None
    prev: PageLink | None = None
    last: PageLink | None = None
    total: int | None = None


@cache
def base_statement(model: type[M], shown: DeletedFilter = "exclude") -> Select[M]:
    """Return the rows of *model* that are shown, always as the same statement."""
    return select(model).where(*soft_delete_conditions(model, shown))


async def get_or_404(session: AsyncSession, rows: type[M] | Select[M], key: object) -> M:
    """Return the one of *rows* that has the primary key *key*; locked, where *session* writes.

    *rows* is a model, of which deleted rows are not there, or a select of one that narrows it.
    *key* is a value of the key's type, or its text as it stands in a URL. Raises `NotFound`, and
    asks the database only for a key that could name a row. The lock is held until the transaction
    ends, so that of requests that read a row and then change it none undoes what another did.
    """
    query = base_statement(rows) if isinstance(rows, type) else rows
    model = selected_model(query)
    if (value := parse_key(model, key)) is not None:
        found = _lock_if_writing(session, where_key(query))
        row: M | None = await session.scalar(found, {_KEY_PARAM: value})
        if row is not None:
            return row
    raise NotFound(f"{model.__name__} not found")


async def get_all(session: AsyncSession, rows: Select[M], keys: Sequence[object]) -> list[M | None]:
    """Return for each of *keys* the one of *rows* that has it, or None, locked where needed.

    They are locked in the order of their keys, so that no two requests wait for each other.
    """
    model = selected_model(rows)
    key = primary_key(model)
    values = [parse_key(model, each) for each in keys]
    wanted = rows.where(key.in_([each for each in values if each is not None])).order_by(key)
    found = {
        getattr(row, key.key): row
        for row in await session.scalars(_lock_if_writing(session, wanted))
    }
    return [found.get(value) for value in values]


@cached_per_statement
def where_key(rows: Select[M]) -> Select[M]:
    """Return the one of *rows* whose key the statement is given."""
    return rows.where(primary_key(selected_model(rows)) == bindparam(_KEY_PARAM))


def _lock_if_writing(session: AsyncSession, rows: Select[M]) -> Select[M]:
    return for_update(rows) if session.info.get("writes") else rows


@cached_per_statement
def for_update(rows: Select[M]) -> Select[M]:
    """Return *rows*, locked until the transaction ends."""
    return rows.with_for_update(of=selected_model(rows), key_share=True)


async def paginate(session: AsyncSession, rows: Select[M], params: ListQuery[M]) -> Page[M]:
    """Return the page of *rows* that *params* asks for: filtered, sorted, counted on demand.

    Raises `InvalidCursor` for a cursor of another list, filter, sort or scope, and `TypeError` for
    rows that have an order already, since a cursor has to know it.
    """
    dialect = session.get_bind().dialect
    listing = page_source(rows, params, dialect)
    stretch = listing.stretch(params)
    total: int | None = None
    if params.count:
        estimates = params.count == "estimated" and _is_whole_table(rows, params, dialect)
        total = await (estimate_rows if estimates else count_rows)(session, listing.rows)
    found = (await session.scalars(stretch.rows)).all()
    items = stretch.items(found)
    return listing.page(stretch, items, more=len(found) > params.limit, total=total)


async def stream(session: AsyncSession, rows: Select[M], params: ListQuery[M]) -> AsyncGenerator[M]:
    """Yield all of *rows* that *params* leaves, in its order; few of them are in memory at a time.

    Raises `TypeError` for rows that have an order already.
    """
    narrowed = params.filter(rows)
    statement = narrowed.order_by(*list_order(narrowed, params).clauses())
    found = await session.stream_scalars(statement.execution_options(yield_per=_STREAM_CHUNK))
    try:
        async for chunk in found.partitions():
            for row in chunk:
                yield row
    finally:
        await found.close()


def _is_whole_table(rows: Select[M], params: ListQuery[M], dialect: Dialect) -> bool:
    """Tell whether *rows* are all rows of a table, and only the client narrows them by *params*.

    An estimate is made from all rows. It would tell of those that a scope hides, as a row that is
    deleted, or another tenant's.
    """
    if type(params).filter is not _DEFAULT_FILTER or rows.get_execution_options():
        return False
    return statement_fingerprint(rows, dialect) == statement_fingerprint(
        select(selected_model(rows)), dialect
    )


@dataclass(frozen=True)
class PageWindow(Generic[M]):
    """The rows of one page, from where it begins, and one more if there is: it tells of a next."""

    rows: Select[M]
    begin: Cursor
    params: ListQuery[M]

    def items(self, found: Sequence[T]) -> Sequence[T]:
        """Return those of *found*, which were read, that are on the page, in its order."""
        return found[: self.params.limit][:: -1 if self.begin.back else 1]


@dataclass(frozen=True)
class PageSource(Generic[M]):
    """What pages of a list have in common: its rows, their order, what cursors are bound to."""

    rows: Select[M]
    by: Order
    binding: bytes

    def stretch(self, params: ListQuery[M]) -> PageWindow[M]:
        """Return where the page is that *params* asks for; raises `InvalidCursor`."""
        begin = Cursor(None) if params.cursor is None else self._bound().read(params.cursor)
        by = self.by.reversed() if begin.back else self.by
        return PageWindow(_page_statement(self.rows, by, begin, params), begin, params)

    def page(
        self, stretch: PageWindow[M], items: Sequence[M], *, more: bool, total: int | None = None
    ) -> Page[M]:
        """Return the page of *items*; of *more* rows in its direction, it tells the place."""
        return _build_page(
            self._bound(), stretch.params, stretch.begin, items, more=more, total=total
        )

    def _bound(self) -> "_PageLinks":
        """Return what writes and reads its cursors in the application that answers."""
        return _PageLinks(cursor_cipher.get(), self.binding, self.by)


def page_source(rows: Select[M], params: ListQuery[M], dialect: Dialect) -> PageSource[M]:
    """Return the list of *rows* that *params* asks for."""
    narrowed = params.filter(rows)
    scope = (
        rows if type(params).filter is _DEFAULT_FILTER else narrowed
    )  # which then *params* tells the rest of
    return PageSource(narrowed, list_order(narrowed, params), _binding(scope, params, dialect))


def list_order(rows: Select[M], params: ListQuery[M]) -> Order:
    """Return the order that *params* asks for. Raises `TypeError` if *rows* have an order."""
    # SQLAlchemy shows them nowhere else.
    own = (*rows._order_by_clauses, rows._limit_clause, rows._offset_clause)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if any(each is not None for each in own):
        raise TypeError(
            "These rows have an order or a limit, and a list gets its own: leave out order_by() "
            "and limit(), and override ListQuery.sort_keys for another default."
        )
    return make_order(selected_model(rows), params.sort_keys())


def _select_keys(rows: Select[M]) -> Select[Any]:
    return rows.with_only_columns(primary_key(selected_model(rows)), maintain_column_froms=True)


def _page_statement(rows: Select[M], by: Order, begin: Cursor, params: ListQuery[M]) -> Select[M]:
    """Return the statement for one page, and for one row more: it tells whether there is a next."""
    first = params.limit + 1
    if begin.values is not None:
        rows = _rows_after(rows, by, begin.values, first)
    statement = _ordered_statement(rows, by, first)
    return statement.offset(params.offset) if params.offset else statement


def _rows_after(rows: Select[M], by: Order, values: Sequence[Any], first: int) -> Select[M]:
    """Return those of *rows* that come after *values*, among them the *first* in this order."""
    after = by.after(values)
    if len(after) == 1:
        return rows.where(*after)
    # A database does not follow an index through OR, and does through each of its sides.
    sides = [
        _ordered_statement(_select_keys(rows).where(each), by, first).subquery() for each in after
    ]
    key = primary_key(selected_model(rows))
    return rows.where(key.in_(union_all(*(select(*side.c) for side in sides))))


def _ordered_statement(rows: Select[M], by: Order, first: int) -> Select[M]:
    known = _page_statements(rows)
    if (statement := known.get((by, first))) is None:
        statement = known[by, first] = rows.order_by(*by.clauses()).limit(first)
    return statement


@cached_per_statement
def _page_statements(_: Select[Any]) -> LRUCache[tuple[Order, int], Select[Any]]:
    """Return the statements for as many of the rows, in the order of each."""
    return LRUCache(_MAX_PAGE_STATEMENTS)


@dataclass(frozen=True)
class _PageLinks:
    """Writes and reads the cursors of one list."""

    signer: CursorCipher
    binding: bytes
    by: Order

    def read(self, text: str) -> Cursor:
        cursor = self.signer.read(text, self.binding)
        try:
            values = None if cursor.values is None else self.by.read(cursor.values)
        except ValueError:  # the type of a column has changed since
            raise invalid_cursor() from None
        return Cursor(values, back=cursor.back)

    def after(self, row: object) -> PageLink:
        return self._place(Cursor(self.by.values(row)))

    def before(self, row: object) -> PageLink:
        return self._place(Cursor(self.by.values(row), back=True))

    def end(self) -> PageLink:
        return self._place(Cursor(None, back=True))

    def _place(self, cursor: Cursor) -> PageLink:
        return {"cursor": self.signer.write(cursor, self.binding)}


def _build_page(  # noqa: PLR0913 — what a page is made of
    bound: _PageLinks,
    params: ListQuery[M],
    begin: Cursor,
    items: Sequence[M],
    *,
    more: bool,
    total: int | None,
) -> Page[M]:
    """Return the page of *items*, with the places of others."""
    following, previous = more, params.cursor is not None
    if begin.back:
        following, previous = begin.values is not None, more
    last = bound.end() if total is not None and params.count == "exact" else None
    after: PageLink = bound.after(items[-1]) if items else {}
    before: PageLink = bound.before(items[0]) if items else bound.end()
    if "offset" in params.model_fields_set:
        previous, ceiling = params.offset > 0, current_limits.get().offset
        before = {"offset": str(max(0, params.offset - params.limit))}
        if params.offset + params.limit <= ceiling:
            after = {"offset": str(params.offset + params.limit)}
        tail = ((total or 1) - 1) // params.limit * params.limit
        last = {"offset": str(tail)} if last and tail <= ceiling else last
    return Page(
        items,
        next=after if following else None,
        prev=before if previous else None,
        last=last,
        total=total,
    )


def _binding(rows: Select[M], params: ListQuery[M], dialect: Dialect) -> bytes:
    """Return a digest of the filter, the sort and the scope that a cursor is good for.

    An instant in the scope does not count: it may be the present one.
    """
    asked = params.model_dump(exclude={"limit", "offset", "cursor", "count"}, exclude_none=True)
    document = repr((statement_fingerprint(rows, dialect), asked))
    return hashlib.sha256(document.encode(errors="surrogatepass")).digest()


def statement_fingerprint(rows: Select[Any], dialect: Dialect) -> str:
    """Return a text that differs where *rows* are narrowed differently, and not by an instant."""
    # SQLAlchemy finds what is compiled by this key, and shows it nowhere else.
    key = rows._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if key is None:
        compiled = _select_keys(rows).compile(dialect=dialect)
        return _fingerprint_text(str(compiled), compiled.params.values())
    text = _FINGERPRINTS.get((dialect.name, key.key))
    if text is None:
        text = _FINGERPRINTS[dialect.name, key.key] = str(
            _select_keys(rows).compile(dialect=dialect)
        )
    given = [value for _, value in sorted((key.params or {}).items())]
    return _fingerprint_text(text, [*(each.effective_value for each in key.bindparams), *given])


def _fingerprint_text(text: str, values: Iterable[object]) -> str:
    kept = {place: each for place, each in enumerate(values) if not isinstance(each, datetime)}
    return repr((text, kept))


@cached_per_statement
def selected_model(rows: Select[M]) -> type[M]:
    """Return the model that *rows* selects; raises `TypeError` for rows of anything else."""
    (first, *others) = rows.column_descriptions
    if others or first["expr"] is not first["entity"] or first["aliased"]:
        selected = ", ".join(str(each["name"]) for each in rows.column_descriptions)
        raise TypeError(f"query() selects {selected}: select the model alone, and no alias of it.")
    model: type[M] = first["entity"]
    return model
