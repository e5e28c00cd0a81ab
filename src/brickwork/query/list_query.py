"""Query parameters of lists."""

from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from annotated_types import Ge, MaxLen
from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
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
)
from sqlalchemy import Select, and_, or_
from sqlalchemy.orm import InstrumentedAttribute
from typing_extensions import override

from brickwork.database.text import icontains
from brickwork.limits import LimitedTo
from brickwork.models.model import is_mapped
from brickwork.query.aliases import alias_by_part, require_fixed_names, sort_alias
from brickwork.query.cursors import MAX_CURSOR_LENGTH
from brickwork.query.expansion import expand_filters
from brickwork.query.filters import ColumnFilter, filtered_column, match_all, parse_filter
from brickwork.query.ordering import SortKey
from brickwork.query.parameters import (
    QUERY_DEFAULT,
    CustomFilter,
    CustomFilterMark,
    FieldsMark,
    SearchMark,
    SortMark,
    has_mark,
    sort_names,
)
from brickwork.query.query_checks import (
    check_names,
    check_search,
    has_fields_parameter,
    sort_columns,
)
from brickwork.schemas.strictness import make_strict
from brickwork.schemas.types import full_annotation
from brickwork.signatures import check_methods

M = TypeVar("M")


class ListQuery(BaseModel, Generic[M]):
    """The query parameters of a list. Each field of a subclass is a filter.

    - `views: int | None = None` compares for equality, and `views__gte` with an operator: `ne`,
      `gt`, `gte`, `lt`, `lte`, `in` (a `OneOf`), `contains`, `icontains`, `startswith`, `isnull`.
    - `views: Filter[int] = None` stands for all operators that fit the column.
    - `author__name` compares a column of a related row, and `tags__name` one of any related row.
    - `sort: SortBy[Literal["views"]] = None` lists the sortable columns.
    - `fields: Fields = None` lets clients choose the fields of each row.
    - `q: Search = None` searches the columns in `search_fields`.
    - A parameter marked `CustomFilter` is left to `filter`.

    `class ArticleQuery(ListQuery[Article], envelope=True)` makes pages objects instead of arrays:
    `{"items": […], "total": null, "next": "/articles?cursor=…", "prev": null}`.

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
    __unsent__: ClassVar[AbstractSet[str]] = frozenset()
    __envelope__: ClassVar[bool] = False
    __fieldsets__: ClassVar[bool] = False
    __filters__: ClassVar[Mapping[str, ColumnFilter]] = {}
    __sorts__: ClassVar[Sequence[InstrumentedAttribute[Any]]] = ()
    search_fields: ClassVar[Sequence[str]] = ()

    @override
    def __init_subclass__(cls, *, envelope: bool | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__envelope__ = cls.__envelope__ if envelope is None else envelope
        if generator := cls.model_config.get("alias_generator"):  # before Pydantic applies it
            cls.model_config["alias_generator"] = alias_by_part(generator)

    if not TYPE_CHECKING:  # where every attribute would be known

        def __getattr__(self, name: str) -> Any:
            """Return None for a `Filter` without equality, which no request can send."""
            return None if name in self.__unsent__ else super().__getattr__(name)

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, *, envelope: bool | None = None, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        check_methods(cls, ListQuery, ("filter", "sort_keys"))
        cls.__fieldsets__ = has_fields_parameter(cls)
        if model := model_of_query(cls):
            require_fixed_names(cls)
            check_names(cls, ListQuery.model_fields)
            unsent = expand_filters(cls, model)
            cls.__unsent__ = unsent or frozenset()
            if not _apply_sort_names(cls, {}) and unsent is not None:
                cls.model_rebuild(force=True)
            own = {k: v for k, v in cls.model_fields.items() if k not in ListQuery.model_fields}
            cls.__filters__ = {
                name: _parse_field(cls, model, name, field)
                for name, field in own.items()
                if not has_mark(field, SortMark, SearchMark, FieldsMark, CustomFilterMark)
            }
            cls.__sorts__ = [*sort_columns(cls, model)]
            check_search(cls, model, cls.search_fields)

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
        sent = [
            (filter_, value)
            for name, filter_ in self.__filters__.items()
            if (value := getattr(self, name)) is not None
        ]
        for clause in match_all(sent) if sent else ():
            statement = statement.where(clause)
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


def _parse_field(
    query: type[BaseModel], model: type[object], name: str, field: FieldInfo
) -> ColumnFilter:
    try:
        return parse_filter(model, name, full_annotation(field))
    except TypeError as error:
        raise TypeError(
            f"{query.__name__}.{name}: {error} Mark a parameter that filter() reads: "
            "Annotated[…, CustomFilter]."
        ) from None


def with_sort_names(query: type[ListQuery[M]], shown: Mapping[str, str]) -> type[ListQuery[M]]:
    """Return *query* with the names that responses have for the sort columns."""
    sorting = _sort_mark(query, shown)
    if sorting is None or sorting in query.model_fields["sort"].metadata:
        return query
    named = create_model(query.__name__, __base__=query, __module__=query.__module__)
    _apply_sort_names(named, shown)
    return named


def _apply_sort_names(query: type[BaseModel], shown: Mapping[str, str]) -> bool:
    """Make the `sort` of *query* accept the names that clients use. False without a `sort`."""
    if sort_mark := _sort_mark(query, shown):
        field = query.model_fields["sort"]
        others = [mark for mark in field.metadata if not isinstance(mark, SortMark)]
        field.metadata = [sort_mark, *others]
        query.model_rebuild(force=True)
    return sort_mark is not None


def _sort_mark(query: type[BaseModel], shown: Mapping[str, str]) -> SortMark | None:
    """Return the metadata for the `sort` of *query*. None without a `sort`.

    Raises `TypeError` for two columns with one name.
    """
    field = query.model_fields.get("sort")
    if not field or not has_mark(field, SortMark):
        return None
    aliases = {name: sort_alias(query, name, shown) for name in sort_names(field.annotation)}
    if len({*aliases.values()}) < len(aliases):
        raise TypeError(f"{query.__name__}.sort has two columns with one name. Rename one.")
    names = tuple((name, alias) for name, alias in aliases.items() if alias != name)
    default: Any = field.default
    return SortMark(names, () if default in {None, PydanticUndefined} else default)


def with_field_names(query: type[ListQuery[M]], names: Iterable[str]) -> type[ListQuery[M]]:
    """Return *query*, whose parameter `fields` accepts *names* if it has one."""
    if not query.__fieldsets__:
        return query
    named = create_model(query.__name__, __base__=query, __module__=query.__module__)
    field = named.model_fields["fields"]
    others = [mark for mark in field.metadata if not isinstance(mark, FieldsMark)]
    field.metadata = [FieldsMark(tuple(names)), *others]
    named.model_rebuild(force=True)
    return named


def with_deleted_parameter(query: type[ListQuery[M]]) -> type[ListQuery[M]]:
    """Return *query* with the parameter `deleted`."""
    description = "Whether to include deleted rows, or to return only those."
    kind = Annotated[
        Literal["include", "only"] | None, CustomFilter, Field(description=description)
    ]
    fields: dict[str, Any] = {"deleted": (kind, None)}
    return create_model(query.__name__, __base__=query, __module__=query.__module__, **fields)
