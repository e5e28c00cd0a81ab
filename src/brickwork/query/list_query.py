"""The query parameters of a list: its pages, its order, and what is filtered and searched."""

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
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
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
from brickwork.signatures import check_methods

M = TypeVar("M", bound=DeclarativeBase)
T = TypeVar("T")

_MAX_VALUES: Final = 100  # values in one parameter

QUERY_DEFAULT: Final = "x-default"
"""Where the schema of a parameter has its default as a query has it, for `openapi` to move."""


@dataclass(frozen=True)
class CommaSeparated:
    """On a tuple: a query has its values in one parameter, separated by commas."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Split what is sent, then have each value checked."""
        return core_schema.no_info_before_validator_function(_split, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        """Say how the values are written; `openapi` moves it to where it belongs."""
        return handler(schema) | {"minItems": 1, "style": "form", "explode": False}


def _split(value: object) -> object:
    """Return the values in *value*, which FastAPI gives as a list of all there are of a name."""
    match value:
        case [str() as text] | (str() as text):
            return text.split(",")
        case _:
            return value


OneOf: TypeAlias = Annotated[tuple[T, ...], MaxLen(_MAX_VALUES), CommaSeparated()]
"""The type of `status__in: OneOf[Status] | None = None`: values separated by commas."""


@dataclass(frozen=True)
class _SortMark(CommaSeparated):
    """On the keys of a sort: those that are named, each also with a minus before it.

    *names* are pairs of an attribute and the name that a query has for it, *default* is what the
    rows are sorted by unless the query says it.
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
        """Say what the default is as a query has it, and Pydantic does not."""
        written = super().__get_pydantic_json_schema__(schema, handler)
        return written | {QUERY_DEFAULT: [self.text(key) for key in self.default]}

    def text(self, key: object) -> object:
        """Return *key* as a query has it; a script has instances of `SortKey`."""
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
"""The type of `sort: SortBy[Literal["title", "views"]] = None`: what a list may be sorted by."""


@dataclass(frozen=True)
class _SearchMark:
    """On `q`: it searches."""


Search: TypeAlias = Annotated[
    str | None,
    MaxLen(200),
    _SearchMark(),
    Field(description="Words that are all in the row, in capital or small letters."),
]
"""The type of `q`: what is searched for in the columns that the class names in `search_fields`."""


@dataclass(frozen=True)
class _CustomFilterMark:
    """On a parameter: it is no filter."""


CustomFilter: Final = _CustomFilterMark()
"""Marks a parameter for `filter`: `near: Annotated[str | None, CustomFilter] = None`."""


class ListQuery(BaseModel, Generic[M]):
    """The query parameters of a list; inherit, and each field is a filter.

    `views: int | None = None` finds equal values, `views__gte` others: `ne`, `gt`, `gte`, `lt`,
    `lte`, `in` (a `OneOf`), `contains`, `icontains`, `startswith`, `isnull`. `author__name`
    compares a column of the row that `author` refers to. `sort: SortBy[Literal["views"]] = None`
    lists what the rows may be sorted by, and `q: Search = None` searches the columns in
    `search_fields`. What no operator says, `filter` does with parameters that are marked
    `CustomFilter`.

    Values are read from text, as a query has them, and are as guarded as those of a `Schema`.
    Declaring what the model has no column for raises `TypeError`.
    """

    limit: Annotated[int, Ge(1), LimitedTo("page")] = Field(
        default=20, description="How many rows to return at most."
    )
    offset: Annotated[int, Ge(0), LimitedTo("offset")] = Field(
        default=0, description="How many rows to pass over."
    )
    cursor: Annotated[str, MaxLen(MAX_CURSOR_LENGTH)] | None = Field(
        default=None, description="Where the page begins, as a Link has it."
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
        if generator := cls.model_config.get("alias_generator"):  # before it names the fields
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
        guarded: CoreSchema = make_strict(
            handler(source), handler.resolve_ref_schema, from_text=True
        )
        return guarded

    @model_validator(mode="after")
    def _refuse_two_places(self) -> Self:
        if self.cursor is not None and "offset" in self.model_fields_set:
            error = PydanticCustomError("excluded", "Send a cursor or an offset, and not both.")
            fault = InitErrorDetails(type=error, loc=("cursor",), input=...)
            raise ValidationError.from_exception_data("query", [fault])
        return self

    def filter(self, rows: Select[M]) -> Select[M]:
        """Return *rows* less those that the filters and the search rule out.

        Override for parameters of your own, `super()` being the rest.
        """
        for name, filter_ in self.__filters__.items():
            if (value := getattr(self, name)) is not None:
                rows = rows.where(filter_.condition(value))
        words = str(getattr(self, "q", None) or "").split()
        if words and (model := model_of_query(type(self))):
            columns = [filtered_column(model, name).expression for name in self.search_fields]
            found = (or_(*(icontains(each, word) for each in columns)) for word in words)
            rows = rows.where(and_(*found))
        return rows

    def sort_keys(self) -> Sequence[SortKey[str]]:
        """Return what the rows are sorted by, before their key; override for another default."""
        return getattr(self, "sort", None) or () if self.__sorts__ else ()


def model_of_query(query: type[BaseModel]) -> type[DeclarativeBase] | None:
    """Return the model that *query* lists, as its bases name it: `ListQuery[Article]`."""
    for each in query.__mro__:
        for argument in getattr(each, "__pydantic_generic_metadata__", {}).get("args", ()):
            if is_mapped(argument):
                return argument
    return None


def _has_mark(field: FieldInfo) -> bool:
    return any(
        isinstance(each, _SortMark | _SearchMark | _CustomFilterMark) for each in field.metadata
    )


def _parse_field(
    query: type[BaseModel], model: type[DeclarativeBase], name: str, field: FieldInfo
) -> Filter:
    try:
        return parse_filter(model, name, field.annotation)
    except TypeError as error:
        raise TypeError(
            f"{query.__name__}.{name}: {error} A parameter that filter() reads itself is marked: "
            "Annotated[…, CustomFilter]."
        ) from None


def _sort_columns(
    query: type[BaseModel], model: type[DeclarativeBase]
) -> Iterator[InstrumentedAttribute[Any]]:
    """Yield the columns that *query* sorts by."""
    field = query.model_fields.get("sort")
    marked = field and any(isinstance(each, _SortMark) for each in field.metadata)
    for name in _sort_names(field.annotation) if field and marked else ():
        column = filtered_column(model, name)
        require_sortable(f"{query.__name__}.sort", column)
        yield column


def require_sortable(place: str, column: InstrumentedAttribute[Any]) -> None:
    """Raise `TypeError` for a *column* that databases sort differently, or no cursor repeats."""
    if not is_sortable(column):
        raise TypeError(f"{place}: no two databases sort {column} alike.")
    kind = storage_type(column.expression.type)
    if isinstance(kind, String) and kind.length is None:
        raise TypeError(
            f"{place}: {column} has no end, and a cursor repeats it: give it a length, String(200)."
        )


def _check_names(query: type["ListQuery[Any]"]) -> None:
    """Raise `TypeError` for a field of *query* that takes the place of a parameter or a method."""
    for name, field in query.model_fields.items():
        for each in {name, *_aliases(field)}:
            if each in _RESERVED and not _is_standard_parameter(each, name, field):
                raise TypeError(
                    f"{query.__name__}.{name} takes the place of {_RESERVED[each]}. Call a filter "
                    f"{each}__eq; a parameter keeps its type, whatever its default."
                )


def _aliases(field: FieldInfo) -> Iterator[str]:
    match field.validation_alias or field.alias:
        case str() as alias:
            yield alias
        case AliasChoices(choices=choices):
            yield from (each for each in choices if isinstance(each, str))
        case _:
            return


def _is_standard_parameter(reserved: str, name: str, field: FieldInfo) -> bool:
    """Tell whether *field* is the parameter *reserved*, perhaps with another default."""
    if reserved != name:
        return False
    if name in _MARKS:
        return any(isinstance(each, _MARKS[name]) for each in field.metadata)
    if (usual := ListQuery.model_fields.get(name)) is None:
        return False
    same = field.annotation == usual.annotation
    return same and all(each in field.metadata for each in usual.metadata)


_MARKS: Final = {"q": (_SearchMark, _CustomFilterMark), "sort": (_SortMark, _CustomFilterMark)}
"""What is said of a parameter that a query declares itself."""

_RESERVED: Final = {
    **{
        name: f"the parameter {name}"
        for name in ("count", "cursor", "limit", "offset", "q", "sort")
    },
    **{name: f"ListQuery.{name}" for name in ("filter", "search_fields", "sort_keys")},
}
"""Names with a meaning of their own in a list."""


def _check_search(query: type[ListQuery[Any]], model: type[DeclarativeBase]) -> None:
    field = query.model_fields.get("q")
    marked = bool(field and any(isinstance(each, _SearchMark) for each in field.metadata))
    if marked != bool(query.search_fields):
        raise TypeError(
            f"{query.__name__}: q and the names of columns in search_fields go together."
        )
    for name in query.search_fields:
        parse_filter(model, f"{name}__icontains", str)


def with_sort_names(query: type[ListQuery[M]], shown: Mapping[str, str]) -> type[ListQuery[M]]:
    """Return *query* such that it sorts by the names which are *shown* for attributes."""
    sorting = _sort_mark(query, shown)
    if sorting is None or sorting in query.model_fields["sort"].metadata:
        return query
    named = create_model(query.__name__, __base__=query, __module__=query.__module__)
    _apply_sort_names(named, shown)
    return named


def _apply_sort_names(query: type[BaseModel], shown: Mapping[str, str]) -> None:
    """Have the `sort` of *query* take the names that clients use for columns."""
    if sorting := _sort_mark(query, shown):
        field = query.model_fields["sort"]
        others = [each for each in field.metadata if not isinstance(each, _SortMark)]
        field.metadata = [sorting, *others]
        query.model_rebuild(force=True)


def _sort_mark(query: type[BaseModel], shown: Mapping[str, str]) -> _SortMark | None:
    """Return the mark for the `sort` of *query*; None if there is none.

    Raises `TypeError` for two columns of one name.
    """
    field = query.model_fields.get("sort")
    if not field or not any(isinstance(each, _SortMark) for each in field.metadata):
        return None
    known = {name: sort_alias(query, name, shown) for name in _sort_names(field.annotation)}
    if len({*known.values()}) < len(known):
        raise TypeError(f"{query.__name__}.sort has two columns of one name: rename one of them.")
    names = tuple((name, each) for name, each in known.items() if each != name)
    default: Any = field.default
    return _SortMark(names, () if default in {None, PydanticUndefined} else default)


def with_deleted_parameter(query: type[ListQuery[M]]) -> type[ListQuery[M]]:
    """Return *query* with the parameter that asks for deleted rows."""
    description = "Whether to show deleted rows as well, or alone."
    kind = Annotated[
        Literal["include", "only"] | None, CustomFilter, Field(description=description)
    ]
    fields: dict[str, Any] = {"deleted": (kind, None)}
    return create_model(query.__name__, __base__=query, __module__=query.__module__, **fields)
