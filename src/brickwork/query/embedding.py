"""Loading of related rows for read schemas.

To-one relationships are joined to the statement. Each to-many relationship takes one more statement
for all rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import (
    Column,
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

from brickwork.models.proxies import Proxy, find_proxy
from brickwork.models.soft_delete import (
    as_soft_deletable,
    is_soft_deletable,
    soft_delete_conditions,
)
from brickwork.query.deferred import deferred_attributes, undefer_options
from brickwork.query.keys import primary_key
from brickwork.query.related import load_keys
from brickwork.query.related_order import related_order
from brickwork.query.rereading import rereading
from brickwork.schemas.names import output_name
from brickwork.schemas.related import keys_relationship
from brickwork.schemas.schema import nested_schema

M = TypeVar("M")


@dataclass(frozen=True)
class Limit:
    """Metadata of a list in a read schema: the maximum number of related rows.

    `articles: Annotated[list[ArticleBrief], Limit(5)]`, where `articles` is a relationship. The
    order is the `order_by` of the relationship. Without one, the highest keys come first.

    Raises `ValueError` for a maximum below one: the list would always be empty.
    """

    count: int

    def __post_init__(self) -> None:
        """Check the maximum."""
        if self.count < 1:
            raise ValueError(f"Limit({self.count}) shows no row: use 1 or more.")


@dataclass(frozen=True)
class _LatestRows:
    """A list of related rows, and the loader options of its rows."""

    name: str
    count: int | None
    """The maximum number of rows. None: all rows, for the list of an association proxy."""
    options: tuple[ORMOption, ...]


@dataclass(frozen=True)
class _KeyList:
    """A limited list of the keys of related rows, and its field."""

    name: str
    relationship: RelationshipProperty[Any]
    count: int


@dataclass(frozen=True)
class EmbeddedFields:
    """The related rows, expressions and deferred columns in a read schema."""

    model: type[object]
    options: tuple[ORMOption, ...]
    references: tuple[str, ...]
    latest: tuple[_LatestRows, ...]
    keys: tuple[_KeyList, ...]
    computed: tuple[str, ...]
    deferred: tuple[str, ...]
    columns: frozenset[str]
    """The columns that the schema needs, also deferred ones."""
    hiding: tuple[tuple[type[object], str], ...]
    """The shown references to rows that may be deleted softly, each with its model."""

    def __bool__(self) -> bool:
        """Return whether there is anything to load."""
        return bool(self.options or self.latest or self.keys)

    def relationships(self) -> Iterator[RelationshipProperty[Any]]:
        """Yield the relationships whose rows are loaded."""
        relationships = inspect(self.model).relationships
        for name in (*self.references, *(latest.name for latest in self.latest)):
            yield relationships[name]
        for listed in self.keys:
            yield listed.relationship

    def written_options(self, names: Iterable[str]) -> Sequence[ORMOption]:
        """Return the loader options of rows that a request writes.

        *names* are the attributes with which its changes are compared.
        """
        return [*undefer_options(self.model, (*names, *self.deferred))]

    async def complete(self, session: AsyncSession, rows: Sequence[object]) -> None:
        """Load the limited lists of rows that were read with `options`."""
        for latest in self.latest if rows else ():
            await _load_latest(session, self.model, rows, latest)
        for listed in self.keys if rows else ():
            lists = await load_keys(session, rows, listed.relationship, listed.count)
            for row, keys in zip(rows, lists, strict=True):
                vars(row)[listed.name] = keys  # SQLModel rejects an attribute that is no field
        if rows and self.hiding:
            self._hide_deleted(session)

    def _hide_deleted(self, session: AsyncSession) -> None:
        """Remove deleted rows from the shown references.

        The model or a method may have loaded one before, which no statement replaces.
        """
        for row in session.identity_map.values():
            for model, name in self.hiding:
                related = vars(row).get(name) if isinstance(row, model) else None
                if (marked := as_soft_deletable(related)) and marked.deleted_at is not None:
                    set_committed_value(row, name, None)

    async def reload(
        self,
        session: AsyncSession,
        rows: Sequence[object],
        *,
        current: Sequence[object] | None = None,
    ) -> None:
        """Load the current related rows, expressions and deferred columns of written *rows*.

        *current* are all rows that the request writes. None: *rows*.
        """
        await session.flush()  # else the change of a relationship that is loaded again is lost
        unloaded = {name for row in rows for name in inspect(row).unloaded}
        if self or self.computed or unloaded.intersection(self.columns):
            with rereading(session, current=rows if current is None else current):
                await self._reload_own(session, rows, unloaded)
                await self.complete(session, rows)

    async def _reload_own(
        self, session: AsyncSession, rows: Sequence[object], unloaded: set[str]
    ) -> None:
        """Load what is stale or missing, and every other column that is not loaded.

        A column that a flush has set to an expression would be loaded lazily, which asyncio cannot
        do.
        """
        key = primary_key(self.model)
        stale = (*self.references, *self.computed)
        missing = unloaded.intersection(self.columns)
        for row in rows if stale else ():
            session.expire(row, stale)
        if rows and (stale or missing):
            statement = select(self.model).where(key.is_in([*map(key.value_of, rows)]))
            unset = unloaded & self._eager_columns | missing
            names = dict.fromkeys((*self.computed, *sorted(unset)))
            loaded = load_only(*key.attributes, *(getattr(self.model, name) for name in names))
            _ = (await session.execute(statement.options(loaded, *self.options))).unique().all()

    @cached_property
    def _eager_columns(self) -> set[str]:
        """Return the names of the columns of the model that are not deferred."""
        attributes = inspect(self.model).column_attrs
        return {name for name in _column_names(self.model) if not attributes[name].deferred}


def embedding(model: type[object], read: type[BaseModel]) -> EmbeddedFields:
    """Return the related rows and expressions of *model* that *read* has.

    Raises `TypeError` for a list of related rows without a `Limit`, and for a list within a related
    row.
    """
    references: list[str] = []
    latest: dict[str, _LatestRows] = {}
    for name, field, schema, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            references.append(name)
            continue
        if (count := _limit(field)) is None:
            raise _unbounded_list(read, name)
        nested = _loader_options(relationship.mapper.class_, schema, within=True)
        latest[name] = _LatestRows(name, count, tuple(nested))
    for field, proxy in _proxy_fields(model, read):
        name = proxy.relationship.key
        if not proxy.is_list:
            references.append(name)
            continue
        count, nested = _limit(field), _proxy_options(proxy, field)
        rows = latest.setdefault(name, _LatestRows(name, count, ()))
        if rows.count != count:
            raise TypeError(
                f"{read.__name__} shows {model.__name__}.{name} with two limits. Give its fields "
                "the same Limit."
            )
        latest[name] = replace(rows, options=(*rows.options, *nested))
    shown = _shown_names(model, read)
    deferred = tuple(deferred_attributes(model, shown))
    return EmbeddedFields(
        model,
        options=tuple(_loader_options(model, read)),
        references=tuple(dict.fromkeys(references)),
        latest=tuple(latest.values()),
        keys=tuple(_key_lists(model, read)),
        computed=tuple(_expression_attributes(model, read)),
        deferred=deferred,
        columns=frozenset(_column_names(model).intersection(shown).union(deferred)),
        hiding=tuple(dict.fromkeys(_hiding_references(model, read))),
    )


def _hiding_references(
    model: type[object], read: type[BaseModel]
) -> Iterator[tuple[type[object], str]]:
    """Yield the to-one relationships in *read*, at any depth, to rows with a soft delete."""
    for name, _, schema, relationship in _relationship_fields(model, read):
        yield from _hiding_reference(model, name, relationship)
        yield from _hiding_references(relationship.mapper.class_, schema)
    for field, proxy in _proxy_fields(model, read):
        yield from _hiding_reference(model, proxy.relationship.key, proxy.relationship)
        nested = nested_schema(field.annotation)
        relationship = inspect(proxy.target).relationships.get(proxy.value)
        if nested and relationship is not None:
            yield from _hiding_reference(proxy.target, proxy.value, relationship)
            yield from _hiding_references(relationship.mapper.class_, nested)


def _hiding_reference(
    model: type[object], name: str, relationship: RelationshipProperty[Any]
) -> Iterator[tuple[type[object], str]]:
    if not relationship.uselist and is_soft_deletable(relationship.mapper.class_):
        yield model, name


def _key_lists(model: type[object], read: type[BaseModel]) -> Iterator[_KeyList]:
    """Yield the fields of *read* with keys of related rows of *model*."""
    for name, field in read.model_fields.items():
        if relationship := keys_relationship(model, name, field):
            if (count := _limit(field)) is None:
                raise _unbounded_list(read, name)
            yield _KeyList(name, relationship, count)


def _expression_attributes(model: type[object], read: type[BaseModel]) -> Iterator[str]:
    """Yield the attributes in *read* that are SQL expressions and not columns."""
    attributes = inspect(model).column_attrs
    for name, field in read.model_fields.items():
        source = attribute_name(model, name, field)
        if source in attributes and not isinstance(attributes[source].columns[0], Column):
            yield source


def _column_names(model: type[object]) -> set[str]:
    """Return the attributes of *model* that are columns and no SQL expressions."""
    attributes = inspect(model).column_attrs
    return {item.key for item in attributes if isinstance(item.columns[0], Column)}


def _shown_names(model: type[object], read: type[BaseModel]) -> list[str]:
    """Return the attributes of *model* that the fields of *read* show."""
    return [attribute_name(model, name, field) for name, field in read.model_fields.items()]


def attribute_name(model: type[object], name: str, field: FieldInfo) -> str:
    """Return the attribute of the field *name*, by its alias or its own name."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) and hasattr(model, alias) else name


def shown_attributes(model: type[object], read: type[BaseModel]) -> dict[str, str]:
    """Return the output names of the fields of *read*, by attribute of *model*."""
    return {
        attribute_name(model, name, field): output_name(name, field)
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
            attribute = attribute_name(model, name, field)
            relationship = inspect(model).relationships.get(attribute)
            if relationship is not None:
                yield attribute, field, schema, relationship


def _loader_options(
    model: type[object], read: type[BaseModel], *, within: bool = False
) -> Iterator[Load]:
    """Yield the loader options of the to-one relationships and deferred columns in *read*."""
    yield from undefer_options(model, _shown_names(model, read))
    for name, _, schema, relationship in _relationship_fields(model, read):
        if not relationship.uselist:
            options = _loader_options(relationship.mapper.class_, schema, within=True)
            yield _join_option(model, relationship, options)
        elif within:
            raise _unbounded_list(read, name)
    for field, proxy in _proxy_fields(model, read):
        if not proxy.is_list:
            yield _join_option(model, proxy.relationship, _proxy_options(proxy, field))
        elif within:
            raise _unbounded_list(read, proxy.relationship.key)


def _join_option(
    model: type[object], relationship: RelationshipProperty[Any], options: Iterable[Load]
) -> Load:
    """Return the loader option of a to-one *relationship*, with *options* of its rows."""
    attribute: InstrumentedAttribute[Any] = getattr(model, relationship.key)
    conditions = soft_delete_conditions(relationship.mapper.class_)
    visible = attribute.and_(*conditions) if conditions else attribute
    return Load(model).joinedload(visible).options(*options)


def _proxy_fields(model: type[object], read: type[BaseModel]) -> Iterator[tuple[FieldInfo, Proxy]]:
    """Yield the fields of *read* that are association proxies of *model*."""
    for name, field in read.model_fields.items():
        if proxy := find_proxy(model, attribute_name(model, name, field)):
            yield field, proxy


def _proxy_options(proxy: Proxy, field: FieldInfo) -> Iterator[Load]:
    """Yield the loader options of the rows from which *proxy* has its values."""
    target = proxy.target
    schema = nested_schema(field.annotation)
    relationship = inspect(target).relationships.get(proxy.value)
    if schema and relationship is not None:
        options = _loader_options(relationship.mapper.class_, schema, within=True)
        yield _join_option(target, relationship, options)
    else:
        yield from undefer_options(target, [proxy.value])


def _limit(field: FieldInfo) -> int | None:
    """Return the `Limit` of a list. None without one."""
    return next((mark.count for mark in field.metadata if isinstance(mark, Limit)), None)


def _unbounded_list(read: type[BaseModel], name: str) -> TypeError:
    return TypeError(
        f"{read.__name__}.{name} has no limit: annotate it Annotated[list[…], Limit(10)] for ten "
        "rows at most. Within a related row, leave the list out."
    )


async def _load_latest(
    session: AsyncSession,
    model: type[object],
    rows: Sequence[object],
    latest: _LatestRows,
) -> None:
    owner = aliased(model)  # since a relationship may refer to its own model
    relationship = getattr(owner, latest.name)
    target = relationship.property.mapper.class_
    owner_key, key = primary_key(model), primary_key(target)
    owner_ids = owner_key.attributes_of(owner)
    keys = [*map(owner_key.value_of, rows)]
    joined = join(owner, target, relationship)
    by = related_order(relationship.property, key.attributes, joined)
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
        .where(*([] if latest.count is None else [ranked.c.rank <= latest.count]))
        .order_by(ranked.c.rank)
        .options(*latest.options)
    )
    related_rows: dict[object, list[Any]] = defaultdict(list)
    for related, *owned_by in (await session.execute(statement)).unique():
        related_rows[owner_key.value(owned_by)].append(related)
    for row, value in zip(rows, keys, strict=True):
        set_committed_value(row, latest.name, related_rows[value])
