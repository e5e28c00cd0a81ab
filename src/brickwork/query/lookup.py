"""Reading of rows and pages."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from sqlalchemy import BindParameter, Dialect, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import LRUCache

from brickwork.database.unit_of_work import unit_of_work
from brickwork.models.caching import cached_per_model
from brickwork.models.soft_delete import DeletedFilter, soft_delete_conditions
from brickwork.problems import NotFound
from brickwork.query.keys import PrimaryKey, primary_key
from brickwork.query.statement_cache import cached_per_statement
from brickwork.sqlalchemy_internals import statement_cache_key

M = TypeVar("M")

_KEY_PARAM: Final = "brickwork_key"
"""The name of the parameter for the primary key of a row."""

_FINGERPRINTS: Final = LRUCache[Any, str](1000)
"""The SQL of statements by dialect and cache key."""


@cached_per_model
def base_statement(model: type[M], shown: DeletedFilter = "exclude") -> Select[M]:
    """Return the cached statement for the visible rows of *model*."""
    return select(model).where(*soft_delete_conditions(model, shown))


async def get_or_404(session: AsyncSession, rows: type[M] | Select[M], key: object) -> M:
    """Return the row with the primary key *key*, locked if *session* writes.

    The lock is held until the transaction ends, so that concurrent changes are not lost.

    Args:
        session: The session that reads the row.
        rows: A model, whose deleted rows are excluded, or a statement that selects one.
        key: A value of the key's type, or its text in a URL. It is a tuple of them for a key of
            several columns.

    Raises:
        NotFound: There is no such row. An invalid key is not looked up.

    """
    statement = base_statement(rows) if isinstance(rows, type) else rows
    model: type[object] = selected_model(statement)
    own = primary_key(model)
    if (value := own.parse(key)) is not None:
        locked = _lock_if_writing(session, where_key(statement))
        params = dict(zip(_key_params(own), own.parts(value), strict=True))
        row: M | None = await session.scalar(locked, params)
        if row is not None:
            return row
    raise NotFound(f"{model.__name__} not found")


async def get_all(
    session: AsyncSession, statement: Select[M], keys: Sequence[object]
) -> list[M | None]:
    """Return the row of each of *keys*, locked if *session* writes. None for a missing row.

    Rows are locked in the order of their keys, so that two requests cannot deadlock.
    """
    own = primary_key(selected_model(statement))
    values = [own.parse(value) for value in keys]
    selected = where_keys(statement, [value for value in values if value is not None])
    rows_by_key = {
        own.value_of(row): row
        for row in (await session.scalars(_lock_if_writing(session, selected))).unique()
    }
    return [rows_by_key.get(value) for value in values]


@cached_per_statement
def where_key(statement: Select[M]) -> Select[M]:
    """Return *statement* with a condition on the primary key, with a parameter for each column."""
    key = primary_key(selected_model(statement))
    return statement.where(*key.is_equal([*map(bindparam, _key_params(key))]))


def _key_params(key: PrimaryKey) -> Sequence[str]:
    """Return the names of the parameters for the columns of *key*."""
    return [f"{_KEY_PARAM}_{name}" for name in key.names] if key.is_composite else [_KEY_PARAM]


def where_keys(statement: Select[M], keys: Sequence[object] | BindParameter[Any]) -> Select[M]:
    """Return *statement* with a condition on the primary key, in the order of the key."""
    key = primary_key(selected_model(statement))
    return statement.where(key.is_in(keys)).order_by(*key.attributes)


def _lock_if_writing(session: AsyncSession, statement: Select[M]) -> Select[M]:
    return for_update(statement) if unit_of_work(session).writable else statement


@cached_per_statement
def for_update(statement: Select[M]) -> Select[M]:
    """Return *statement* with row locks, which last until the transaction ends."""
    return statement.with_for_update(of=selected_model(statement), key_share=True)


def select_keys(statement: Select[M]) -> Select[Any]:
    """Return *statement* with the columns of the primary key alone."""
    columns: Any = primary_key(selected_model(statement)).attributes
    selected: Any = statement.with_only_columns(*columns, maintain_column_froms=True)
    return cast("Select[Any]", selected)


def statement_fingerprint(statement: Select[Any], dialect: Dialect) -> str:
    """Return a text that identifies the scope of *statement*, without its datetimes."""
    key = statement_cache_key(statement)
    if key is None:
        compiled = select_keys(statement).compile(dialect=dialect)
        return _fingerprint_text(str(compiled), compiled.params.values())
    text = _FINGERPRINTS.get((dialect.name, key.key))
    if text is None:
        text = _FINGERPRINTS[dialect.name, key.key] = str(
            select_keys(statement).compile(dialect=dialect)
        )
    extracted = [value for _, value in sorted((key.params or {}).items())]
    return _fingerprint_text(text, [*(bind.effective_value for bind in key.bindparams), *extracted])


def _fingerprint_text(text: str, values: Iterable[object]) -> str:
    kept_values = {
        position: value for position, value in enumerate(values) if not isinstance(value, datetime)
    }
    return repr((text, kept_values))


@cached_per_statement
def selected_model(statement: Select[M]) -> type[M]:
    """Return the model that *statement* selects. Raises `TypeError` for other statements."""
    (first, *others) = statement.column_descriptions
    if others or first["expr"] is not first["entity"] or first["aliased"]:
        selected = ", ".join(str(column["name"]) for column in statement.column_descriptions)
        raise TypeError(f"query() selects {selected}: select only the model, without an alias.")
    model: type[M] = first["entity"]
    return model
