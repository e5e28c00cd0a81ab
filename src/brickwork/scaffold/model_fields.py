"""The fields of schemas that fit a mapped model."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Column, Enum as EnumType, String, Table, Text, inspect
from sqlalchemy.orm import Mapped, Mapper

from brickwork.models.columns import ColumnValues, column_values, storage_type
from brickwork.models.generated_keys import is_generated_key
from brickwork.models.model import Versioned, is_deleted_marker
from brickwork.models.soft_delete import SoftDelete
from brickwork.query.filters import is_sortable, python_type
from brickwork.query.index_check import has_index
from brickwork.schemas.derived import column_bounds

SECRETS: Final = ("password", "passwd", "secret", "token", "api_key", "private_key")
"""Parts of the names of columns that no response shows."""

_IMPORTS: Final = {
    date: "from datetime import date",
    datetime: "from datetime import datetime",
    time: "from datetime import time",
    timedelta: "from datetime import timedelta",
    Decimal: "from decimal import Decimal",
    UUID: "from uuid import UUID",
}


def is_secret(name: str) -> bool:
    """Return whether no response shows a column called *name*."""
    return any(part in name for part in SECRETS)


@dataclass(frozen=True)
class ModelField:
    """A column of a model, as the schemas need it."""

    name: str
    kind: str
    """The annotation of a value that is not null."""
    nullable: bool
    limits: tuple[str, ...] = ()
    """The metadata of the annotation in a request."""
    default: str | None = None
    """The source of the value of an omitted field. None: the field is required."""
    is_key: bool = False
    is_input: bool = True
    is_shown: bool = True
    is_filter: bool = False
    is_sort: bool = False
    is_searched: bool = False
    imports: frozenset[str] = frozenset()
    choices: tuple[str, ...] = ()
    """The values of a column of choices, which get a name of their own."""


def model_fields(model: type[object]) -> list[ModelField]:
    """Return the fields of *model*, in the order of its columns.

    Raises:
        TypeError: The databases store a column differently.

    """
    mapper: Mapper[Any] = inspect(model)
    mapper.registry.configure()
    return [*_fields(model, mapper)]


def _fields(model: type[object], mapper: Mapper[Any]) -> Iterator[ModelField]:
    annotations = _annotations(model)
    for name, column in mapper.columns.items():
        hidden = name.startswith("_") or is_deleted_marker(column) or _is_soft_delete(model, name)
        if not hidden and type(column) is Column:  # and no expression
            yield _field(model, name, column, annotations.get(name))


def _is_soft_delete(model: type[object], name: str) -> bool:
    return issubclass(model, SoftDelete) and name in {"deleted_at", "is_deleted"}


def _is_version(model: type[object], name: str) -> bool:
    return issubclass(model, Versioned) and name == "version"


def _annotations(model: type[object]) -> dict[str, Any]:
    """Return the types in the annotations of *model*, as far as they can be resolved."""
    try:
        hints = get_type_hints(model)
    except Exception:  # noqa: BLE001 — a name may exist for type checkers only
        return {}
    return {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is Mapped}


def _field(model: type[object], name: str, column: Column[Any], annotation: Any) -> ModelField:
    mapper: Mapper[Any] = inspect(model)
    values = column_values(column, f"{model.__name__}.{name}")
    kind, imports = _annotation(values, column, annotation)
    hidden = is_secret(name)
    default = _default(column, values)
    is_key = column in mapper.primary_key
    is_version = column is mapper.version_id_col or _is_version(model, name)
    is_filter = not (hidden or is_key or is_version) and _is_filter(model, name, column)
    text, choices = _is_text(column, values), _choices(column, values)
    return ModelField(
        name,
        kind,
        nullable=bool(column.nullable),
        limits=_limits(column, values),
        default=default.source if default else None,
        is_key=is_key,
        is_input=not (
            is_generated_key(column)
            or is_version
            or column is mapper.polymorphic_on
            or default is _SERVER
            or column.onupdate is not None
            or mapper.polymorphic_abstract
        ),
        is_shown=not hidden,
        is_filter=is_filter,
        is_sort=is_filter and _is_sort(model, name, column),
        is_searched=text and not choices and not hidden and not is_key and not column.foreign_keys,
        imports=imports,
        choices=choices,
    )


def _annotation(
    values: ColumnValues, column: Column[Any], annotation: Any
) -> tuple[str, frozenset[str]]:
    """Return the annotation of *values*, and the imports that it needs."""
    if values.naive:
        return "NaiveUTC", frozenset({"from brickwork import NaiveUTC"})
    if values.is_uuid:
        return "UUID", frozenset({_IMPORTS[UUID]})
    if values.is_json:
        return _document(annotation), frozenset({"from typing import Any"})
    if choices := _choices(column, values):
        return f"Literal{[*choices]}", frozenset()
    if values.items:
        item, imports = _annotation(values.items, column, None)
        return f"list[{item}]", imports
    return _class(values.kind)


def _document(annotation: Any) -> str:
    """Return the annotation of a JSON column: an object, an array, or either."""
    kinds = {get_origin(part) or part for part in (get_args(annotation) or (annotation,))}
    if get_origin(annotation) is dict or kinds & {dict}:
        return "dict[str, Any]"
    if get_origin(annotation) is list or kinds & {list}:
        return "list[Any]"
    return "dict[str, Any] | list[Any]"


def _class(kind: type) -> tuple[str, frozenset[str]]:
    if kind.__module__ == "builtins":
        return kind.__name__, frozenset()
    outer, *_ = kind.__qualname__.split(".")
    return kind.__qualname__, frozenset(
        {_IMPORTS.get(kind, f"from {kind.__module__} import {outer}")}
    )


def _choices(column: Column[Any], values: ColumnValues) -> tuple[str, ...]:
    """Return the choices of *column* in the order of its declaration."""
    if values.choices:
        return tuple(getattr(storage_type(column.type), "enums", ()))
    texts = (str(one.sqltext) for one in _constraints(column) if isinstance(one, CheckConstraint))
    matches = (_CHOICES.fullmatch(text) for text in texts if _is_text(column, values))
    return next(
        (
            tuple(choice.replace("''", "'") for choice in _CHOICE.findall(match["choices"]))
            for match in matches
            if match and match["column"] == column.name
        ),
        (),
    )


def _constraints(column: Column[Any]) -> Iterable[object]:
    return column.table.constraints if _has_table(column) else ()


def _has_table(column: Column[Any]) -> bool:
    """Return whether *column* is a column of a table, and not of a query."""
    selected: Any = column.table
    return isinstance(selected, Table)


_CHOICES: Final = re.compile(
    r'"?(?P<column>\w+)"? IN \((?P<choices>\'(?:[^\']|\'\')*\'(?:, ?\'(?:[^\']|\'\')*\')*)\)',
    re.IGNORECASE,
)
"""A check constraint that lists the values of a text column."""

_CHOICE: Final = re.compile("'((?:[^']|'')*)'")


def _limits(column: Column[Any], values: ColumnValues) -> tuple[str, ...]:
    bounds = column_bounds(column)
    is_open = _is_text(column, values) and not _choices(column, values)
    if is_open and "str" in bounds:
        return (f"MaxLen({bounds['str']['max_length']})",)
    if values.kind is Decimal and "decimal" in bounds:
        digits, places = bounds["decimal"]["max_digits"], bounds["decimal"]["decimal_places"]
        return (f"Field(max_digits={digits}, decimal_places={places})",)
    return ()


# --- Defaults -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Default:
    """The source of a default."""

    source: str


_SERVER: Final = _Default("")
"""A value that the server makes, so that no request sends it."""


def _default(column: Column[Any], values: ColumnValues) -> _Default | None:
    """Return the default of an omitted value of *column*. None if a request must send it."""
    if column.computed is not None or column.identity is not None:
        return _SERVER
    if column.default is not None:
        default: Any = column.default
        if default.is_scalar:
            return _literal(default.arg, values.kind)
        return _empty_document(default, column) or _SERVER
    if column.server_default is not None:
        return _parse(getattr(column.server_default, "arg", None), values)
    if column.primary_key:
        return None
    return _Default("None") if column.nullable else None


def _literal(value: object, kind: type) -> _Default:
    """Return the source of *value*, a default of a column whose values are of *kind*."""
    match value:
        case Enum() if isinstance(value, kind) and issubclass(kind, Enum):
            return _Default(f"{kind.__qualname__}.{value.name}")
        case Enum():
            return _literal(value.value, kind)
        case int() | Decimal() if kind is Decimal:
            return _Default(f'Decimal("{value}")')
        case bool() | int() | float() | str():
            return _Default(repr(value))
        case dict() | list() if not value:
            return _Default("{}" if isinstance(value, dict) else "[]")
        case _:
            return _SERVER


def _empty_document(default: Any, column: Column[Any]) -> _Default | None:
    """Return the source of `default=dict` or `default=list` of a JSON column."""
    if not (default.is_callable and isinstance(storage_type(column.type), JSON)):
        return None
    made = cast("object", default.arg(None))
    return _Default(repr(made)) if made in ({}, []) else None


def _parse(default: Any, values: ColumnValues) -> _Default:
    """Return the value of a *default* of the database, if it is a constant."""
    text = str(getattr(default, "text", default)).strip().strip("'")
    number = text.removeprefix("-")
    if values.kind is bool and text.lower() in {"0", "1", "true", "false"}:
        return _Default(str(text.lower() in {"1", "true"}))
    if values.kind is int and number.isdecimal():
        return _Default(str(int(text)))
    if values.kind is str and (isinstance(default, str) or f"'{text}'" == str(default)):
        return _Default(repr(text))
    return _SERVER


# --- Lists ----------------------------------------------------------------------------------------


def _is_text(column: Column[Any], values: ColumnValues) -> bool:
    """Return whether *column* holds any text."""
    is_text = isinstance(storage_type(column.type), String) and values.kind is str
    return is_text and not values.choices and not values.is_uuid


def _is_filter(model: type[object], name: str, column: Column[Any]) -> bool:
    """Return whether lists are filtered by *column*. Long texts are for the search."""
    if column.onupdate is not None or isinstance(storage_type(column.type), Text):
        return False
    try:
        python_type(getattr(model, name))
    except TypeError:
        return False
    return True


def _is_sort(model: type[object], name: str, column: Column[Any]) -> bool:
    """Return whether *column* is an order of lists: it has an index, and its values an order."""
    attribute = getattr(model, name)
    kind = storage_type(column.type)
    return (
        is_sortable(attribute)
        and python_type(attribute) not in {bool, UUID}
        and not column.foreign_keys
        and not isinstance(kind, EnumType)
        and not (isinstance(kind, String) and kind.length is None)
        and _has_table(column)
        and has_index(column, column.table)
    )
