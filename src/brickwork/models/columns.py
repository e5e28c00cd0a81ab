"""Column types that SQLite and PostgreSQL store alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from inspect import getattr_static
from types import NoneType
from typing import Any, Final, get_args, get_type_hints
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BIGINT,
    BLOB,
    BOOLEAN,
    CHAR,
    DATE,
    DATETIME,
    DECIMAL,
    DOUBLE_PRECISION,
    FLOAT,
    INTEGER,
    JSON,
    NCHAR,
    NUMERIC,
    REAL,
    SMALLINT,
    TEXT,
    TIME,
    TIMESTAMP,
    UUID as NATIVE_UUID,
    VARCHAR,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    UnicodeText,
    Uuid,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import NullType, TypeEngine
from typing_extensions import override

from brickwork.models.numeric import MAX_PRECISION
from brickwork.sqlalchemy_internals import variant_types


def storage_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that values of *kind* are stored as."""
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


@dataclass(frozen=True)
class ColumnValues:
    """The values of a column: their class, and its choices or the items of a list.

    A datetime is `naive` if the column holds it without a zone.
    """

    kind: type
    choices: frozenset[str] = frozenset()
    items: "ColumnValues | None" = None
    is_json: bool = False
    naive: bool = False
    is_uuid: bool = False
    """Whether the values are the texts of UUIDs, in lower case and with dashes."""

    @override
    def __str__(self) -> str:
        """Return the values as an annotation."""
        if self.choices:
            return f"Literal{sorted(self.choices)}"
        if self.naive:
            return "NaiveUTC"
        if self.is_uuid:
            return "UUID"
        if self.is_json:
            return "an object or an array of JSON"
        return f"list[{self.items}]" if self.items else self.kind.__name__


_TIMESTAMPS: Final = (postgresql.TIMESTAMP, sqlite.DATETIME)

_CLASSES: Final[Mapping[type[TypeEngine[Any]], type]] = {
    **dict.fromkeys((String, Text, Unicode, UnicodeText, VARCHAR, TEXT), str),
    **dict.fromkeys((SmallInteger, Integer, BigInteger, SMALLINT, INTEGER, BIGINT), int),
    **dict.fromkeys((Float, Double, FLOAT, DOUBLE_PRECISION), float),
    **dict.fromkeys((Boolean, BOOLEAN), bool),
    **dict.fromkeys((Date, DATE), date),
    **dict.fromkeys((Time, TIME), time),
    **dict.fromkeys((DateTime, DATETIME, TIMESTAMP, *_TIMESTAMPS), datetime),
    **dict.fromkeys((Interval, postgresql.INTERVAL), timedelta),
    **dict.fromkeys((Numeric, NUMERIC, DECIMAL), Decimal),
    **dict.fromkeys((LargeBinary, BLOB, postgresql.BYTEA), bytes),
    Uuid: UUID,
}
"""The Python classes of values, by SQLAlchemy type."""

_ENUMS: Final = {Enum, postgresql.ENUM}
_DOCUMENTS: Final = {JSON, postgresql.JSON, postgresql.JSONB, sqlite.JSON}
_LISTS: Final = {ARRAY, postgresql.ARRAY}

_OWN_TYPE: Final = "or a TypeDecorator with a python_type"

_REMEDIES: Final[Mapping[type[TypeEngine[Any]], str]] = {
    **dict.fromkeys((CHAR, NCHAR), "PostgreSQL fills it up with spaces. Use String."),
    PickleType: f"JSON has no such values. Use LargeBinary, JSONDocument, {_OWN_TYPE}.",
    NATIVE_UUID: "SQLite may read it as a number. Use Uuid, which is the same type in PostgreSQL.",
    REAL: "PostgreSQL rounds it to six digits. Use Double.",
}
"""Why a type is rejected, and the remedy."""

_SIX_DIGIT_PRECISION: Final = 24
"""The precision up to which PostgreSQL keeps six decimal digits of a float."""


def column_values(column: ColumnElement[Any], place: str) -> ColumnValues:
    """Return the values of *column*.

    Raises `TypeError` for a type that the databases store differently. *place* names the column.
    """
    if isinstance(column.type, NullType) and column.foreign_keys:
        (key,) = column.foreign_keys
        raise TypeError(f"{place} has the type of {key.target_fullname}: import its model before.")
    if isinstance(column.type, NullType) and not isinstance(column, Column):
        raise TypeError(
            f"{place} is an expression of no type: give it type_coerce(…, String(200))."
        )
    try:
        return _type_values(column.type)
    except _UnsupportedType as reason:
        raise TypeError(f"{place} is of the type {column.type!r}: {reason}") from None


class _UnsupportedType(TypeError):
    """The databases store a type differently. The text has the reason and the remedy."""


def type_variants(kind: TypeEngine[Any]) -> tuple[TypeEngine[Any], TypeEngine[Any]]:
    """Return the types that *kind* stands for on SQLite and on PostgreSQL."""
    variants = variant_types(kind)
    return variants.get("sqlite", kind), variants.get("postgresql", kind)


def require_comparable(column: ColumnElement[Any], place: str) -> None:
    """Raise `TypeError` for a *column* whose values SQLite stores in two formats of its own.

    SQL functions omit the microseconds, and a type of SQLite may write others.
    """
    on_sqlite = storage_type(type_variants(column.type)[0])
    if isinstance(on_sqlite, sqlite.DATETIME | sqlite.TIME) and has_sql_instants(column):
        raise TypeError(
            f"{place} gets values from SQL, which may differ in format from those that its type "
            "writes on SQLite: no filter would find them. Use DateTime or Time, or Python "
            "functions: mapped_column(default=…, onupdate=…)."
        )


def has_sql_instants(column: ColumnElement[Any]) -> bool:
    """Return whether SQL functions fill *column* with instants or times.

    SQLite's have no microseconds, which bound values have: as text, they differ.
    """
    is_instant = isinstance(storage_type(column.type), DateTime | Time)
    return is_instant and _has_sql_values(column)


def has_json_null(column: ColumnElement[Any]) -> bool:
    """Return whether *column* may hold the null of JSON instead of NULL."""
    kinds = (storage_type(variant) for variant in type_variants(column.type))
    return any(isinstance(kind, JSON) and not kind.none_as_null for kind in kinds)


def _has_sql_values(column: ColumnElement[Any]) -> bool:
    if not isinstance(column, Column):
        return False
    defaults = [value for value in (column.default, column.onupdate) if value is not None]
    by_sql = column.server_onupdate or (column.default is None and column.server_default)
    return bool(by_sql) or any(value.is_clause_element for value in defaults)


def _type_values(kind: TypeEngine[Any]) -> ColumnValues:
    on_sqlite, on_postgresql = (_variant_values(variant) for variant in type_variants(kind))
    if on_postgresql.items and on_sqlite.is_json and on_postgresql.items.kind in _JSON_SCALARS:
        return on_postgresql
    if on_sqlite != on_postgresql:
        raise _UnsupportedType(
            "its variants have values of different classes. Give them one class."
        )
    return on_sqlite


_JSON_SCALARS: Final = (str, int, float, bool)
_ITEM_TYPES: Final = (*_JSON_SCALARS, UUID, date, time, datetime)


def _variant_values(kind: TypeEngine[Any]) -> ColumnValues:
    """Return the values of *kind*, without its variants."""
    base = next(item for item in type(kind).__mro__ if item.__module__.startswith("sqlalchemy."))
    if base is TypeDecorator and isinstance(kind, TypeDecorator):
        return _decorator_values(kind)
    if remedy := _REMEDIES.get(base) or _remedy(kind):
        raise _UnsupportedType(remedy)
    if holds_uuid_text(kind):
        return ColumnValues(str, is_uuid=True)
    if base in _ENUMS:
        return _enum_values(kind)
    if base in _DOCUMENTS:
        return ColumnValues(object, is_json=True)
    if base in _LISTS:
        return _list_values(kind)
    if base in _CLASSES:
        naive = isinstance(kind, DateTime) and not kind.timezone
        return ColumnValues(_CLASSES[base], naive=naive)
    supported = ", ".join(
        dict.fromkeys(item.__name__ for item in _CLASSES if not item.__name__.isupper())
    )
    raise _UnsupportedType(
        f"Brickwork does not know it. Use {supported}, Enum, UTCDateTime, "
        f"ExactNumeric, JSONDocument, {_OWN_TYPE}."
    )


def _remedy(kind: TypeEngine[Any]) -> str | None:
    """Return the remedy for an unsupported argument of *kind*. None if all are supported."""
    match kind:
        case Float(precision=int(digits)) if digits <= _SIX_DIGIT_PRECISION:
            return _REMEDIES[REAL]
        case Time(timezone=True):
            return "SQLite drops the time zone. Leave out timezone=True, or use UTCDateTime."
        case _:
            return _decimal_remedy(kind)


def _decimal_remedy(kind: TypeEngine[Any]) -> str | None:
    match kind:
        case Float(asdecimal=True):
            return "floats round decimals. Use ExactNumeric(precision, scale)."
        case Numeric(asdecimal=False):
            return "floats round decimals. Leave out asdecimal=False, or use Double."
        case Numeric() if not (isinstance(kind, Float) or _is_exact_on_sqlite(kind)):
            return (
                f"SQLite keeps {_SQLITE_DIGITS} digits of it. Use ExactNumeric(precision, scale) "
                f"up to {MAX_PRECISION} digits, {_OWN_TYPE}."
            )
        case _:
            return None


def _is_exact_on_sqlite(kind: Numeric[Any]) -> bool:
    """Return whether a double, which SQLite stores, tells all values of *kind* apart."""
    precision, scale = kind.precision or 0, -1 if kind.scale is None else kind.scale
    return 0 <= scale <= precision <= _SQLITE_DIGITS


_SQLITE_DIGITS: Final = 15
"""The number of decimal digits that a double holds."""


def holds_uuid_text(kind: TypeEngine[Any]) -> bool:
    """Return whether the values of *kind* are the texts of UUIDs."""
    if isinstance(kind, TypeDecorator):
        return is_native_type(kind) and holds_uuid_text(kind.impl_instance)
    return isinstance(kind, Uuid) and not kind.as_uuid


def _enum_values(kind: Any) -> ColumnValues:
    if kind.enum_class:
        return ColumnValues(kind.enum_class)
    return ColumnValues(str, choices=frozenset(kind.enums))


def _list_values(kind: Any) -> ColumnValues:
    items = _type_values(kind.item_type)
    if (
        (kind.dimensions or 1) > 1
        or items.kind not in _ITEM_TYPES
        or items.choices
        or items.is_uuid
    ):
        names = ", ".join(item.__name__ for item in _ITEM_TYPES)
        raise _UnsupportedType(f"the items may be {names}. Use JSONDocument for others.")
    return ColumnValues(list, items=items)


def is_native_type(kind: TypeDecorator[Any]) -> bool:
    """Return whether *kind* passes values on unchanged to one type of both databases."""
    return not any(_overrides(kind, name) for name in _PROCESSING_METHODS) and all(
        kind.load_dialect_impl(dialect()) is kind.impl_instance for dialect in _DIALECTS
    )


_DIALECTS: Final[tuple[Any, ...]] = (sqlite.dialect, postgresql.dialect)

_PROCESSING_METHODS: Final = (
    "bind_expression",
    "bind_processor",
    "column_expression",
    "process_bind_param",
    "process_result_value",
    "result_processor",
)


def _decorator_values(kind: TypeDecorator[Any]) -> ColumnValues:
    if is_native_type(kind) and not _overrides(kind, "python_type"):
        return _type_values(kind.impl_instance)
    declared = _declared_class(kind)
    name = type(kind).__name__
    if declared is None:
        raise _UnsupportedType(
            f"it does not say the class of its values. Give {name} a python_type."
        )
    if not isinstance(storage_type(kind), JSON):
        return ColumnValues(declared)
    if not _overrides(kind, "compare_values"):
        raise _UnsupportedType(
            f"SQLAlchemy takes true for 1 in it. Let {name} inherit from JSONDocument."
        )
    return ColumnValues(object, is_json=True)


def _declared_class(kind: TypeDecorator[Any]) -> type | None:
    """Return the `python_type` of *kind*, or the class that `process_result_value` returns.

    None if *kind* says neither.
    """
    if _overrides(kind, "python_type"):
        return kind.python_type
    try:
        hint = get_type_hints(kind.process_result_value).get("return")
    except NameError:  # imported for type checkers only
        return None
    classes = {*(get_args(hint) or (hint,))} - {NoneType}
    only = classes.pop() if len(classes) == 1 else None
    return only if isinstance(only, type) else None


def _overrides(kind: TypeDecorator[Any], name: str) -> bool:
    """Return whether the class of *kind* overrides the attribute *name*."""
    return getattr_static(type(kind), name) is not getattr_static(TypeDecorator, name)
