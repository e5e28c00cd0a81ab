"""Embedding: what a read schema shows of related rows is loaded with the rows, never one by one.

A row that is referred to comes in the same statement, those that refer to a row in one more for
the whole list.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import Column, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Load,
    RelationshipProperty,
    aliased,
    load_only,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import ORMOption

from brickwork.deletion import visible
from brickwork.keys import primary_key
from brickwork.schemas import schema_in

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class Latest:
    """On a list in a read schema: the rows with the highest keys, and how many at most.

    `articles: Annotated[list[ArticleBrief], Latest(5)]`, where `articles` is a relationship.
    """

    count: int


@dataclass(frozen=True)
class _Latest:
    """A list of related rows: how many at most, and what is loaded with them."""

    name: str
    count: int
    options: tuple[ORMOption, ...]


@dataclass(frozen=True)
class Embedding:
    """What a read schema shows besides the columns of a model: related rows, expressions."""

    model: type[DeclarativeBase]
    options: tuple[ORMOption, ...]
    references: tuple[str, ...]
    latest: tuple[_Latest, ...]
    computed: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether there is anything to load."""
        return bool(self.options or self.latest)

    async def complete(self, session: AsyncSession, rows: Sequence[DeclarativeBase]) -> None:
        """Load what rows that were read with `options` lack."""
        for each in self.latest if rows else ():
            await _load_latest(session, rows, each)

    async def reload(self, session: AsyncSession, rows: Sequence[DeclarativeBase]) -> None:
        """Load all that is shown of *rows* that were written, as it is now."""
        key = primary_key(self.model)
        stale = (*self.references, *self.computed)
        for row in rows if stale else ():
            session.expire(row, stale)
        if stale and rows:
            keys = [getattr(row, key.key) for row in rows]
            written = select(self.model).where(key.in_(keys))
            shown = load_only(key, *(getattr(self.model, name) for name in self.computed))
            await session.execute(written.options(shown, *self.options))
        await self.complete(session, rows)


def embedding(model: type[DeclarativeBase], read: type[BaseModel]) -> Embedding:
    """Return what *read* shows of the relationships of *model*.

    Raises `TypeError` for a list of related rows that does not say how many at most, and for one
    within what is related: that would be lists of lists.
    """
    references: list[str] = []
    latest: list[_Latest] = []
    for name, field, shown, relationship in _shown(model, read):
        if not relationship.uselist:
            references.append(name)
            continue
        bounds = [each.count for each in field.metadata if isinstance(each, Latest)]
        if not bounds:
            raise _endless(read, name)
        within = _options(relationship.mapper.class_, shown, within=True)
        latest.append(_Latest(name, bounds[0], tuple(within)))
    options, computed = tuple(_options(model, read)), tuple(_computed(model, read))
    return Embedding(model, options, tuple(references), tuple(latest), computed)


def _computed(model: type[DeclarativeBase], read: type[BaseModel]) -> Iterator[str]:
    """Yield the attributes that *read* shows of which no column but an expression is the source."""
    attributes = inspect(model).column_attrs
    for name, field in read.model_fields.items():
        source = _source(name, field)
        if source in attributes and not isinstance(attributes[source].columns[0], Column):
            yield source


def _source(name: str, field: FieldInfo) -> str:
    """Return the attribute of a row that the field *name* shows."""
    return field.validation_alias if isinstance(field.validation_alias, str) else name


_Shown = tuple[str, FieldInfo, type[BaseModel], RelationshipProperty[Any]]


def _shown(model: type[DeclarativeBase], read: type[BaseModel]) -> Iterator[_Shown]:
    """Yield the fields of *read* that show rows related to those of *model*."""
    for name, field in read.model_fields.items():
        # A model whose schema shows columns alone need not know its relationships yet.
        if shown := schema_in(field.annotation):
            source = _source(name, field)
            relationship = inspect(model).relationships.get(source)
            if relationship is not None:
                yield source, field, shown, relationship


def _options(
    model: type[DeclarativeBase], read: type[BaseModel], *, within: bool = False
) -> Iterator[Load]:
    """Yield what loads the rows that *read* shows that rows of *model* refer to."""
    for name, _, shown, relationship in _shown(model, read):
        if not relationship.uselist:
            target = relationship.mapper.class_
            attribute: InstrumentedAttribute[Any] = getattr(model, name)
            live = attribute.and_(*visible(target)) if visible(target) else attribute
            options = _options(target, shown, within=True)
            yield Load(model).joinedload(live).options(*options)
        elif within:
            raise _endless(read, name)


def _endless(read: type[BaseModel], name: str) -> TypeError:
    return TypeError(
        f"{read.__name__}.{name} has no end: annotate it Annotated[list[…], Latest(10)], so that a "
        "row shows ten at most. Within what a row shows of another, leave it out."
    )


async def _load_latest(
    session: AsyncSession, rows: Sequence[DeclarativeBase], latest: _Latest
) -> None:
    owner = aliased(type(rows[0]))  # since rows may be related to others of their own kind
    relationship = getattr(owner, latest.name)
    target = relationship.property.mapper.class_
    own, key = getattr(owner, primary_key(type(rows[0])).key), primary_key(target)
    keys = {row: getattr(row, own.key) for row in rows}
    rank = func.row_number().over(partition_by=own, order_by=key.desc())
    ranked = (
        select(own.label("owner"), key.label("key"), rank.label("rank"))
        .join(relationship)
        .where(own.in_(keys.values()), *visible(target))
        .subquery()
    )
    statement = (
        select(target, ranked.c.owner)
        .join(ranked, key == ranked.c.key)
        .where(ranked.c.rank <= latest.count)
        .order_by(key.desc())
        .options(*latest.options)
    )
    found: dict[object, list[Any]] = defaultdict(list)
    for related, of in await session.execute(statement):
        found[of].append(related)
    for row, value in keys.items():
        set_committed_value(row, latest.name, found[value])
