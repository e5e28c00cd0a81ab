"""Types of the parameters of lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast, get_args

from annotated_types import MaxLen
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from brickwork.query.filters import OPERATORS
from brickwork.query.ordering import SortKey

T = TypeVar("T")

_MAX_VALUES: Final = 100  # in one parameter

QUERY_DEFAULT: Final = "x-default"
"""The schema key of a default in query notation, which the OpenAPI document moves.

The document has no default if it is empty.
"""


@dataclass(frozen=True)
class CommaSeparated:
    """Metadata of a tuple: its values are separated by commas in one parameter."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Split the parameter, then validate each value."""
        return core_schema.no_info_before_validator_function(_split, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the style of the parameter, which the OpenAPI document moves out of the schema."""
        return handler(schema) | {"minItems": 1, "style": "form", "explode": False}


def _split(value: object) -> object:
    """Split *value*, which FastAPI passes as a list of the parameters of one name."""
    match value:
        case [str() as text] | (str() as text):
            return text.split(",")
        case _:
            return value


OneOf: TypeAlias = Annotated[tuple[T, ...], MaxLen(_MAX_VALUES), CommaSeparated()]
"""The type of `status__in: OneOf[Status] | None = None`: values separated by commas."""


@dataclass(frozen=True)
class SortMark(CommaSeparated):
    """Metadata of `sort`: sort keys by name, descending with a minus.

    *names* are pairs of an attribute and its name in queries. *default* is the default sort.
    """

    names: tuple[tuple[str, str], ...] = ()
    default: tuple[SortKey[str], ...] = ()

    @override
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        known = {
            self.text(key): key
            for name in sort_names(source)
            for key in (SortKey(name), SortKey(name, descending=True))
        }
        text = core_schema.no_info_before_validator_function(
            self.text, core_schema.literal_schema([*known])
        )
        key = core_schema.no_info_after_validator_function(known.__getitem__, text)
        keys = core_schema.tuple_variable_schema(key, max_length=_MAX_VALUES)
        split = core_schema.no_info_before_validator_function(_split, keys)
        return core_schema.nullable_schema(split)

    @override
    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Add the default in query notation, which Pydantic does not know."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        return written | {QUERY_DEFAULT: [self.text(key) for key in self.default]}

    def text(self, key: object) -> object:
        """Return *key* in query notation. Python code may pass a `SortKey`."""
        if not isinstance(key, SortKey):
            return key
        known = cast("SortKey[str]", key)
        return ("-" if known.descending else "") + dict(self.names).get(known.name, known.name)


def sort_names(annotation: Any) -> Sequence[str]:
    """Return the names in `tuple[SortKey[Literal[…]], ...] | None`."""
    (literal,) = get_args(get_args(get_args(annotation)[0])[0])
    names: Sequence[str] = get_args(literal)
    return names


SortBy: TypeAlias = Annotated[tuple[SortKey[T], ...] | None, SortMark()]
"""The type of `sort: SortBy[Literal["title", "views"]] = None`, with the sortable columns."""


@dataclass(frozen=True)
class SearchMark:
    """Metadata of `q`: the parameter of the search."""


Search: TypeAlias = Annotated[
    str | None,
    MaxLen(200),
    SearchMark(),
    Field(description="Words that the row must contain, ignoring case."),
]
"""The type of `q`, which searches the columns in `search_fields`."""


@dataclass(frozen=True)
class FieldsMark(CommaSeparated):
    """Metadata of `fields`: the names that a client can choose. Empty for any names."""

    names: tuple[str, ...] = ()

    @override
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        name = core_schema.literal_schema([*self.names]) if self.names else core_schema.str_schema()
        names = core_schema.tuple_variable_schema(name, max_length=_MAX_VALUES)
        split = core_schema.no_info_before_validator_function(_split, names)
        return core_schema.nullable_schema(split)


Fields: TypeAlias = Annotated[
    tuple[str, ...] | None,
    FieldsMark(),
    Field(description="The fields of each row in the response; all without it."),
]
"""The type of `fields: Fields = None`, with which clients choose fields of the read schema."""


@dataclass(frozen=True)
class CustomFilterMark:
    """Metadata of a parameter that is not a filter of a column."""


CustomFilter: Final = CustomFilterMark()
"""Marks a parameter for `filter`: `near: Annotated[str | None, CustomFilter] = None`."""


@dataclass(frozen=True)
class FilterMark:
    """Metadata of a field that stands for all filters of a column."""


Filter: TypeAlias = Annotated[T | None, FilterMark()]
"""The type of `title: Filter[str] = None`: a filter for each operator that fits the column.

The attribute has the value of `?title=`, and `title__gte` that of `?title__gte=`.
"""


class Operators:
    """Metadata of a `Filter`: the operators it stands for.

    `status: Annotated[Filter[str], Operators("eq", "in")] = None`.
    """

    def __init__(self, *names: str) -> None:
        """Take the names of operators. Raises `TypeError` for an unknown name, and for none."""
        unknown = [name for name in names if name not in OPERATORS]
        if unknown or not names:
            raise TypeError(
                f"Operators({', '.join(map(repr, names))}): name one or more of "
                f"{', '.join(OPERATORS)}."
            )
        self.names = frozenset(names)


def has_mark(field: FieldInfo, *kinds: type) -> bool:
    """Return whether *field* has metadata of one of *kinds*."""
    return any(isinstance(mark, kinds) for mark in field.metadata)
