"""Checks of the declaration of a list query."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import String
from sqlalchemy.orm import InstrumentedAttribute

from brickwork.models.columns import storage_type
from brickwork.query.filters import filtered_column, is_sortable, parse_filter
from brickwork.query.parameters import (
    CustomFilterMark,
    FieldsMark,
    SearchMark,
    SortMark,
    has_mark,
    sort_names,
)


def sort_columns(
    query: type[BaseModel], model: type[object]
) -> Iterator[InstrumentedAttribute[Any]]:
    """Yield the columns that *query* can sort by."""
    field = query.model_fields.get("sort")
    for name in sort_names(field.annotation) if field and has_mark(field, SortMark) else ():
        column = filtered_column(model, name)
        require_sortable(f"{query.__name__}.sort", column)
        yield column


def require_sortable(place: str, column: InstrumentedAttribute[Any]) -> None:
    """Raise `TypeError` unless databases sort *column* alike and its length is bounded."""
    if not is_sortable(column):
        raise TypeError(
            f"{place}: SQLite and PostgreSQL sort {column} differently. Remove it from the names."
        )
    kind = storage_type(column.expression.type)
    if isinstance(kind, String) and kind.length is None:
        raise TypeError(
            f"{place}: {column} has no length, and cursors contain it: declare one, String(200)."
        )


def check_names(query: type[BaseModel], standard: Mapping[str, FieldInfo]) -> None:
    """Raise `TypeError` for a field of *query* with a reserved name.

    *standard* are the parameters of every list.
    """
    for name, field in query.model_fields.items():
        for reserved in {name, *_aliases(field)}:
            if reserved in _RESERVED and not (
                reserved == name and _is_standard_parameter(name, field, standard)
            ):
                raise TypeError(
                    f"{query.__name__}.{name} replaces {_RESERVED[reserved]}. Rename a filter to "
                    f"{reserved}__eq. A parameter may change its default, not its type."
                )


def _aliases(field: FieldInfo) -> Iterator[str]:
    match field.validation_alias or field.alias:
        case str() as alias:
            yield alias
        case AliasChoices(choices=choices):
            yield from (choice for choice in choices if isinstance(choice, str))
        case _:
            return


def _is_standard_parameter(name: str, field: FieldInfo, standard: Mapping[str, FieldInfo]) -> bool:
    """Return whether *field* is the parameter *name* of every list, with any default."""
    if name in _MARKS:
        return has_mark(field, *_MARKS[name])
    if (known := standard.get(name)) is None:
        return False
    same = field.annotation == known.annotation
    return same and all(mark in field.metadata for mark in known.metadata)


_MARKS: Final = {"q": (SearchMark, CustomFilterMark), "sort": (SortMark, CustomFilterMark)}
"""The metadata of parameters that a query declares itself."""

_RESERVED: Final = {
    **{
        name: f"the parameter {name}"
        for name in ("count", "cursor", "limit", "offset", "q", "sort")
    },
    **{name: f"ListQuery.{name}" for name in ("filter", "search_fields", "sort_keys")},
}
"""Reserved names, and what they mean."""


def check_search(query: type[BaseModel], model: type[object], columns: Sequence[str]) -> None:
    """Raise `TypeError` unless *query* has a search of text *columns*, or neither."""
    field = query.model_fields.get("q")
    if bool(field and has_mark(field, SearchMark)) != bool(columns):
        raise TypeError(
            f"{query.__name__} needs both q: Search and the columns in search_fields, or neither."
        )
    for name in columns:
        parse_filter(model, f"{name}__icontains", str)


def has_fields_parameter(query: type[BaseModel]) -> bool:
    """Return whether clients of *query* can choose fields.

    Raises `TypeError` if the parameter has another name than `fields`.
    """
    names = [name for name, field in query.model_fields.items() if has_mark(field, FieldsMark)]
    if [*names, "fields"][0] != "fields" or len(names) > 1:
        raise TypeError(f"{query.__name__}.{names[0]} is of the type Fields: call it fields.")
    return bool(names)
