"""Rows that statements load again."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState


@contextmanager
def rereading(
    session: AsyncSession, current: Sequence[object], *, relationships: bool = True
) -> Generator[None]:
    """Let the statements in this context load the rows of *session* again.

    Flush it before: a changed attribute is not loaded again. Each statement loads what the others
    have not loaded, as if the session were new. So several statements may load different columns of
    one row: `populate_existing` would drop those of the statements before. What no statement loads
    keeps its value. Of the *current* rows, only expressions are loaded again. Without
    *relationships*, a list that a method holds stays the list of its row.
    """
    current_ids = {*map(id, current)}  # a dataclass compares its values, and has no hash
    kept: list[tuple[InstanceState[Any], dict[str, Any]]] = []
    for row, state in _states(session):
        names = _expressions(state) if id(row) in current_ids else _columns(state)
        if relationships and id(row) not in current_ids:
            names = [*names, *_relationships(state)]
        kept.append((state, _forget(state, names)))
    try:
        yield
    finally:
        for state, values in kept:
            for name in values.keys() - state.dict.keys():
                state.dict[name] = values[name]


@contextmanager
def keeping_relationships(session: AsyncSession) -> Generator[None]:
    """Restore the relationships that statements in this context load, and forget new ones.

    Flush *session* before. SQLAlchemy sorts the rows of a flush by the loaded relationships, which
    may make a circle.
    """
    before = {
        state: {name: state.dict[name] for name in _relationships(state)}
        for _, state in _states(session)
    }
    try:
        yield
    finally:
        for _, state in _states(session):
            _forget(state, _relationships(state))
            state.dict.update(before.get(state, {}))


def _states(session: AsyncSession) -> Iterable[tuple[object, InstanceState[Any]]]:
    return [(row, inspect(row)) for row in session.identity_map.values()]


def _forget(state: InstanceState[Any], names: Iterable[str]) -> dict[str, Any]:
    """Make the attributes *names* unloaded, and return their values.

    Unlike `Session.expire`, it leaves a list valid that a method may hold.
    """
    return {
        name: state.dict.pop(name)
        for name in names
        if name in state.dict and name not in state.committed_state
    }


def _columns(state: InstanceState[Any]) -> Iterable[str]:
    """Return the columns and expressions of the row without its key, which is constant."""
    mapper = state.mapper
    keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
    return [item.key for item in mapper.column_attrs if item.key not in keys]


def _expressions(state: InstanceState[Any]) -> Iterable[str]:
    attributes = state.mapper.column_attrs
    return [item.key for item in attributes if not isinstance(item.columns[0], Column)]


def _relationships(state: InstanceState[Any]) -> Iterable[str]:
    """Return the loaded relationships of the row."""
    return [item.key for item in state.mapper.relationships if item.key in state.dict]
