"""Embedding: what a read schema shows of related rows is loaded with the rows, never one by one.

A row that is referred to comes in the same statement, those that refer to a row in one more for
the whole list.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import (
    Alias,
    Column,
    ColumnElement,
    Enum,
    Join,
    String,
    UnaryExpression,
    func,
    inspect,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Load,
    RelationshipProperty,
    aliased,
    join,
    load_only,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql import operators
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from brickwork.database.text import comparable
from brickwork.models.soft_delete import soft_delete_conditions
from brickwork.query.keys import primary_key
from brickwork.schemas.names import output_name
from brickwork.schemas.schema import nested_schema

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class Limit:
    """On a list in a read schema: the first rows in their order, and how many at most.

    `articles: Annotated[list[ArticleBrief], Limit(5)]`, where `articles` is a relationship. The
    order is the `order_by` of the relationship; without one, the highest keys come first.
    """

    count: int


@dataclass(frozen=True)
class _LatestRows:
    """A list of related rows: how many at most, and what is loaded with them."""

    name: str
    count: int
    options: tuple[ORMOption, ...]


@dataclass(frozen=True)
class EmbeddedFields:
    """What a read schema shows besides the columns of a model: related rows, expressions."""

    model: type[DeclarativeBase]
    options: tuple[ORMOption, ...]
    references: tuple[str, ...]
    latest: tuple[_LatestRows, ...]
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
        # A column that no flush has set would be left out, and loaded where nobody can wait.
        unset = {each for row in rows for each in inspect(row).unloaded} & _eager_columns(
            self.model
        )
        for row in rows if stale else ():
            session.expire(row, stale)
        if stale and rows:
            keys = [getattr(row, key.key) for row in rows]
            written = select(self.model).where(key.in_(keys))
            names = (*self.computed, *sorted(unset))
            shown = load_only(key, *(getattr(self.model, name) for name in names))
            await session.execute(written.options(shown, *self.options))
        await self.complete(session, rows)


def embedding(model: type[DeclarativeBase], read: type[BaseModel]) -> EmbeddedFields:
    """Return what *read* shows of the relationships of *model*.

    Raises `TypeError` for a list of related rows that does not say how many at most, and for one
    within what is related: that would be lists of lists.
    """
    references: list[str] = []
    latest: list[_LatestRows] = []
    for name, field, shown, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            references.append(name)
            continue
        bounds = [each.count for each in field.metadata if isinstance(each, Limit)]
        if not bounds:
            raise _unbounded_list(read, name)
        within = _loader_options(relationship.mapper.class_, shown, within=True)
        latest.append(_LatestRows(name, bounds[0], tuple(within)))
    options, computed = (
        tuple(_loader_options(model, read)),
        tuple(_expression_attributes(model, read)),
    )
    return EmbeddedFields(model, options, tuple(references), tuple(latest), computed)


def _expression_attributes(model: type[DeclarativeBase], read: type[BaseModel]) -> Iterator[str]:
    """Yield the attributes that *read* shows of which no column but an expression is the source."""
    attributes = inspect(model).column_attrs
    for name, field in read.model_fields.items():
        source = _attribute_name(model, name, field)
        if source in attributes and not isinstance(attributes[source].columns[0], Column):
            yield source


def _eager_columns(model: type[DeclarativeBase]) -> set[str]:
    """Return the columns that are loaded with a row."""
    attributes = inspect(model).column_attrs
    return {
        each.key for each in attributes if isinstance(each.columns[0], Column) and not each.deferred
    }


def _attribute_name(model: type[DeclarativeBase], name: str, field: FieldInfo) -> str:
    """Return the attribute of a row that the field *name* shows, by its alias or its own name."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) and hasattr(model, alias) else name


def shown_attributes(model: type[DeclarativeBase], read: type[BaseModel]) -> dict[str, str]:
    """Return the attributes of *model* that *read* shows, and the names that answers have."""
    return {
        _attribute_name(model, name, field): output_name(name, field)
        for name, field in read.model_fields.items()
    }


_RelationshipField = tuple[str, FieldInfo, type[BaseModel], RelationshipProperty[Any]]


def _relationship_fields(
    model: type[DeclarativeBase], read: type[BaseModel]
) -> Iterator[_RelationshipField]:
    """Yield the fields of *read* that show rows related to those of *model*."""
    for name, field in read.model_fields.items():
        # A model whose schema shows columns alone need not know its relationships yet.
        if shown := nested_schema(field.annotation):
            source = _attribute_name(model, name, field)
            relationship = inspect(model).relationships.get(source)
            if relationship is not None:
                yield source, field, shown, relationship


def _loader_options(
    model: type[DeclarativeBase], read: type[BaseModel], *, within: bool = False
) -> Iterator[Load]:
    """Yield what loads the rows that *read* shows that rows of *model* refer to."""
    for name, _, shown, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            target = relationship.mapper.class_
            attribute: InstrumentedAttribute[Any] = getattr(model, name)
            live = (
                attribute.and_(*soft_delete_conditions(target))
                if soft_delete_conditions(target)
                else attribute
            )
            options = _loader_options(target, shown, within=True)
            yield Load(model).joinedload(live).options(*options)
        elif within:
            raise _unbounded_list(read, name)


def _unbounded_list(read: type[BaseModel], name: str) -> TypeError:
    return TypeError(
        f"{read.__name__}.{name} has no end: annotate it Annotated[list[…], Limit(10)], so that a "
        "row shows ten at most. Within what a row shows of another, leave it out."
    )


async def _load_latest(
    session: AsyncSession, rows: Sequence[DeclarativeBase], latest: _LatestRows
) -> None:
    owner = aliased(type(rows[0]))  # since rows may be related to others of their own kind
    relationship = getattr(owner, latest.name)
    target = relationship.property.mapper.class_
    own, key = getattr(owner, primary_key(type(rows[0])).key), primary_key(target)
    keys = {row: getattr(row, own.key) for row in rows}
    joined = join(owner, target, relationship)
    by = _order(relationship.property, key, joined)
    rank = func.row_number().over(partition_by=own, order_by=by)
    ranked = (
        select(own.label("owner"), key.label("key"), rank.label("rank"))
        .select_from(joined)
        .where(own.in_(keys.values()), *soft_delete_conditions(target))
        .subquery()
    )
    statement = (
        select(target, ranked.c.owner)
        .join(ranked, key == ranked.c.key)
        .where(ranked.c.rank <= latest.count)
        .order_by(ranked.c.rank)
        .options(*latest.options)
    )
    found: dict[object, list[Any]] = defaultdict(list)
    for related, of in await session.execute(statement):
        found[of].append(related)
    for row, value in keys.items():
        set_committed_value(row, latest.name, found[value])


def _order(
    relationship: RelationshipProperty[Any], key: InstrumentedAttribute[Any], joined: "Join[Any]"
) -> list[ColumnElement[Any]]:
    """Return the order of the rows of *relationship*, of which *key* is the primary key.

    It is total, and the same on both databases. *joined* is what the rows are selected from.
    """
    association = _association(relationship, joined)
    elements: list[ColumnElement[Any]] = [*(relationship.order_by or ())]
    if association is not None:  # the table itself is not in the statement
        elements = [_use_alias(association, each) for each in elements]
    wanted = [_SortTerm.of(each) for each in elements]
    last = wanted[-1] if wanted else _SortTerm(key.expression, descending=True)
    return [each.clause() for each in (*wanted, _SortTerm(key.expression, last.descending))]


def _use_alias(association: Any, clause: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *clause* with the columns of *association* under its name."""

    def named(element: Any, **_: Any) -> Any:
        is_column = isinstance(element, ColumnElement)
        return association.corresponding_column(element) if is_column else None

    replaced: ColumnElement[Any] = replacement_traverse(clause, {}, named)
    return replaced


def _association(relationship: RelationshipProperty[Any], joined: "Join[Any]") -> Any:
    """Return the association table of *relationship* by its name in *joined*; None without one."""
    for each in iterate(joined):
        if isinstance(each, Alias) and vars(each)["element"] is relationship.secondary:
            return cast("Any", each)
    return None


@dataclass(frozen=True)
class _SortTerm:
    """A part of an order."""

    element: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    """Whether NULL comes first; if None, NULL is above every value."""

    @classmethod
    def of(cls, element: ColumnElement[Any]) -> "_SortTerm":
        """Return the part of an order that *element* of an `order_by` asks for."""
        if not isinstance(element, UnaryExpression) or element.modifier not in _MODIFIERS:
            return cls(element)
        within: ColumnElement[Any] = element.element
        changes: Any = _MODIFIERS[element.modifier]
        return replace(cls.of(within), **changes)

    def clause(self) -> ColumnElement[Any]:
        """Return the part as ORDER BY has it."""
        column = _comparable_element(self.element)
        clause = column.desc() if self.descending else column.asc()
        if not getattr(self.element, "nullable", True):
            return clause
        first = self.descending if self.nulls_first is None else self.nulls_first
        return clause.nulls_first() if first else clause.nulls_last()


def _comparable_element(element: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *element* as both databases sort it alike, unless it says its collation."""
    if getattr(element, "operator", None) is operators.collate:
        return element
    # The order of an enumeration of PostgreSQL is that of its declaration.
    return comparable(element.cast(String) if isinstance(element.type, Enum) else element)


_MODIFIERS: Final[Mapping[Any, Mapping[str, bool]]] = {
    operators.asc_op: {"descending": False},
    operators.desc_op: {"descending": True},
    operators.nulls_first_op: {"nulls_first": True},
    operators.nulls_last_op: {"nulls_first": False},
}
