"""Column values that a read schema accepts, and samples of them."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import Enum as PythonEnum
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo
from sqlalchemy import (
    JSON,
    TEXT,
    VARCHAR,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Enum,
    Integer,
    SmallInteger,
    String,
    Text,
    Unicode,
    UnicodeText,
    and_,
    collate,
    false,
    func,
    literal,
    or_,
    type_coerce,
)
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from brickwork.models.model import JSONDocument, UTCDateTime
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.strictness import INT64
from brickwork.sqlalchemy_internals import variant_types
from brickwork.tracking.changes import mapped_columns

_SAMPLES: Final[Mapping[object, Any]] = {
    bool: False,
    date: date(2000, 1, 1),
    datetime: datetime(2000, 1, 1, tzinfo=UTC),
    float: 0.0,
    int: 0,
    str: "",
    time: time(0),
    UUID: UUID(int=0),
}

_PLAIN_TYPES: Final[Mapping[type, type]] = {
    **dict.fromkeys((String, Text, Unicode, UnicodeText, VARCHAR, TEXT), str),
    **dict.fromkeys((Integer, BigInteger, SmallInteger), int),
    Boolean: bool,
}
"""Python types of the columns whose values can be compared with a list of choices."""

_NEUTRAL_SETTINGS: Final = {
    *("from_attributes", "title", "validate_by_name", "validate_by_alias", "populate_by_name"),
}
"""Schema settings that do not change which values a schema accepts."""


@dataclass(frozen=True)
class Acceptance:
    """The values of a column that the read schema accepts."""

    sample: Any
    """One of the values."""
    null: bool
    """Whether NULL is among them."""
    choices: frozenset[tuple[type, Any]] | None = None
    """The only values that are not NULL, with their types. None for all values in the bounds."""
    stored: Sequence[Any] = ()
    """The choices as the database stores them."""
    bounds: Sequence[int | None] = (None, None)
    """The smallest and the largest integer. None for no bound."""
    excludes_null: bool = False
    """Whether the column may be NULL and the read schema rejects None."""

    @property
    def is_total(self) -> bool:
        """Return whether the read schema accepts every value of the column."""
        return self.choices is None and not self.excludes_null and {*self.bounds} == {None}

    def covers(self, value: object) -> bool:
        """Return whether *value* is certainly accepted. False if only a trial can tell."""
        if value is None:
            return self.null
        if self.choices is not None:
            return any(type(value) is kind and value == choice for kind, choice in self.choices)
        if type(value) is not type(self.sample) or isinstance(value, dict):
            return False
        return _is_within(value, self.bounds)

    def build_condition(self, column: Column[Any], dialect: Dialect) -> ColumnElement[bool]:
        """Build the condition of the rows whose value of *column* is accepted.

        It is exact: no collation or padding makes different texts equal.
        """
        low, high = self.bounds
        conditions = [
            *([column >= literal(low, BigInteger)] if low is not None else []),
            *([column <= literal(high, BigInteger)] if high is not None else []),
        ]
        if self.choices is not None:
            conditions.append(or_(false(), *_equal_to(column, self.stored, dialect)))
        accepted = and_(column.is_not(None), *conditions)
        return or_(column.is_(None), accepted) if self.null else accepted


def _is_within(value: Any, bounds: Sequence[int | None]) -> bool:
    low, high = bounds
    return (low is None or value >= low) and (high is None or value <= high)


def _equal_to(
    column: Column[Any], values: Sequence[Any], dialect: Dialect
) -> Iterator[ColumnElement[bool]]:
    if not isinstance(column.type, String):
        yield from (column == literal(value, column.type) for value in values)
    elif dialect.name == "postgresql":
        # Unlike a cast, concat() keeps the padding of CHAR, and the case of citext.
        text: ColumnElement[Any] = func.concat(column).collate("C")
        yield from (text == literal(value, String()) for value in values)
    else:
        text = collate(type_coerce(column, String()), "BINARY")
        is_text = func.typeof(column) == literal("text")
        yield from (and_(is_text, text == literal(value, String())) for value in values)


def acceptances(definition: ResourceDefinition[Any]) -> Mapping[str, Acceptance]:
    """Return the accepted values of the columns for which they are known."""
    model: type[object] = definition.model
    columns = mapped_columns(model)
    if definition.read.model_config.keys() - _NEUTRAL_SETTINGS:
        return {}
    return {
        name: acceptance
        for name, field in definition.read.model_fields.items()
        if name in columns
        and (acceptance := _acceptance(definition, name, columns[name], field)) is not None
    }


def sample_values(definition: ResourceDefinition[Any]) -> Mapping[str, Any]:
    """Return a sample value for each column whose every value the read schema accepts.

    The type of a column determines its possible values. The read schema may reject a value of an
    absent column: the response would fail, so that such a row must not be stored.
    """
    known = acceptances(definition).items()
    return {name: acceptance.sample for name, acceptance in known if acceptance.is_total}


def _acceptance(
    definition: ResourceDefinition[Any], name: str, column: Column[Any], field: FieldInfo
) -> Acceptance | None:
    """Return the values of *column* that *field* accepts. None if they are not known."""
    accepted = _union_members(field.annotation)
    null, kind = NoneType in accepted, column.type
    if Any in accepted:
        return None if field.metadata else Acceptance(None, null=True)
    excludes_null = bool(column.nullable) and not null
    if excludes_null and isinstance(kind, TypeDecorator) and type(kind) is not UTCDateTime:
        return None  # its code may turn another value into None
    if isinstance(kind, JSON | JSONDocument):
        is_known = _is_object_only(definition, name, field) and not field.metadata
        return Acceptance({}, null) if is_known and not excludes_null else None
    python_type = _python_type(column)
    if python_type in accepted and python_type in _SAMPLES:
        is_integer = _plain_type(column) is int and accepted <= {int, NoneType}
        bounds = _integer_bounds(field.metadata) if is_integer else None
        if field.metadata and not bounds:
            return None
        low, high = bounds or (None, None)
        sample = _SAMPLES[python_type] if bounds is None else _clamp(0, low, high)
        return Acceptance(sample, null, bounds=(low, high), excludes_null=excludes_null)
    return None if field.metadata else _choice(column, accepted)


def _clamp(value: int, low: int | None, high: int | None) -> int:
    value = value if low is None else max(low, value)
    return value if high is None else min(high, value)


def _integer_bounds(metadata: Sequence[Any]) -> Sequence[int | None] | None:
    """Return the smallest and the largest integer. None if *metadata* has more than bounds."""
    low, high = INT64
    for item in metadata:
        match item:
            case Ge(int() as bound):
                low = max(low, bound)
            case Gt(int() as bound):
                low = max(low, bound + 1)
            case Le(int() as bound):
                high = min(high, bound)
            case Lt(int() as bound):
                high = min(high, bound - 1)
            case _:
                return None
    if low > high:
        return None
    return (None if low == INT64[0] else low, None if high == INT64[1] else high)


def _choice(column: Column[Any], accepted: AbstractSet[object]) -> Acceptance | None:
    """Return the values of a `Literal` or an enumeration. None for other types."""
    values: list[Any] = []
    for kind in accepted - {NoneType}:
        if get_origin(kind) is Literal:
            values += get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, PythonEnum):
            values += kind
        elif kind is not str or type(column.type) is not Enum:
            return None
    null = NoneType in accepted or None in values
    pairs = [*_stored_choices(column, values, any_text=str in accepted)]
    if not pairs:
        return None
    choices: set[tuple[type, Any]] = {(type(value), value) for value, _ in pairs}
    # A column of a plain type returns the stored value instead of the member.
    choices |= {(type(stored), stored) for _, stored in pairs if type(column.type) is not Enum}
    sample = pairs[0][0] if type(column.type) is Enum else pairs[0][1]
    return Acceptance(sample, null, frozenset(choices), [stored for _, stored in pairs])


def _stored_choices(
    column: Column[Any], values: Sequence[Any], *, any_text: bool
) -> Iterator[tuple[Any, Any]]:
    """Yield each of *values* that *column* can hold, with the stored value."""
    kind: Any = column.type
    if type(column.type) is Enum and not variant_types(kind):
        decode: Any = kind.result_processor(DefaultDialect(), None)
        for stored in kind.enums:
            value = decode(stored)
            known = any(type(value) is type(choice) and value == choice for choice in values)
            if known or (any_text and type(value) is str):
                yield value, stored
        return
    plain = _plain_type(column)
    for value in values:
        member: Any = value.value if isinstance(value, PythonEnum) else value
        if plain is not None and type(member) is plain:
            yield value, member


def _plain_type(column: Column[Any]) -> type | None:
    """Return the Python type of a *column* that stores values unchanged. None for others."""
    kind: Any = column.type
    parts = cast("Sequence[object]", (kind, *variant_types(kind).values()))
    types = {_PLAIN_TYPES.get(type(part)) for part in parts}
    return types.pop() if len(types) == 1 else None


def _is_object_only(definition: ResourceDefinition[Any], name: str, field: FieldInfo) -> bool:
    """Return whether all schemas declare the JSON field *name* as an object or null."""
    inputs = [schema.model_fields.get(name) for schema in (definition.create, definition.update)]
    annotations = {field.annotation, *(declared.annotation for declared in inputs if declared)}
    return annotations <= {dict[str, Any], dict[str, Any] | None}


def _union_members(annotation: object) -> AbstractSet[object]:
    """Return the types in a union, or the single type."""
    unions = {Union, UnionType}
    return {*get_args(annotation)} if get_origin(annotation) in unions else {annotation}


def _python_type(column: Column[Any]) -> type[Any] | None:
    """Return the Python type of the values of *column*. None if its type does not declare one."""
    # An Enum may hold an unknown value, and a decorator runs its own code.
    undeclared = {Enum, TypeDecorator, TypeEngine}
    base = next(
        cls for cls in type(column.type).__mro__ if cls in undeclared or "python_type" in vars(cls)
    )
    return None if base in undeclared else column.type.python_type
