"""Reading rows: one or the lack of it, and pages in an order that is always total."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.keys import parse_key, primary_key
from brickwork.problems import NotFound

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class Page(Generic[M]):
    """Some rows of a list: where in it they are, and whether there are more behind them."""

    items: Sequence[M]
    limit: int
    offset: int
    has_next: bool


async def get_or_404(session: AsyncSession, rows: type[M] | Select[M], key: object) -> M:
    """Return the one of *rows* that has the primary key *key*; locked, where *session* writes.

    *rows* is a model, or a select of one that narrows it. *key* is a value of the key's type,
    or its text as it stands in a URL. Raises `NotFound`, and asks the database only for a key
    that could name a row. The lock is held until the transaction ends, so that of requests that
    read a row and then change it none undoes what another did.
    """
    query = select(rows) if isinstance(rows, type) else rows
    model = entity(query)
    if (value := parse_key(model, key)) is not None:
        query = query.where(primary_key(model) == value)
        if session.info.get("writes"):
            query = query.with_for_update(of=model, key_share=True)
        if (row := await session.scalar(query)) is not None:
            return row
    raise NotFound(f"{model.__name__} not found")


async def paginate(
    session: AsyncSession, rows: Select[M], *, limit: int = 20, offset: int = 0
) -> Page[M]:
    """Return *limit* of *rows* behind the first *offset*, in their order and then by key."""
    ordered = rows.order_by(primary_key(entity(rows)))
    # One more than asked for tells whether there is a next page, without counting.
    found = (await session.scalars(ordered.limit(limit + 1).offset(offset))).all()
    return Page(found[:limit], limit, offset, has_next=len(found) > limit)


def entity(rows: Select[M]) -> type[M]:
    """Return the model that *rows* selects."""
    model: type[M] = rows.column_descriptions[0]["entity"]
    return model
