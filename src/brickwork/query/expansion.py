"""Expansion of `Filter` fields into parameters."""

from collections.abc import Mapping, Set as AbstractSet
from copy import copy
from types import NoneType
from typing import Annotated, Any, Final, Union, get_args

from pydantic import AliasChoices, AliasGenerator, BaseModel, Field
from pydantic.fields import FieldInfo

from brickwork.models.proxies import find_proxy
from brickwork.query.filters import OPERATORS, fitting_operators, parse_filter
from brickwork.query.parameters import FilterMark, OneOf, Operators, has_mark

_EXPLICIT_ALIAS: Final = 2
"""The priority of an alias that a field declares, above that of a generator."""


def expand_filters(query: type[BaseModel], model: type[object]) -> AbstractSet[str] | None:
    """Replace each `Filter` field of *query* by one field for each of its operators.

    A field that *query* declares itself stays. Return the names of the `Filter` fields without
    equality, which are no parameters. None without a `Filter`. Raises `TypeError` for a `Filter`
    that does not fit its column.
    """
    fields = query.model_fields
    marked = {name for name, field in fields.items() if has_mark(field, FilterMark, Operators)}
    expanded: dict[str, FieldInfo] = {}
    for name, field in fields.items():
        made = _expand(query, model, name, field) if name in marked else {name: field}
        expanded |= {key: made[key] for key in made if key == name or key not in fields}
    query.__pydantic_fields__ = expanded
    return marked - expanded.keys() if marked else None


def _expand(
    query: type[BaseModel], model: type[object], name: str, field: FieldInfo
) -> Mapping[str, FieldInfo]:
    """Return the fields that the `Filter` *field* stands for. That of equality has its name."""
    place = f"{query.__name__}.{name}"
    if not has_mark(field, FilterMark):
        raise TypeError(f"{place} has Operators, but no Filter: annotate it Filter[…].")
    base = name.removesuffix("__eq")
    if "__" in base and base.rpartition("__")[2] in OPERATORS:
        raise TypeError(
            f"{place} is a Filter, which adds the operators itself. Leave out the operator in the "
            "name, or annotate it with the type of a value."
        )
    value = _value_annotation(field)
    chosen = [mark.names for mark in field.metadata if isinstance(mark, Operators)]
    try:
        column = parse_filter(model, name, value).column
    except TypeError as error:
        raise TypeError(
            f"{place}: {error} For a parameter that is no column, use CustomFilter."
        ) from None
    operators = [
        operator
        for operator in (OPERATORS if chosen else fitting_operators(column, value))
        if all(operator in names for names in chosen)
        and (chosen or operator != "isnull" or not find_proxy(model, base))
    ]
    made: dict[str, FieldInfo] = {}
    for operator in operators:
        if operator != "eq":
            made[f"{base}__{operator}"] = added = _operator_field(place, field, operator, value)
            _generate_alias(query, f"{base}__{operator}", added)
    return {name: _equality_field(field), **made} if "eq" in operators else made


def _value_annotation(field: FieldInfo) -> Any:
    """Return the annotation of a value of the `Filter` *field*, without None."""
    members = tuple(kind for kind in get_args(field.annotation) if kind is not NoneType)
    constraints = [mark for mark in field.metadata if not isinstance(mark, FilterMark | Operators)]
    value: Any = Union[members]  # noqa: UP007 — of a tuple
    return Annotated[(value, *constraints)] if constraints else value


def _equality_field(field: FieldInfo) -> FieldInfo:
    """Return the `Filter` *field* as a parameter that may be omitted."""
    field = copy(field)
    if field.is_required():
        field.default = None
    return field


def _operator_field(place: str, field: FieldInfo, operator: str, value: Any) -> FieldInfo:
    """Return the field of *operator* beside the `Filter` *field*."""
    kinds: dict[str, Any] = {"isnull": bool | None, "in": OneOf[value] | None}
    own: Any = Field(
        default=None,
        validation_alias=_operator_alias(place, field, operator),
        description=field.description,
        deprecated=field.deprecated,
    )
    return FieldInfo.from_annotated_attribute(kinds.get(operator, value | None), own)


def _operator_alias(place: str, field: FieldInfo, operator: str) -> str | AliasChoices | None:
    """Return the alias of *operator*. None unless the `Filter` *field* declares an alias."""
    if field.alias_priority != _EXPLICIT_ALIAS:
        return None
    match field.validation_alias or field.alias:
        case None:
            return None
        case str() as alias:
            return f"{alias}__{operator}"
        case AliasChoices(choices=choices) if all(isinstance(name, str) for name in choices):
            return AliasChoices(*(f"{name}__{operator}" for name in choices))
        case _:
            raise TypeError(f"{place} has an alias with a path: use text.")


def _generate_alias(query: type[BaseModel], name: str, field: FieldInfo) -> None:
    """Set in *field* the alias that the generator of *query* makes, as Pydantic does."""
    generator = query.model_config.get("alias_generator")
    if generator is None or field.validation_alias is not None:
        return
    if isinstance(generator, AliasGenerator):
        alias, validation_alias, serialization_alias = generator.generate_aliases(name)
    else:
        alias = validation_alias = serialization_alias = generator(name)
    field.alias, field.alias_priority = alias, 1
    field.validation_alias = validation_alias or alias
    field.serialization_alias = serialization_alias or alias
