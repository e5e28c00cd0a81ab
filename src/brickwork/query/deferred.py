"""Deferred columns, which are loaded only for the fields that need them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Load, Mapper
from sqlalchemy.sql.visitors import iterate

from brickwork.query.filters import filtered_column, is_hybrid


def deferred_attributes(model: type[object], names: Iterable[str]) -> Iterator[str]:
    """Yield the deferred columns and expressions of *model* whose values *names* have.

    A synonym, a composite and the expression of a hybrid have the values of columns.
    """
    mapper: Mapper[Any] = inspect(model)
    deferred = {attribute.key for attribute in mapper.column_attrs if attribute.deferred}
    for name in dict.fromkeys(names) if deferred else ():
        yield from [used for used in _used_attributes(mapper, name) if used in deferred]


def _used_attributes(mapper: "Mapper[Any]", name: str) -> Iterator[str]:
    """Yield the columns of *mapper* from which the attribute *name* has its value."""
    if name in mapper.synonyms:
        yield from _used_attributes(mapper, mapper.synonyms[name].name)
    elif name in mapper.composites:
        yield from (part.key for part in mapper.composites[name].props)
    elif is_hybrid(mapper.class_, name):
        with suppress(TypeError):  # it has no expression
            used = {*iterate(filtered_column(mapper.class_, name).expression)}
            yield from (key for key, column in mapper.columns.items() if column in used)
    else:
        yield name


def undefer_options(model: type[object], names: Iterable[str]) -> Iterator[Load]:
    """Yield the loader options of the deferred attributes of *model* that *names* use."""
    for name in deferred_attributes(model, names):
        yield Load(model).undefer(getattr(model, name))
