"""Rows that statements load again."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import collection_adapter


@contextmanager
def rereading(session: AsyncSession, current: Sequence[object]) -> Generator[None]:
    """Let the statements in this context load the rows of *session* again.

    Each statement loads what the others have not loaded, as if the session were new. So several
    statements may load different columns of one row: `populate_existing` would drop those of the
    statements before. What no statement loads keeps its value. Of the *current* rows, only
    expressions are loaded again. Changes that are not flushed are kept.
    """
    current_ids = {*map(id, current)}  # a dataclass compares its values, and has no hash
    changed = session.dirty
    kept = [
        (row, _forget(session, row, only_expressions=id(row) in current_ids))
        for row in session.identity_map.values()
        if row not in changed
    ]
    try:
        yield
    finally:
        for row, values in kept:
            for name in inspect(row).unloaded.intersection(values):
                set_committed_value(row, name, values[name])


def _forget(session: AsyncSession, row: object, *, only_expressions: bool) -> dict[str, Any]:
    """Expire the loaded attributes of *row*, and return their values."""
    state: InstanceState[Any] = inspect(row)
    names = _expressions(state) if only_expressions else _attributes(state)
    values = {name: _value(state, name) for name in names if name in state.dict}
    if values:
        session.expire(row, values)
    return values


def _expressions(state: "InstanceState[Any]") -> Iterable[str]:
    attributes = state.mapper.column_attrs
    return [item.key for item in attributes if not isinstance(item.columns[0], Column)]


def _attributes(state: "InstanceState[Any]") -> Iterable[str]:
    return [*state.mapper.column_attrs.keys(), *state.mapper.relationships.keys()]


def _value(state: "InstanceState[Any]", name: str) -> object:
    """Return the loaded value, a collection as a list of its rows."""
    value = state.dict[name]
    relationship = state.mapper.relationships.get(name)
    return [*collection_adapter(value)] if relationship and relationship.uselist else value
