"""Related rows of several rows, and their keys."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipProperty, aliased, join

from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.deferred import undefer_options
from brickwork.query.keys import primary_key, unwrap
from brickwork.query.rereading import rereading


async def load_lists(
    session: AsyncSession,
    rows: Sequence[object],
    by: RelationshipProperty[Any],
    names: Iterable[str] = (),
) -> list[list[Any]]:
    """Return the visible rows to which the relationship *by* leads from each of *rows*.

    It is one statement, which also loads the deferred columns that the attributes *names* of these
    rows need. The rows of a one-to-many relationship are locked until the transaction
    ends, in the order of their keys. Lock *rows* before.
    """
    model: type[object] = by.parent.class_  # rows may be of its subclasses
    owner = aliased(model)  # since a relationship may refer to its own model
    owner_key = primary_key(model)
    target: type[object] = by.mapper.class_
    keys = [*map(key_of, rows)]
    statement = (
        select(target, *owner_key.attributes_of(owner))
        .select_from(join(owner, target, getattr(owner, by.key)))
        .where(owner_key.is_in(keys, owner), *soft_delete_conditions(target))
        .order_by(*primary_key(target).attributes)
        .options(*undefer_options(target, names))
    )
    if by.secondary is None:
        statement = statement.with_for_update(of=target, key_share=True)
    related: dict[object, list[Any]] = defaultdict(list)
    await session.flush()
    with rereading(session, current=rows, relationships=False):
        for row, *owned_by in (await session.execute(statement)).unique():
            related[owner_key.value(owned_by)].append(row)
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
    owner_key = primary_key(model)
    owner_columns = owner_key.attributes_of(owner)
    target: type[object] = by.mapper.class_
    (key,) = primary_key(target).attributes
    keys = [*map(key_of, rows)]
    rank = func.row_number().over(partition_by=owner_columns, order_by=key).label("rank")
    ranked = (
        select(*owner_columns, key.label("related_key"), rank)
        .select_from(join(owner, target, getattr(owner, by.key)))
        .where(owner_key.is_in(keys, owner), *soft_delete_conditions(target))
        .subquery()
    )
    *columns, place = ranked.c
    found = select(*columns).where(place <= count)
    related: dict[object, list[Any]] = defaultdict(list)
    for *owned_by, value in await session.execute(found.order_by(place)):
        related[owner_key.value(owned_by)].append(value)
    return [related[value] for value in keys]


def key_of(row: object) -> object:
    """Return the key of a stored *row*. None for a new row."""
    identity = inspect(row).identity
    return None if identity is None else unwrap(identity)
