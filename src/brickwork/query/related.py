"""Related rows of several rows, and their keys."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipProperty, aliased, join

from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.keys import primary_key


async def load_lists(
    session: AsyncSession, rows: Sequence[object], by: RelationshipProperty[Any]
) -> list[list[Any]]:
    """Return the visible rows to which the relationship *by* leads from each of *rows*.

    It is one statement. The rows of a one-to-many relationship are locked until the transaction
    ends, in the order of their keys. Lock *rows* before.
    """
    model: type[object] = by.parent.class_  # rows may be of its subclasses
    owner = aliased(model)  # since a relationship may refer to its own model
    owner_key = getattr(owner, primary_key(model).key)
    target: type[object] = by.mapper.class_
    keys = [(inspect(row).identity or (None,))[0] for row in rows]
    statement = (
        select(target, owner_key)
        .select_from(join(owner, target, getattr(owner, by.key)))
        .where(owner_key.in_(keys), *soft_delete_conditions(target))
        .order_by(primary_key(target))
        .execution_options(populate_existing=True)
    )
    if by.secondary is None:
        statement = statement.with_for_update(of=target, key_share=True)
    related: dict[object, list[Any]] = defaultdict(list)
    for row, key in await session.execute(statement):
        related[key].append(row)
    return [related[key] for key in keys]


async def load_keys(
    session: AsyncSession,
    rows: Sequence[object],
    by: RelationshipProperty[Any],
    count: int,
) -> list[list[Any]]:
    """Return the keys of the visible rows to which *by* leads from each of *rows*.

    It is one statement. There are at most *count* keys for a row, the lowest first.
    """
    model: type[object] = by.parent.class_
    owner = aliased(model)
    owner_key = getattr(owner, primary_key(model).key)
    target: type[object] = by.mapper.class_
    key = primary_key(target)
    keys = [(inspect(row).identity or (None,))[0] for row in rows]
    rank = func.row_number().over(partition_by=owner_key, order_by=key).label("rank")
    ranked = (
        select(owner_key.label("owner"), key.label("key"), rank)
        .select_from(join(owner, target, getattr(owner, by.key)))
        .where(owner_key.in_(keys), *soft_delete_conditions(target))
        .subquery()
    )
    found = select(ranked.c.owner, ranked.c.key).where(ranked.c.rank <= count)
    related: dict[object, list[Any]] = defaultdict(list)
    for row, value in await session.execute(found.order_by(ranked.c.rank)):
        related[row].append(value)
    return [related[value] for value in keys]
