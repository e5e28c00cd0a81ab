"""Values of new and replaced rows, with their defaults."""

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel
from sqlalchemy import ARRAY, Column, Connection, event, inspect, literal_column, null
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy.orm.attributes import set_committed_value

from brickwork.models.caching import cached_per_model
from brickwork.models.numeric import has_places, quantize
from brickwork.schemas.derived import column_bounds
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")

_NULLS: Final = "brickwork.nulls"
"""Key in the `info` of a new row: the names of its attributes that must be NULL."""

_NULL: Final = null()


def new_row(model: type[M], data: BaseModel, fields: Collection[str]) -> M:
    """Return a new row of *model* with the values that *data* has for *fields*, all of columns.

    A field that the client sent as null is stored as NULL. An omitted field has the default of the
    schema. If that is None, it has the default of the column. SQLAlchemy alone would store the
    default of the column in both cases.
    """
    row = model(**data.model_dump(include={*fields}))
    for name in _omitted_fields(model, data, fields):
        vars(row).pop(
            _attributes_with_default(model)[name], None
        )  # else a JSON column would store null
    if nulls := _null_attributes(model, data, fields):
        _listen_for_nulls(model)
        inspect(row).info[_NULLS] = nulls
    return row


def replacement_values(row: object, data: BaseModel, fields: Collection[str]) -> dict[str, Any]:
    """Return the values for *fields* of a *row* that *data* replaces.

    An omitted field has the value that it would have in a new row. A default that only the database
    can compute is an SQL expression.
    """
    values = data.model_dump(include={*fields})
    model = type(row)
    for name in _omitted_fields(model, data, fields):
        values[name] = _column_default(
            mapped_columns(model)[_attributes_with_default(model)[name]], values
        )
    return values


def _omitted_fields(model: type[object], data: BaseModel, fields: Collection[str]) -> Iterator[str]:
    """Yield the omitted *fields* that have a default in the column alone."""
    for name in _attributes_with_default(model).keys() & {*fields} - data.model_fields_set:
        if getattr(data, name) is None:
            yield name


def _null_attributes(
    model: type[object], data: BaseModel, fields: Collection[str]
) -> Collection[str]:
    """Return the attributes with a default for which the client sent null."""
    attributes = _attributes_with_default(model)
    sent = attributes.keys() & {*fields} & data.model_fields_set
    return {attributes[name] for name in sent if getattr(data, name) is None}


@cached_per_model
def _attributes_with_default(model: type[object]) -> Mapping[str, str]:
    """Return the attributes with a default, except the key, by their names and synonyms."""
    own = {
        name: name
        for name, column in mapped_columns(model).items()
        if not column.primary_key
        if column.default is not None or column.server_default is not None
    }
    synonyms = inspect(model).synonyms.items()
    return own | {name: synonym.name for name, synonym in synonyms if synonym.name in own}


@cached_per_model
def _listen_for_nulls(model: type[object]) -> None:
    """Register the listeners that store the NULLs of new rows of *model*."""
    event.listen(model, "before_insert", _set_nulls, propagate=True)
    event.listen(model, "after_insert", _clear_nulls, propagate=True)


def _set_nulls(_: Mapper[Any], _c: Connection, row: object) -> None:
    state: InstanceState[Any] = inspect(row)
    # A method of the resource may have given the attribute a value meanwhile.
    names = [*state.info.get(_NULLS, ())]
    state.info[_NULLS] = {name for name in names if _is_null(state.dict.get(name))}
    for name in state.info[_NULLS]:
        # None would ask SQLAlchemy for the default, unless the type stores None by itself.
        if not mapped_columns(type(row))[name].type.should_evaluate_none:
            state.dict[name] = _NULL  # past the validators of the model


def _is_null(value: object) -> bool:
    return value is None or value is _NULL


def keep_decimal_places(_: Mapper[Any], _c: Connection, row: object) -> None:
    """Set the decimals of a flushed *row* to the places of their columns, as a SELECT does.

    A default or a method may have set 0 where the database holds 0.00. A hook of `after_insert` and
    `after_update`.
    """
    values = inspect(row).dict
    for name, places in _decimal_places(type(row)).items():
        value = values.get(name)
        if isinstance(value, Decimal | int) and has_places(number := Decimal(value), places):
            values[name] = quantize(number, places)


@cached_per_model
def _decimal_places(model: type[object]) -> Mapping[str, int]:
    """Return the places of the decimal columns of *model*, by the names of their attributes."""
    bounds = {name: column_bounds(column) for name, column in mapped_columns(model).items()}
    return {
        name: bound["decimal"]["decimal_places"]
        for name, bound in bounds.items()
        if "decimal" in bound and _holds_decimals(mapped_columns(model)[name])
    }


def _holds_decimals(column: Column[Any]) -> bool:
    return not isinstance(column.type, ARRAY) and getattr(column.type, "asdecimal", True)


def _clear_nulls(_: Mapper[Any], _c: Connection, row: object) -> None:
    for name in inspect(row).info.pop(_NULLS):
        set_committed_value(row, name, None)


def _column_default(column: Column[Any], values: Mapping[str, Any]) -> Any:
    """Return the default of *column*. None if a trigger or a sequence generates it."""
    if column.default is not None:
        return _python_default(column.default, values)
    expression = getattr(column.server_default, "arg", None)
    if isinstance(expression, str):
        quoted = expression.replace("'", "''")
        return cast("object", literal_column(f"'{quoted}'"))
    return expression


def _python_default(default: Any, values: Mapping[str, Any]) -> Any:
    if not default.is_callable:
        return getattr(default, "arg", None)
    make: Callable[[Any], Any] = default.arg
    return make(SimpleNamespace(current_parameters=values, get_current_parameters=lambda: values))
