"""Loading of related rows for read schemas.

To-one relationships are joined to the statement. Each to-many relationship takes one more statement
for all rows.
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
    and_,
    func,
    inspect,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
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
from brickwork.query.related import load_keys
from brickwork.schemas.names import output_name
from brickwork.schemas.related import keys_relationship
from brickwork.schemas.schema import nested_schema

M = TypeVar("M")


@dataclass(frozen=True)
class Limit:
    """Metadata of a list in a read schema: the maximum number of related rows.

    `articles: Annotated[list[ArticleBrief], Limit(5)]`, where `articles` is a relationship. The
    order is the `order_by` of the relationship. Without one, the highest keys come first.
    """

    count: int


@dataclass(frozen=True)
class _LatestRows:
    """A limited list of related rows, and the loader options of its rows."""

    name: str
    count: int
    options: tuple[ORMOption, ...]


@dataclass(frozen=True)
class _KeyList:
    """A limited list of the keys of related rows, and its field."""

    name: str
    relationship: RelationshipProperty[Any]
    count: int


@dataclass(frozen=True)
class EmbeddedFields:
    """The related rows and expressions in a read schema."""

    model: type[object]
    options: tuple[ORMOption, ...]
    references: tuple[str, ...]
    latest: tuple[_LatestRows, ...]
    keys: tuple[_KeyList, ...]
    computed: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return whether there is anything to load."""
        return bool(self.options or self.latest or self.keys)

    async def complete(
        self, session: AsyncSession, rows: Sequence[object], *, refresh: bool = False
    ) -> None:
        """Load the limited lists of rows that were read with `options`.

        With *refresh*, related rows that are already in the session are loaded again.
        """
        for latest in self.latest if rows else ():
            await _load_latest(session, rows, latest, refresh=refresh)
        for listed in self.keys if rows else ():
            lists = await load_keys(session, rows, listed.relationship, listed.count)
            for row, keys in zip(rows, lists, strict=True):
                vars(row)[listed.name] = keys  # SQLModel rejects an attribute that is no field

    async def reload(self, session: AsyncSession, rows: Sequence[object]) -> None:
        """Load the current related rows and expressions of written *rows*."""
        key = primary_key(self.model)
        stale = (*self.references, *self.computed)
        # A column that no flush has set would be loaded lazily, which asyncio cannot do.
        unloaded = {name for row in rows for name in inspect(row).unloaded}
        unset = unloaded & _eager_columns(self.model)
        for row in rows if stale else ():
            session.expire(row, stale)
        if stale and rows:
            statement = select(self.model).where(key.is_in([*map(key.value_of, rows)]))
            names = (*self.computed, *sorted(unset))
            loaded = load_only(*key.attributes, *(getattr(self.model, name) for name in names))
            await session.execute(statement.options(loaded, *self.options))
        await self.complete(session, rows, refresh=True)


def embedding(model: type[object], read: type[BaseModel]) -> EmbeddedFields:
    """Return the related rows and expressions of *model* that *read* has.

    Raises `TypeError` for a list of related rows without a `Limit`, and for a list within a related
    row.
    """
    references: list[str] = []
    latest: list[_LatestRows] = []
    for name, field, schema, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            references.append(name)
            continue
        limits = [mark.count for mark in field.metadata if isinstance(mark, Limit)]
        if not limits:
            raise _unbounded_list(read, name)
        nested = _loader_options(relationship.mapper.class_, schema, within=True)
        latest.append(_LatestRows(name, limits[0], tuple(nested)))
    keys = tuple(_key_lists(model, read))
    options = tuple(_loader_options(model, read))
    computed = tuple(_expression_attributes(model, read))
    return EmbeddedFields(model, options, tuple(references), tuple(latest), keys, computed)


def _key_lists(model: type[object], read: type[BaseModel]) -> Iterator[_KeyList]:
    """Yield the fields of *read* with keys of related rows of *model*."""
    for name, field in read.model_fields.items():
        if relationship := keys_relationship(model, name, field):
            limits = [mark.count for mark in field.metadata if isinstance(mark, Limit)]
            if not limits:
                raise _unbounded_list(read, name)
            yield _KeyList(name, relationship, limits[0])


def _expression_attributes(model: type[object], read: type[BaseModel]) -> Iterator[str]:
    """Yield the attributes in *read* that are SQL expressions and not columns."""
    attributes = inspect(model).column_attrs
    for name, field in read.model_fields.items():
        source = _attribute_name(model, name, field)
        if source in attributes and not isinstance(attributes[source].columns[0], Column):
            yield source


def _eager_columns(model: type[object]) -> set[str]:
    """Return the names of the columns of *model* that are not deferred."""
    attributes = inspect(model).column_attrs
    return {
        attribute.key
        for attribute in attributes
        if isinstance(attribute.columns[0], Column) and not attribute.deferred
    }


def _attribute_name(model: type[object], name: str, field: FieldInfo) -> str:
    """Return the attribute of the field *name*, by its alias or its own name."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) and hasattr(model, alias) else name


def shown_attributes(model: type[object], read: type[BaseModel]) -> dict[str, str]:
    """Return the output names of the fields of *read*, by attribute of *model*."""
    return {
        _attribute_name(model, name, field): output_name(name, field)
        for name, field in read.model_fields.items()
    }


_RelationshipField = tuple[str, FieldInfo, type[BaseModel], RelationshipProperty[Any]]


def _relationship_fields(
    model: type[object], read: type[BaseModel]
) -> Iterator[_RelationshipField]:
    """Yield the fields of *read* that are relationships of *model*."""
    for name, field in read.model_fields.items():
        # Without nested schemas, the relationships of the model need not be configured yet.
        if schema := nested_schema(field.annotation):
            attribute = _attribute_name(model, name, field)
            relationship = inspect(model).relationships.get(attribute)
            if relationship is not None:
                yield attribute, field, schema, relationship


def _loader_options(
    model: type[object], read: type[BaseModel], *, within: bool = False
) -> Iterator[Load]:
    """Yield the loader options of the to-one relationships of *model* in *read*."""
    for name, _, schema, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            target = relationship.mapper.class_
            attribute: InstrumentedAttribute[Any] = getattr(model, name)
            visible = (
                attribute.and_(*soft_delete_conditions(target))
                if soft_delete_conditions(target)
                else attribute
            )
            options = _loader_options(target, schema, within=True)
            yield Load(model).joinedload(visible).options(*options)
        elif within:
            raise _unbounded_list(read, name)


def _unbounded_list(read: type[BaseModel], name: str) -> TypeError:
    return TypeError(
        f"{read.__name__}.{name} has no limit: annotate it Annotated[list[…], Limit(10)] for ten "
        "rows at most. Within a related row, leave the list out."
    )


async def _load_latest(
    session: AsyncSession,
    rows: Sequence[object],
    latest: _LatestRows,
    *,
    refresh: bool,
) -> None:
    model: type[object] = inspect(type(rows[0])).relationships[latest.name].parent.class_
    owner = aliased(model)  # since a relationship may refer to its own model
    relationship = getattr(owner, latest.name)
    target = relationship.property.mapper.class_
    owner_key, key = primary_key(model), primary_key(target)
    owner_ids = owner_key.attributes_of(owner)
    keys = [*map(owner_key.value_of, rows)]
    joined = join(owner, target, relationship)
    by = _order(relationship.property, key.attributes, joined)
    rank = func.row_number().over(partition_by=owner_ids, order_by=by)
    ranked = (
        select(
            *(column.label(f"owner{n}") for n, column in enumerate(owner_ids)),
            *(column.label(f"key{n}") for n, column in enumerate(key.attributes)),
            rank.label("rank"),
        )
        .select_from(joined)
        .where(owner_key.is_in(keys, owner), *soft_delete_conditions(target))
        .subquery()
    )
    columns: Any = [*ranked.c]
    owners, related_keys = columns[: len(owner_ids)], columns[len(owner_ids) : -1]
    statement = (
        select(target, *owners)
        .join(ranked, and_(*key.is_equal(related_keys)))
        .where(ranked.c.rank <= latest.count)
        .order_by(ranked.c.rank)
        .options(*latest.options)
        .execution_options(populate_existing=refresh)
    )
    related_rows: dict[object, list[Any]] = defaultdict(list)
    for related, *owned_by in await session.execute(statement):
        related_rows[owner_key.value(owned_by)].append(related)
    for row, value in zip(rows, keys, strict=True):
        set_committed_value(row, latest.name, related_rows[value])


def _order(
    relationship: RelationshipProperty[Any],
    key: Sequence[InstrumentedAttribute[Any]],
    joined: "Join[Any]",
) -> list[ColumnElement[Any]]:
    """Return a total order of the rows of *relationship*, the same on both databases.

    *key* has the primary key of the rows, and *joined* their FROM clause.
    """
    association = _association(relationship, joined)
    elements: list[ColumnElement[Any]] = [*(relationship.order_by or ())]
    if association is not None:  # the statement has an alias of the table
        elements = [_use_alias(association, term) for term in elements]
    terms = [_SortTerm.of(term) for term in elements]
    descending = terms[-1].descending if terms else True
    terms += [_SortTerm(column.expression, descending) for column in key]
    return [term.clause() for term in terms]


def _use_alias(association: Any, clause: ColumnElement[Any]) -> ColumnElement[Any]:
    """Replace columns in *clause* by the columns of the alias *association*."""

    def replace_column(element: Any, **_: Any) -> Any:
        is_column = isinstance(element, ColumnElement)
        return association.corresponding_column(element) if is_column else None

    result: ColumnElement[Any] = replacement_traverse(clause, {}, replace_column)
    return result


def _association(relationship: RelationshipProperty[Any], joined: "Join[Any]") -> Any:
    """Return the alias of the association table in *joined*. None without one."""
    for element in iterate(joined):
        if isinstance(element, Alias) and vars(element)["element"] is relationship.secondary:
            return cast("Any", element)
    return None


@dataclass(frozen=True)
class _SortTerm:
    """A term of ORDER BY."""

    element: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None
    """Whether NULL comes first. None: NULL is above every value."""

    @classmethod
    def of(cls, element: ColumnElement[Any]) -> "_SortTerm":
        """Return the term for *element* of an `order_by`."""
        if not isinstance(element, UnaryExpression) or element.modifier not in _MODIFIERS:
            return cls(element)
        within: ColumnElement[Any] = element.element
        changes: Any = _MODIFIERS[element.modifier]
        return replace(cls.of(within), **changes)

    def clause(self) -> ColumnElement[Any]:
        """Return the SQL of the term."""
        column = _comparable_element(self.element)
        clause = column.desc() if self.descending else column.asc()
        if not getattr(self.element, "nullable", True):
            return clause
        first = self.descending if self.nulls_first is None else self.nulls_first
        return clause.nulls_first() if first else clause.nulls_last()


def _comparable_element(element: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *element* in a form that both databases sort alike, unless it has a collation."""
    if getattr(element, "operator", None) is operators.collate:
        return element
    # PostgreSQL sorts an enumeration in the order of its declaration.
    return comparable(element.cast(String) if isinstance(element.type, Enum) else element)


_MODIFIERS: Final[Mapping[Any, Mapping[str, bool]]] = {
    operators.asc_op: {"descending": False},
    operators.desc_op: {"descending": True},
    operators.nulls_first_op: {"nulls_first": True},
    operators.nulls_last_op: {"nulls_first": False},
}
