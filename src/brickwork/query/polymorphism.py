"""Loading of rows of several classes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, RelationshipProperty, selectin_polymorphic
from sqlalchemy.orm.interfaces import ORMOption

from brickwork.query.embedding import EmbeddedFields, embedding

T = TypeVar("T")


def classes_of(model: type[object]) -> Sequence[type[object]]:
    """Return *model* and its mapped subclasses."""
    mapper: Mapper[Any] = inspect(model)
    return [descendant.class_ for descendant in mapper.self_and_descendants]


def nearest(by_class: Mapping[type[object], T], kind: type[object]) -> T | None:
    """Return the value of *by_class* for *kind* or its nearest base class. None without one."""
    return next((by_class[base] for base in kind.__mro__ if base in by_class), None)


@dataclass(frozen=True)
class PolymorphicFields:
    """The `EmbeddedFields` of rows of several classes.

    The columns of a subclass take one more statement for all its rows.
    """

    model: type[object]
    by_class: Mapping[type[object], EmbeddedFields]

    def __bool__(self) -> bool:
        """Return True: the columns of subclasses have to be loaded."""
        return True

    @cached_property
    def options(self) -> Sequence[ORMOption]:
        """Return the loader options of rows that a request reads."""
        others = [option for fields in self.by_class.values() for option in fields.options]
        return [self._columns(), *others]

    def _columns(self) -> ORMOption:
        """Return the loader option of the columns of subclasses."""
        return selectin_polymorphic(self.model, [*classes_of(self.model)[1:]])

    def relationships(self) -> Iterator[RelationshipProperty[Any]]:
        """Yield the relationships whose rows are loaded."""
        for fields in self.by_class.values():
            yield from fields.relationships()

    def written_options(self, names: Iterable[str]) -> Sequence[ORMOption]:
        """Return the loader options of rows that a request writes."""
        written = [*names]
        parts = (fields.written_options(written) for fields in self.by_class.values())
        return [self._columns(), *(option for options in parts for option in options)]

    async def complete(self, session: AsyncSession, rows: Sequence[object]) -> None:
        """Load the limited lists of rows that were read with `options`."""
        for fields, own in self._by_fields(rows):
            await fields.complete(session, own)

    async def reload(self, session: AsyncSession, rows: Sequence[object]) -> None:
        """Load the current related rows, expressions and deferred columns of written *rows*."""
        for fields, own in self._by_fields(rows):
            await fields.reload(session, own, current=rows)

    def _by_fields(
        self, rows: Sequence[object]
    ) -> Iterator[tuple[EmbeddedFields, Sequence[object]]]:
        """Yield *rows* in groups of those that one schema shows."""
        groups: dict[type[object], list[object]] = defaultdict(list)
        for row in rows:
            if (fields := nearest(self.by_class, type(row))) is not None:
                groups[fields.model].append(row)
        for model, own in groups.items():
            yield self.by_class[model], own


def embedding_by_class(
    model: type[object], schemas: Mapping[type[object], type[BaseModel]]
) -> EmbeddedFields | PolymorphicFields:
    """Return what *schemas* show of rows of *model* that has to be loaded.

    Raises `TypeError` as `embedding` does.
    """
    by_class = {kind: embedding(kind, schema) for kind, schema in schemas.items()}
    return PolymorphicFields(model, by_class) if len(by_class) > 1 else by_class[model]
