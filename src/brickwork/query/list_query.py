"""Query parameters of lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
)

from annotated_types import Ge, MaxLen
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticUndefined,
    core_schema,
)
from sqlalchemy import Select, String, and_, or_
from sqlalchemy.orm import InstrumentedAttribute
from typing_extensions import override

from brickwork.database.text import icontains
from brickwork.limits import LimitedTo
from brickwork.models.columns import storage_type
from brickwork.models.model import is_mapped
from brickwork.query.aliases import alias_by_part, require_fixed_names, sort_alias
from brickwork.query.cursors import MAX_CURSOR_LENGTH
from brickwork.query.filters import Filter, filtered_column, is_sortable, parse_filter
from brickwork.query.ordering import SortKey
from brickwork.schemas.strictness import make_strict
from brickwork.schemas.types import full_annotation
from brickwork.signatures import check_methods

M = TypeVar("M")
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
class _SortMark(CommaSeparated):
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
            for name in _sort_names(source)
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


def _sort_names(annotation: Any) -> Sequence[str]:
    """Return the names in `tuple[SortKey[Literal[…]], ...] | None`."""
    (literal,) = get_args(get_args(get_args(annotation)[0])[0])
    names: Sequence[str] = get_args(literal)
    return names


SortBy: TypeAlias = Annotated[tuple[SortKey[T], ...] | None, _SortMark()]
"""The type of `sort: SortBy[Literal["title", "views"]] = None`, with the sortable columns."""


@dataclass(frozen=True)
class _SearchMark:
    """Metadata of `q`: the parameter of the search."""


Search: TypeAlias = Annotated[
    str | None,
    MaxLen(200),
    _SearchMark(),
    Field(description="Words that the row must contain, ignoring case."),
]
"""The type of `q`, which searches the columns in `search_fields`."""


@dataclass(frozen=True)
class _CustomFilterMark:
    """Metadata of a parameter that is not a filter of a column."""


CustomFilter: Final = _CustomFilterMark()
"""Marks a parameter for `filter`: `near: Annotated[str | None, CustomFilter] = None`."""


class ListQuery(BaseModel, Generic[M]):
    """The query parameters of a list. Each field of a subclass is a filter.

    - `views: int | None = None` compares for equality, and `views__gte` with an operator: `ne`,
      `gt`, `gte`, `lt`, `lte`, `in` (a `OneOf`), `contains`, `icontains`, `startswith`, `isnull`.
    - `author__name` compares a column of a related row.
    - `sort: SortBy[Literal["views"]] = None` lists the sortable columns.
    - `q: Search = None` searches the columns in `search_fields`.
    - A parameter marked `CustomFilter` is left to `filter`.

    Values are parsed from text, and validated as strictly as in a `Schema`. A field without a
    column in the model raises `TypeError`.
    """

    limit: Annotated[int, Ge(1), LimitedTo("page")] = Field(
        default=20, description="The maximum number of rows to return."
    )
    # Its default is not in openapi.json: generated clients would send it along with a cursor.
    offset: Annotated[int, Ge(0), LimitedTo("offset")] = Field(
        default=0,
        description="The number of rows to skip, without a cursor.",
        json_schema_extra={QUERY_DEFAULT: []},
    )
    cursor: Annotated[str, MaxLen(MAX_CURSOR_LENGTH)] | None = Field(
        default=None, description="The start of the page, from a Link header."
    )
    count: Literal["exact", "estimated"] | None = Field(
        default=None, description="Whether to count the rows of all pages."
    )

    __brickwork__: ClassVar = True
    __filters__: ClassVar[Mapping[str, Filter]] = {}
    __sorts__: ClassVar[Sequence[InstrumentedAttribute[Any]]] = ()
    search_fields: ClassVar[Sequence[str]] = ()

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if generator := cls.model_config.get("alias_generator"):  # before Pydantic applies it
            cls.model_config["alias_generator"] = alias_by_part(generator)

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        check_methods(cls, ListQuery, ("filter", "sort_keys"))
        if model := model_of_query(cls):
            require_fixed_names(cls)
            _check_names(cls)
            _apply_sort_names(cls, {})
            own = {k: v for k, v in cls.model_fields.items() if k not in ListQuery.model_fields}
            cls.__filters__ = {
                name: _parse_field(cls, model, name, field)
                for name, field in own.items()
                if not _has_mark(field)
            }
            cls.__sorts__ = [*_sort_columns(cls, model)]
            _check_search(cls, model)

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        strict: CoreSchema = make_strict(
            handler(source), handler.resolve_ref_schema, from_text=True
        )
        return strict

    @model_validator(mode="after")
    def _reject_cursor_with_offset(self) -> Self:
        if self.cursor is not None and "offset" in self.model_fields_set:
            error = PydanticCustomError("excluded", "Send a cursor or an offset, and not both.")
            details = InitErrorDetails(type=error, loc=("cursor",), input=...)
            raise ValidationError.from_exception_data("query", [details])
        return self

    def filter(self, statement: Select[M]) -> Select[M]:
        """Return *statement* with the filters and the search applied.

        Override it for parameters marked `CustomFilter`, and call `super().filter(statement)`.
        """
        for name, filter_ in self.__filters__.items():
            if (value := getattr(self, name)) is not None:
                statement = statement.where(filter_.to_clause(value))
        words = str(getattr(self, "q", None) or "").split()
        if words and (model := model_of_query(type(self))):
            columns = [filtered_column(model, name).expression for name in self.search_fields]
            conditions = (or_(*(icontains(column, word) for column in columns)) for word in words)
            statement = statement.where(and_(*conditions))
        return statement

    def sort_keys(self) -> Sequence[SortKey[str]]:
        """Return the sort keys, before the primary key. Override it for another default."""
        return getattr(self, "sort", None) or () if self.__sorts__ else ()


def model_of_query(query: type[BaseModel]) -> type[object] | None:
    """Return the model in the bases of *query*, `ListQuery[Article]`. None without one."""
    for base in query.__mro__:
        for argument in getattr(base, "__pydantic_generic_metadata__", {}).get("args", ()):
            if is_mapped(argument):
                return argument
    return None


def _has_mark(field: FieldInfo) -> bool:
    return any(
        isinstance(mark, _SortMark | _SearchMark | _CustomFilterMark) for mark in field.metadata
    )


def _parse_field(
    query: type[BaseModel], model: type[object], name: str, field: FieldInfo
) -> Filter:
    try:
        return parse_filter(model, name, full_annotation(field))
    except TypeError as error:
        raise TypeError(
            f"{query.__name__}.{name}: {error} Mark a parameter that filter() reads: "
            "Annotated[…, CustomFilter]."
        ) from None


def _sort_columns(
    query: type[BaseModel], model: type[object]
) -> Iterator[InstrumentedAttribute[Any]]:
    """Yield the columns that *query* can sort by."""
    field = query.model_fields.get("sort")
    marked = field and any(isinstance(mark, _SortMark) for mark in field.metadata)
    for name in _sort_names(field.annotation) if field and marked else ():
        column = filtered_column(model, name)
        require_sortable(f"{query.__name__}.sort", column)
        yield column


def require_sortable(place: str, column: InstrumentedAttribute[Any]) -> None:
    """Raise `TypeError` unless databases sort *column* alike and its length is bounded."""
    if not is_sortable(column):
        raise TypeError(f"{place}: SQLite and PostgreSQL sort {column} differently.")
    kind = storage_type(column.expression.type)
    if isinstance(kind, String) and kind.length is None:
        raise TypeError(
            f"{place}: {column} has no length, and cursors contain it: declare one, String(200)."
        )


def _check_names(query: type["ListQuery[Any]"]) -> None:
    """Raise `TypeError` for a field of *query* with a reserved name."""
    for name, field in query.model_fields.items():
        for reserved in {name, *_aliases(field)}:
            if reserved in _RESERVED and not _is_standard_parameter(reserved, name, field):
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


def _is_standard_parameter(reserved: str, name: str, field: FieldInfo) -> bool:
    """Return whether *field* is the parameter *reserved*, with any default."""
    if reserved != name:
        return False
    if name in _MARKS:
        return any(isinstance(mark, _MARKS[name]) for mark in field.metadata)
    if (standard := ListQuery.model_fields.get(name)) is None:
        return False
    same = field.annotation == standard.annotation
    return same and all(mark in field.metadata for mark in standard.metadata)


_MARKS: Final = {"q": (_SearchMark, _CustomFilterMark), "sort": (_SortMark, _CustomFilterMark)}
"""The metadata of parameters that a query declares itself."""

_RESERVED: Final = {
    **{
        name: f"the parameter {name}"
        for name in ("count", "cursor", "limit", "offset", "q", "sort")
    },
    **{name: f"ListQuery.{name}" for name in ("filter", "search_fields", "sort_keys")},
}
"""Reserved names, and what they mean."""


def _check_search(query: type[ListQuery[Any]], model: type[object]) -> None:
    field = query.model_fields.get("q")
    marked = bool(field and any(isinstance(mark, _SearchMark) for mark in field.metadata))
    if marked != bool(query.search_fields):
        raise TypeError(
            f"{query.__name__} needs both q: Search and the columns in search_fields, or neither."
        )
    for name in query.search_fields:
        parse_filter(model, f"{name}__icontains", str)


def with_sort_names(query: type[ListQuery[M]], shown: Mapping[str, str]) -> type[ListQuery[M]]:
    """Return *query* with the names that responses have for the sort columns."""
    sorting = _sort_mark(query, shown)
    if sorting is None or sorting in query.model_fields["sort"].metadata:
        return query
    named = create_model(query.__name__, __base__=query, __module__=query.__module__)
    _apply_sort_names(named, shown)
    return named


def _apply_sort_names(query: type[BaseModel], shown: Mapping[str, str]) -> None:
    """Make the `sort` of *query* accept the names that clients use for columns."""
    if sort_mark := _sort_mark(query, shown):
        field = query.model_fields["sort"]
        others = [mark for mark in field.metadata if not isinstance(mark, _SortMark)]
        field.metadata = [sort_mark, *others]
        query.model_rebuild(force=True)


def _sort_mark(query: type[BaseModel], shown: Mapping[str, str]) -> _SortMark | None:
    """Return the metadata for the `sort` of *query*. None without a `sort`.

    Raises `TypeError` for two columns with one name.
    """
    field = query.model_fields.get("sort")
    if not field or not any(isinstance(mark, _SortMark) for mark in field.metadata):
        return None
    aliases = {name: sort_alias(query, name, shown) for name in _sort_names(field.annotation)}
    if len({*aliases.values()}) < len(aliases):
        raise TypeError(f"{query.__name__}.sort has two columns with one name. Rename one.")
    names = tuple((name, alias) for name, alias in aliases.items() if alias != name)
    default: Any = field.default
    return _SortMark(names, () if default in {None, PydanticUndefined} else default)


def with_deleted_parameter(query: type[ListQuery[M]]) -> type[ListQuery[M]]:
    """Return *query* with the parameter `deleted`."""
    description = "Whether to include deleted rows, or to return only those."
    kind = Annotated[
        Literal["include", "only"] | None, CustomFilter, Field(description=description)
    ]
    fields: dict[str, Any] = {"deleted": (kind, None)}
    return create_model(query.__name__, __base__=query, __module__=query.__module__, **fields)
