"""Rows that statements load again."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstanceState


@contextmanager
def rereading(session: AsyncSession, current: Sequence[object]) -> Generator[None]:
    """Let the statements in this context load the rows of *session* again.

    Flush it before: a changed attribute is not loaded again. Each statement loads what the others
    have not loaded, as if the session were new. So several statements may load different columns of
    one row: `populate_existing` would drop those of the statements before. What no statement loads
    keeps its value. Of the *current* rows, only expressions are loaded again.
    """
    current_ids = {*map(id, current)}  # a dataclass compares its values, and has no hash
    kept = [
        (state, _forget(state, _expressions(state) if id(row) in current_ids else _loaded(state)))
        for row, state in _states(session)
    ]
    try:
        yield
    finally:
        for state, values in kept:
            for name in values.keys() - state.dict.keys():
                state.dict[name] = values[name]


@contextmanager
def forgetting_related_rows(session: AsyncSession) -> Generator[None]:
    """Forget at the end the relationships that statements in this context load.

    SQLAlchemy sorts the rows of a flush by the loaded relationships, which may make a circle.
    """
    before = {id(row): {*_related(state)} for row, state in _states(session)}
    try:
        yield
    finally:
        for row, state in _states(session):
            _forget(state, {*_related(state)} - before.get(id(row), set()))


def _states(session: AsyncSession) -> Iterable[tuple[object, InstanceState[Any]]]:
    return [(row, inspect(row)) for row in session.identity_map.values()]


def _forget(state: InstanceState[Any], names: Iterable[str]) -> dict[str, Any]:
    """Make the attributes *names* unloaded, and return their values.

    Unlike `Session.expire`, it leaves a collection valid that a method may hold.
    """
    return {
        name: state.dict.pop(name)
        for name in names
        if name in state.dict and name not in state.committed_state
    }


def _loaded(state: InstanceState[Any]) -> Iterable[str]:
    """Yield the loaded attributes, without the key of the row, which is constant."""
    mapper = state.mapper
    keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
    yield from (item.key for item in mapper.column_attrs if item.key not in keys)
    yield from _related(state)


def _related(state: InstanceState[Any]) -> Iterable[str]:
    return [item.key for item in state.mapper.relationships if item.key in state.dict]


def _expressions(state: InstanceState[Any]) -> Iterable[str]:
    attributes = state.mapper.column_attrs
    return [item.key for item in attributes if not isinstance(item.columns[0], Column)]
