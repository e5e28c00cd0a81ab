"""Related rows of a request: new, loaded, named by keys."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel
from sqlalchemy import (
    inspect,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import RelationshipProperty
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.collections import collection_adapter

from brickwork.database.errors import reference_not_found
from brickwork.database.flush_log import NestedPlace, set_nested_place
from brickwork.limits import current_limits
from brickwork.problems import ErrorDetail, UnprocessableContent, pointer
from brickwork.query.keys import primary_key
from brickwork.query.lookup import base_statement, selected_model
from brickwork.query.related import key_of, load_lists
from brickwork.resource.defaults import new_row
from brickwork.resource.references import ReferenceScopes
from brickwork.schemas.names import Path, RequestPlace, input_paths
from brickwork.schemas.related import (
    RelatedField,
    proxied_fields,
    related_fields,
    stored_fields,
)
from brickwork.schemas.schema import Schema

M = TypeVar("M")

_INPUT: Final = "brickwork.input"
"""Key in the `info` of a row: the validated input that writes it."""

_LOADED: Final = "brickwork.loaded"
"""Key in the `info` of a row: the relationships that are loaded for a change."""


_LISTS_OF_BATCH: Final = 10
"""How many full lists of related rows a batch may have. Flushes of more would take too long."""


class _Owner(Protocol):
    """The interface of a resource for its related rows."""

    session: AsyncSession

    def reference_scopes(self) -> ReferenceScopes:
        """Return the rows that an attribute may refer to."""
        ...


@dataclass(frozen=True)
class Input:
    """The validated input of one row, and its place in the body."""

    data: BaseModel
    path: Path = ()
    """The index in a batch. Empty for a single row."""


def set_input(row: object, data: BaseModel) -> None:
    """Record that *data* is the validated input that writes *row*."""
    inspect(row).info[_INPUT] = data


def input_of(row: object) -> BaseModel | None:
    """Return the validated input that writes *row*. None if no request writes it."""
    data: BaseModel | None = inspect(row).info.get(_INPUT)
    return data


def require_few(schema: type[Schema], model: type[object], items: Sequence[Schema]) -> None:
    """Raise `UnprocessableContent` if a batch of *items* has too many related rows."""
    maximum = _LISTS_OF_BATCH * current_limits.get().related
    fields = related_fields(schema, model).values()
    total = 0
    for index, item in enumerate(items):
        for field in fields:
            total += len(getattr(item, field.name) or ())
            if total > maximum:
                text = f"A batch may have {maximum} related rows: send several batches."
                place = pointer(index, *field.path)
                detail = ErrorDetail(
                    code="too_long", detail=text, pointer=place, max_length=maximum
                )
                raise UnprocessableContent(text, errors=[detail])


# --- New rows -------------------------------------------------------------------------------------


async def new_rows(
    resource: _Owner, model: type[M], schema: type[Schema], inputs: Sequence[Input]
) -> list[M]:
    """Return a new row of *model* for each of *inputs*, with its related rows.

    Related rows that exist are loaded by one statement for each field of *schema*. Raises
    `UnprocessableContent` with the keys of missing rows.
    """
    columns = stored_fields(schema, model)
    rows = [new_row(model, one.data, columns) for one in inputs]
    fields = related_fields(schema, model).values()
    targets = _Targets(resource)
    for row, one in zip(rows, inputs, strict=True):
        set_input(row, one.data)
        _set_proxied_places(row, schema)
        for field in fields:
            if field.kind == "rows":
                items = getattr(one.data, field.name) or ()
                targets.missing |= unknown_keys(field, items, (), *one.path)
                children = [new_child(row, field, n, item) for n, item in enumerate(items)]
                setattr(row, field.attribute, children)
    for field in fields:
        if field.kind == "keys":
            for row, found in zip(rows, await targets.find(field, inputs), strict=True):
                setattr(row, field.attribute, found)
    targets.require_all_found()
    return rows


def unknown_keys(
    field: RelatedField, items: Sequence[BaseModel], known: Collection[object], *before: str | int
) -> set[RequestPlace]:
    """Return the places of keys in *items* that name none of the *known* rows."""
    if not field.finds_rows:
        return set()
    path = input_paths(field.item)[field.key]
    keys = [sent_key(field, item) for item in items]
    return {
        ("pointer", pointer(*before, *field.path, index, *path))
        for index, key in enumerate(keys)
        if key is not None and key not in known
    }


def sent_key(field: RelatedField, item: BaseModel) -> Any:
    """Return the key of the row that *item* of *field* names. None for a new row."""
    return primary_key(field.model).stored(getattr(item, field.key))


def new_child(row: object, field: RelatedField, index: int, item: BaseModel) -> Any:
    """Return a new related row of *row* with the values of *item*, at *index* of *field*."""
    child = new_row(field.model, item, field.columns())
    set_place(child, row, field, index)
    return child


def set_place(child: object, row: object, field: RelatedField, index: int) -> None:
    """Record that the body of *row* has *child* at *index* of *field*."""
    path = (*field.path, index)
    set_nested_place(child, NestedPlace(row, field.attribute, path, input_paths(field.item)))


def _set_proxied_places(row: object, schema: type[Schema]) -> None:
    """Record which fields of the body have made related rows of *row* by association proxies."""
    proxies = proxied_fields(schema, type(row))
    if not proxies:
        return
    paths = input_paths(schema)
    for name, proxy in proxies.items():
        by = proxy.relationship
        same = {n: other for n, other in proxies.items() if other.relationship is by}
        whole: Mapping[str, Path] = {other.value: paths[n] for n, other in same.items()}
        is_list = isinstance(getattr(row, by.key), list)  # other collections have no order
        for index, child in enumerate(_rows_in(row, by)):
            path: Path = (*paths[name], index) if is_list else ()
            fields: Mapping[str, Path] = {proxy.value: ()} if is_list else whole
            set_nested_place(child, NestedPlace(row, by.key, path, fields))


def _rows_in(row: object, by: RelationshipProperty[Any]) -> Sequence[Any]:
    """Return the related rows of a new *row*."""
    related: Any = getattr(row, by.key)
    if by.uselist:
        return [*collection_adapter(related)]
    return [] if related is None else [related]


class _Targets:
    """The existing rows that lists of keys name."""

    def __init__(self, resource: _Owner) -> None:
        self._session = resource.session
        self._scopes = resource.reference_scopes()
        self.missing: set[RequestPlace] = set()
        """The places of keys of missing rows."""

    async def find(
        self,
        field: RelatedField,
        inputs: Sequence[Input],
        current: Sequence[Sequence[Any]] | None = None,
    ) -> list[list[Any]]:
        """Return the rows for the keys that each of *inputs* has in *field*.

        *current* are the rows that each has already; these need not be in the scope.
        """
        known = [{key_of(row): row for row in rows} for rows in current or [()] * len(inputs)]
        stored = primary_key(field.model).stored
        lists = [[*map(stored, getattr(one.data, field.name) or ())] for one in inputs]
        pairs = zip(lists, known, strict=True)
        wanted = {key for keys, own in pairs for key in keys if key not in own}
        found = await self._load(field, wanted) if wanted else {}
        result: list[list[Any]] = []
        for one, keys, own in zip(inputs, lists, known, strict=True):
            rows = {**found, **own}
            result.append([rows[key] for key in keys if key in rows])
            self.missing |= {
                ("pointer", pointer(*one.path, *field.path, n))
                for n, key in enumerate(keys)
                if key not in rows
            }
        return result

    async def _load(self, field: RelatedField, keys: Iterable[object]) -> dict[object, Any]:
        scope = self._scopes.get(field.attribute)
        statement = base_statement(field.model) if scope is None else scope
        model: type[object] = selected_model(statement)
        rows = await self._session.scalars(statement.where(primary_key(model).is_in([*keys])))
        return {key_of(row): row for row in rows}

    def require_all_found(self) -> None:
        """Raise `UnprocessableContent` if a row is missing, or outside its scope."""
        if self.missing:
            raise reference_not_found(self.missing)


# --- Changes --------------------------------------------------------------------------------------


async def prepare_changes(
    resource: _Owner,
    rows: Sequence[object],
    schema: type[Schema],
    inputs: Sequence[Input],
    changes: Sequence[dict[str, Any]],
) -> None:
    """Load the related rows that *changes* of *rows* replace, and the rows that they name.

    A list of keys in *changes* becomes a list of rows, under the name of the relationship. Raises
    `UnprocessableContent` with the keys of missing rows.
    """
    for row, one in zip(rows, inputs, strict=True):
        set_input(row, one.data)
    targets = _Targets(resource)
    kind: Any = type(resource)
    for field in related_fields(schema, kind.model).values():
        sent = [n for n, change in enumerate(changes) if field.name in change]
        if not sent:
            continue
        written = [rows[n] for n in sent]
        names = field.item.model_fields  # with which the changes are compared
        lists = await _load(resource.session, written, field.relationship, names)
        if field.kind == "keys":
            own = [inputs[n] for n in sent]
            for n, found in zip(sent, await targets.find(field, own, lists), strict=True):
                del changes[n][field.name]
                changes[n][field.attribute] = found
    targets.require_all_found()


async def _load(
    session: AsyncSession,
    rows: Sequence[object],
    by: RelationshipProperty[Any],
    names: Iterable[str],
) -> list[list[Any]]:
    """Load the lists of the relationship *by* for *rows*, and return them."""
    lists = await load_lists(session, rows, by, names)
    for row, related in zip(rows, lists, strict=True):
        set_committed_value(row, by.key, related)
        inspect(row).info.setdefault(_LOADED, set()).add(by.key)
    return lists


async def take_loaded(
    session: AsyncSession, row: object, by: RelationshipProperty[Any], names: Iterable[str] = ()
) -> list[Any]:
    """Return the related rows of *row* before a change, loaded by `prepare_changes` or now.

    Their attributes *names* are loaded, also deferred ones.
    """
    if not inspect(row).persistent:
        return [*getattr(row, by.key)]
    loaded: set[str] = inspect(row).info.get(_LOADED, set())
    if by.key not in loaded:
        await _load(session, [row], by, names)
    inspect(row).info[_LOADED].discard(by.key)
    return [*getattr(row, by.key)]
