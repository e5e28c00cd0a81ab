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

from brickwork.limits import current
from brickwork.models.soft_delete import Shown, visible
from brickwork.problems import NotFound
from brickwork.query.counting import count, estimate
from brickwork.query.cursors import Cursor, Signer, invalid, signer
from brickwork.query.keys import parse_key, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.ordering import Order, order
from brickwork.query.statement_cache import remembered

M = TypeVar("M", bound=DeclarativeBase)
T = TypeVar("T")

_KEY: Final = "brickwork_key"
"""The parameter of a statement that has the key of its row."""

_SCOPES: Final = LRUCache[Any, str](1000)
"""What statements read that differ in nothing but values, for each dialect by name."""

_PAGES: Final = 100
"""How many statements are kept for pages of one list, in other orders and of other lengths."""

_CHUNK: Final = 50
"""How many rows of a stream are read at a time."""

_NARROW: Final = ListQuery[Any].narrow
"""What makes a filter of nothing but the parameters of a list."""

Place = Mapping[str, str]
"""The query parameters by which another page of a list is found."""


@dataclass(frozen=True)
class Page(Generic[M]):
    """Some rows of a list, and where its other pages are; None where there is none.

    `total` is the number of rows on all pages, if it was asked for.
    """

    items: Sequence[M]
    next: Place | None = None
    prev: Place | None = None
    last: Place | None = None
    total: int | None = None


@cache
def every(model: type[M], shown: Shown = "live") -> Select[M]:
    """Return the rows of *model* that are shown, always as the same statement."""
    return select(model).where(*visible(model, shown))


async def get_or_404(session: AsyncSession, rows: type[M] | Select[M], key: object) -> M:
    """Return the one of *rows* that has the primary key *key*; locked, where *session* writes.

    *rows* is a model, of which deleted rows are not there, or a select of one that narrows it.
    *key* is a value of the key's type, or its text as it stands in a URL. Raises `NotFound`, and
    asks the database only for a key that could name a row. The lock is held until the transaction
    ends, so that of requests that read a row and then change it none undoes what another did.
    """
    query = every(rows) if isinstance(rows, type) else rows
    model = entity(query)
    if (value := parse_key(model, key)) is not None:
        found = _locked(session, of_key(query))
        row: M | None = await session.scalar(found, {_KEY: value})
        if row is not None:
            return row
    raise NotFound(f"{model.__name__} not found")


async def get_all(session: AsyncSession, rows: Select[M], keys: Sequence[object]) -> list[M | None]:
    """Return for each of *keys* the one of *rows* that has it, or None, locked where needed.

    They are locked in the order of their keys, so that no two requests wait for each other.
    """
    model = entity(rows)
    key = primary_key(model)
    values = [parse_key(model, each) for each in keys]
    wanted = rows.where(key.in_([each for each in values if each is not None])).order_by(key)
    found = {getattr(row, key.key): row for row in await session.scalars(_locked(session, wanted))}
    return [found.get(value) for value in values]


@remembered
def of_key(rows: Select[M]) -> Select[M]:
    """Return the one of *rows* whose key the statement is given."""
    return rows.where(primary_key(entity(rows)) == bindparam(_KEY))


def _locked(session: AsyncSession, rows: Select[M]) -> Select[M]:
    return to_lock(rows) if session.info.get("writes") else rows


@remembered
def to_lock(rows: Select[M]) -> Select[M]:
    """Return *rows*, locked until the transaction ends."""
    return rows.with_for_update(of=entity(rows), key_share=True)


async def paginate(session: AsyncSession, rows: Select[M], at: ListQuery[M]) -> Page[M]:
    """Return the page of *rows* that *at* asks for: filtered, sorted, and counted if it says so.

    Raises `InvalidCursor` for a cursor of another list, filter, sort or scope, and `TypeError` for
    rows that have an order already, since a cursor has to know it.
    """
    dialect = session.get_bind().dialect
    listing = listed(rows, at, dialect)
    stretch = listing.stretch(at)
    total: int | None = None
    if at.count:
        estimates = at.count == "estimated" and _are_all(rows, at, dialect)
        total = await (estimate if estimates else count)(session, listing.rows)
    found = (await session.scalars(stretch.rows)).all()
    items = stretch.items(found)
    return listing.page(stretch, items, more=len(found) > at.limit, total=total)


async def stream(session: AsyncSession, rows: Select[M], at: ListQuery[M]) -> AsyncGenerator[M]:
    """Yield all of *rows* that *at* leaves, in its order; few of them are in memory at a time.

    Raises `TypeError` for rows that have an order already.
    """
    narrowed = at.narrow(rows)
    statement = narrowed.order_by(*ordered(narrowed, at).clauses())
    found = await session.stream_scalars(statement.execution_options(yield_per=_CHUNK))
    try:
        async for chunk in found.partitions():
            for row in chunk:
                yield row
    finally:
        await found.close()


def _are_all(rows: Select[M], at: ListQuery[M], dialect: Dialect) -> bool:
    """Tell whether *rows* are all rows of a table, and only the client narrows them by *at*.

    An estimate is made from all rows. It would tell of those that a scope hides, as a row that is
    deleted, or another tenant's.
    """
    if type(at).narrow is not _NARROW or rows.get_execution_options():
        return False
    return scope_of(rows, dialect) == scope_of(select(entity(rows)), dialect)


@dataclass(frozen=True)
class Stretch(Generic[M]):
    """The rows of one page, from where it begins, and one more if there is: it tells of a next."""

    rows: Select[M]
    begin: Cursor
    at: ListQuery[M]

    def items(self, found: Sequence[T]) -> Sequence[T]:
        """Return those of *found*, which were read, that are on the page, in its order."""
        return found[: self.at.limit][:: -1 if self.begin.back else 1]


@dataclass(frozen=True)
class Listing(Generic[M]):
    """What pages of a list have in common: its rows, their order, what cursors are bound to."""

    rows: Select[M]
    by: Order
    binding: bytes

    def stretch(self, at: ListQuery[M]) -> Stretch[M]:
        """Return where the page is that *at* asks for; raises `InvalidCursor`."""
        begin = Cursor(None) if at.cursor is None else self._bound().read(at.cursor)
        by = self.by.reversed() if begin.back else self.by
        return Stretch(_reading(self.rows, by, begin, at), begin, at)

    def page(
        self, stretch: Stretch[M], items: Sequence[M], *, more: bool, total: int | None = None
    ) -> Page[M]:
        """Return the page of *items*; of *more* rows in its direction, it tells the place."""
        return _page(self._bound(), stretch.at, stretch.begin, items, more=more, total=total)

    def _bound(self) -> "_Bound":
        """Return what writes and reads its cursors in the application that answers."""
        return _Bound(signer.get(), self.binding, self.by)


def listed(rows: Select[M], at: ListQuery[M], dialect: Dialect) -> Listing[M]:
    """Return the list of *rows* that *at* asks for."""
    narrowed = at.narrow(rows)
    scope = rows if type(at).narrow is _NARROW else narrowed  # which then *at* tells the rest of
    return Listing(narrowed, ordered(narrowed, at), _binding(scope, at, dialect))


def ordered(rows: Select[M], at: ListQuery[M]) -> Order:
    """Return the order that *at* wants of *rows*; raises `TypeError` if they have one already."""
    # SQLAlchemy shows them nowhere else.
    own = (*rows._order_by_clauses, rows._limit_clause, rows._offset_clause)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if any(each is not None for each in own):
        raise TypeError(
            "These rows have an order or a limit, and a list gets its own: leave out order_by() "
            "and limit(), and override ListQuery.sort_keys for another default."
        )
    return order(entity(rows), at.sort_keys())


def _keys(rows: Select[M]) -> Select[Any]:
    return rows.with_only_columns(primary_key(entity(rows)), maintain_column_froms=True)


def _reading(rows: Select[M], by: Order, begin: Cursor, at: ListQuery[M]) -> Select[M]:
    """Return the statement for one page, and for one row more: it tells whether there is a next."""
    first = at.limit + 1
    if begin.values is not None:
        rows = _behind(rows, by, begin.values, first)
    statement = _in_order(rows, by, first)
    return statement.offset(at.offset) if at.offset else statement


def _behind(rows: Select[M], by: Order, values: Sequence[Any], first: int) -> Select[M]:
    """Return those of *rows* that come after *values*, among them the *first* in this order."""
    after = by.after(values)
    if len(after) == 1:
        return rows.where(*after)
    # A database does not follow an index through OR, and does through each of its sides.
    sides = [_in_order(_keys(rows).where(each), by, first).subquery() for each in after]
    key = primary_key(entity(rows))
    return rows.where(key.in_(union_all(*(select(*side.c) for side in sides))))


def _in_order(rows: Select[M], by: Order, first: int) -> Select[M]:
    known = _pages(rows)
    if (statement := known.get((by, first))) is None:
        statement = known[by, first] = rows.order_by(*by.clauses()).limit(first)
    return statement


@remembered
def _pages(_: Select[Any]) -> LRUCache[tuple[Order, int], Select[Any]]:
    """Return the statements for as many of the rows, in the order of each."""
    return LRUCache(_PAGES)


@dataclass(frozen=True)
class _Bound:
    """Writes and reads the cursors of one list."""

    signer: Signer
    binding: bytes
    by: Order

    def read(self, text: str) -> Cursor:
        cursor = self.signer.read(text, self.binding)
        try:
            values = None if cursor.values is None else self.by.read(cursor.values)
        except ValueError:  # the type of a column has changed since
            raise invalid() from None
        return Cursor(values, back=cursor.back)

    def after(self, row: object) -> Place:
        return self._place(Cursor(self.by.values(row)))

    def before(self, row: object) -> Place:
        return self._place(Cursor(self.by.values(row), back=True))

    def end(self) -> Place:
        return self._place(Cursor(None, back=True))

    def _place(self, cursor: Cursor) -> Place:
        return {"cursor": self.signer.write(cursor, self.binding)}


def _page(  # noqa: PLR0913 — what a page is made of
    bound: _Bound,
    at: ListQuery[M],
    begin: Cursor,
    items: Sequence[M],
    *,
    more: bool,
    total: int | None,
) -> Page[M]:
    """Return the page of *items*, with the places of others."""
    following, previous = more, at.cursor is not None
    if begin.back:
        following, previous = begin.values is not None, more
    last = bound.end() if total is not None and at.count == "exact" else None
    after: Place = bound.after(items[-1]) if items else {}
    before: Place = bound.before(items[0]) if items else bound.end()
    if "offset" in at.model_fields_set:
        previous, ceiling = at.offset > 0, current.get().offset
        before = {"offset": str(max(0, at.offset - at.limit))}
        if at.offset + at.limit <= ceiling:
            after = {"offset": str(at.offset + at.limit)}
        tail = ((total or 1) - 1) // at.limit * at.limit
        last = {"offset": str(tail)} if last and tail <= ceiling else last
    return Page(
        items,
        next=after if following else None,
        prev=before if previous else None,
        last=last,
        total=total,
    )


def _binding(rows: Select[M], at: ListQuery[M], dialect: Dialect) -> bytes:
    """Return a digest of the filter, the sort and the scope that a cursor is good for.

    An instant in the scope does not count: it may be the present one.
    """
    asked = at.model_dump(exclude={"limit", "offset", "cursor", "count"}, exclude_none=True)
    document = repr((scope_of(rows, dialect), asked))
    return hashlib.sha256(document.encode(errors="surrogatepass")).digest()


def scope_of(rows: Select[Any], dialect: Dialect) -> str:
    """Return a text that differs where *rows* are narrowed differently, and not by an instant."""
    # SQLAlchemy finds what is compiled by this key, and shows it nowhere else.
    key = rows._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if key is None:
        compiled = _keys(rows).compile(dialect=dialect)
        return _told(str(compiled), compiled.params.values())
    text = _SCOPES.get((dialect.name, key.key))
    if text is None:
        text = _SCOPES[dialect.name, key.key] = str(_keys(rows).compile(dialect=dialect))
    given = [value for _, value in sorted((key.params or {}).items())]
    return _told(text, [*(each.effective_value for each in key.bindparams), *given])


def _told(text: str, values: Iterable[object]) -> str:
    kept = {place: each for place, each in enumerate(values) if not isinstance(each, datetime)}
    return repr((text, kept))


@remembered
def entity(rows: Select[M]) -> type[M]:
    """Return the model that *rows* selects; raises `TypeError` for rows of anything else."""
    (first, *others) = rows.column_descriptions
    if others or first["expr"] is not first["entity"] or first["aliased"]:
        selected = ", ".join(str(each["name"]) for each in rows.column_descriptions)
        raise TypeError(f"query() selects {selected}: select the model alone, and no alias of it.")
    model: type[M] = first["entity"]
    return model
