"""Schemas of random applications, and the parts that change them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from annotated_types import Gt, Len, Lt, MaxLen, MinLen
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema
from sqlalchemy import Select

from brickwork import CustomFilter, ListQuery, OneOf, ReadSchema, Schema, Search, SortBy, SortKey
from tests.support.applications.context import ASKING, EVE, asking, masked, record
from tests.support.applications.draft import Draft, of, part, subclass

_KEYS: Final[dict[str, Any]] = {"int": int, "text": str, "uuid": UUID}
_SHOWN: Final[dict[str, Any]] = {
    "tenant": str,
    "name": str,
    "rank": int,
    "note": str | None,
    "code": str | None,
    "data": dict[str, Any] | None,
    "visits": int,
    "seen": datetime | None,
    "group_id": int | None,
}
_OF_MIXINS: Final[dict[str, Any]] = {"version": int, "created_at": datetime, "updated_at": datetime}
_WRITTEN: Final[dict[str, tuple[Any, Any]]] = {
    "rank": (int, 3),
    "note": (str | None, None),
    "code": (str | None, None),
    "data": (dict[str, Any] | None, None),
    "group_id": (int | None, None),
    "seen": (datetime | None, None),
    "tenant": (str, "none"),
}
_KEY: Final[dict[str, Any]] = {
    "int": (int, None),
    "text": (Annotated[str, Len(1, 20)], ...),
    "uuid": (UUID, None),
}


def start_schemas(draft: Draft) -> None:
    """Add schemas that are eligible for the fast path."""
    mapped = draft.model.__mapper__.attrs.keys()
    known = {"name", *(name for name in _SHOWN if name in mapped and draft.chance(0.6))}
    own = [name for name in _OF_MIXINS if name in mapped and draft.chance(0.6)]
    draft.read = subclass(
        ReadSchema,
        called="ItemRead",
        fields={
            "id": _KEYS[draft.key],
            **{name: kind for name, kind in _SHOWN.items() if name in known},
            **{name: _OF_MIXINS[name] for name in own},
        },
    )
    draft.brief = subclass(ReadSchema, called="GroupBrief", fields={"id": int, "name": str})
    written = {k: v for k, v in _WRITTEN.items() if k in mapped and draft.chance(0.5)}
    if draft.key == "text":
        written["id"] = _KEY["text"]
    draft.create = subclass(
        Schema,
        called="ItemCreate",
        fields={"name": str, **{name: kind for name, (kind, _) in written.items()}},
        **{name: default for name, (_, default) in written.items() if default is not ...},
    )
    if draft.chance(0.7):
        draft.query = _query(draft)


def _query(draft: Draft) -> Any:
    filters: dict[str, Any] = {
        "name": str | None,
        "tenant": str | None,
        "rank__gte": int | None,
        "rank__in": OneOf[int] | None,
        "name__contains": str | None,
        "note__isnull": bool | None,
        "code__ne": str | None,
    }
    known = [name for name in filters if draft.chance(0.5)]
    mapped = draft.model.__mapper__.attrs.keys()
    known = [name for name in known if name.partition("__")[0] in mapped]
    fields = {name: filters[name] for name in known}
    if draft.chance(0.8):
        fields["sort"] = of(SortBy, Literal["name", "rank"])
        known.append("sort")
    members: dict[str, Any] = dict.fromkeys(known)
    if draft.chance(0.3):
        fields["q"] = Search
        members |= {"q": None, "search_fields": ["name"]}
    return subclass(of(ListQuery, draft.model), called="ItemQuery", fields=fields, **members)


def finish_schemas(draft: Draft) -> None:
    """Add the update schema, if no part did."""
    if draft.update is None:
        draft.update = subclass(draft.create, called="ItemUpdate", options={"partial": True})


# --- Read schemas with code -----------------------------------------------------------------------


def _shown_text(draft: Draft) -> str:
    """Return the name of a text field of the read schema."""
    own: Mapping[str, Any] = draft.read.model_fields
    known = [field for field in ("name", "note", "tenant", "code") if field in own]
    name: str = draft.pick(*known)
    return name


def _reshow(draft: Draft, name: str, *marks: Any) -> None:
    """Replace the metadata of the read field *name* by *marks*."""
    kind = of(Annotated, draft.read.model_fields[name].annotation, *marks)
    draft.read = subclass(draft.read, fields={name: kind})


def _mask_for(prefix: str, value: Any) -> Any:
    return value and f"{prefix}{masked(value)}"


class _Mask:
    """An object that masks values."""

    def __call__(self, value: Any) -> Any:
        return masked(value)

    def mask(self, value: Any) -> Any:
        return masked(value)


def _wrapping(value: Any, handler: Any) -> Any:
    return masked(handler(value))


def _none_but_ada(_: Any) -> bool:
    return ASKING.get() == "ada"


_MARKS: Final[dict[str, Any]] = {
    "AfterValidator": AfterValidator(masked),
    "BeforeValidator": BeforeValidator(masked),
    "WrapValidator": WrapValidator(_wrapping),
    "PlainSerializer": PlainSerializer(masked),
    "WrapSerializer": WrapSerializer(_wrapping),
    "AfterValidator of partial": AfterValidator(partial(_mask_for, "p ")),
    "PlainSerializer of partial": PlainSerializer(partial(_mask_for, "p ")),
    "PlainSerializer of object": PlainSerializer(_Mask()),
    "AfterValidator of method": AfterValidator(_Mask().mask),
    "AfterValidator of cached function": AfterValidator(cache(masked)),
    "AfterValidator of partial of partial": AfterValidator(partial(partial(_mask_for), "q ")),
    "exclude_if": Field(exclude_if=_none_but_ada),
}


@part("read")
def function_of_a_field(draft: Draft) -> str:
    name, mark = _shown_text(draft), draft.pick(*_MARKS)
    _reshow(draft, name, _MARKS[mark])
    return f"{mark} {name}"


@part("read")
def method_of_a_field(draft: Draft) -> str:
    name = _shown_text(draft)

    def show(_: object, value: Any) -> Any:
        return masked(value)

    def show_last(_: object, value: Any, handler: SerializerFunctionWrapHandler) -> Any:
        return masked(handler(value))

    make: Any = draft.pick(
        field_validator(name)(show),
        field_validator(name, mode="before")(show),
        field_serializer(name)(show),
        field_serializer(name, mode="wrap")(show_last),
    )
    draft.read = subclass(draft.read, show=make)
    return f"{make.decorator_info} {name}"


@part("read")
def method_of_the_whole(draft: Draft) -> str:
    name = _shown_text(draft)

    def after(self: Any) -> Any:
        setattr(self, name, masked(getattr(self, name)))
        return self

    def wrap(_: object, value: Any, handler: Any) -> Any:
        shown = handler(value)
        setattr(shown, name, masked(getattr(shown, name)))
        return shown

    def before(_: object, value: Any) -> Any:
        return {name: masked(_read(value, name)) for name in draft.read.model_fields}

    def serialize(self: Any, handler: Any) -> Any:
        return {**handler(self), "asking": ASKING.get()}

    make: Any = draft.pick(
        model_validator(mode="after")(after),
        model_validator(mode="wrap")(wrap),
        model_validator(mode="before")(before),
        model_serializer(mode="wrap")(serialize),
    )
    draft.read = subclass(draft.read, show=make)
    return f"{make.decorator_info} {name}"


def _read(row: Any, name: str) -> Any:
    known: Any = row
    return known[name] if isinstance(row, Mapping) else getattr(row, name)


@part("read")
def computed(draft: Draft) -> None:
    def asking(self: Any) -> str:
        return f"{self.name} for {ASKING.get()}"

    draft.read = subclass(draft.read, asking=computed_field(property(asking)))


@part("read")
def own_method_of_pydantic(draft: Draft) -> str:
    base = draft.read

    def make(self: Any, **values: Any) -> None:
        base.__init__(self, **{**values, "name": masked(values["name"])})

    def finish(self: Any, _: object) -> None:
        self.name = masked(self.name)

    def new(kind: type[BaseModel], *_: Any, **__: Any) -> Any:
        record("__new__")
        return object.__new__(kind)

    name, method = draft.pick(("__init__", make), ("model_post_init", finish), ("__new__", new))
    draft.read = subclass(base, **{name: method})
    return str(name)


class Shouted(str):
    """Text of a type that validates itself."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(masked, handler(str))


@part("read")
def type_that_validates_itself(draft: Draft) -> None:
    draft.read = subclass(draft.read, fields={"name": Shouted})


@part("read")
def constraint_that_rows_fail(draft: Draft) -> str:
    """Add a constraint that rows violate: the response is a 500, and nothing is stored."""
    name, kind = draft.pick(
        ("name", Annotated[str, MaxLen(7)]),
        ("name", Annotated[str, Field(pattern="^[a-z ]+[0-9]?$")]),
        ("rank", Annotated[int, Lt(50)]),
        ("note", str),
        ("tenant", Literal["ada", "none"]),
        ("visits", Annotated[int, Gt(7)]),
        ("code", Annotated[str | None, MinLen(6)]),
        ("data", dict[str, Any]),
        ("version", Annotated[int, Lt(3)]),
    )
    if name not in draft.model.__mapper__.attrs:
        name, kind = "name", Annotated[str, MaxLen(7)]
    draft.read = subclass(draft.read, fields={name: kind})
    return f"{name} {kind}"


@part("read")
def other_type(draft: Draft) -> str:
    name, kind = draft.pick(
        ("rank", float), ("visits", bool | int), ("rank", str), ("name", Any), ("data", str | None)
    )
    draft.read = subclass(draft.read, fields={name: kind})
    return f"{name} {kind}"


@part("read")
def aliases(draft: Draft) -> str:
    name = _shown_text(draft)
    choice = draft.pick("serialization", "validation", "both", "choices", "generator")
    if choice == "generator":
        draft.read = subclass(
            draft.read,
            model_config=ConfigDict(alias_generator=to_camel, populate_by_name=True),
        )
        return str(choice)
    aliases: dict[str, dict[str, Any]] = {
        "serialization": {"serialization_alias": "shownName"},
        "validation": {"validation_alias": "name"},
        "both": {"alias": "tenant"},
        "choices": {"validation_alias": AliasChoices("name", "note")},
    }
    _reshow(draft, name, Field(**aliases[choice]))
    return f"{choice} {name}"


@part("read")
def settings_of_pydantic(draft: Draft) -> str:
    setting: dict[str, Any] = draft.pick(
        {"str_to_upper": True},
        {"str_max_length": 7},
        {"extra": "allow"},
        {"strict": True},
        {"validate_default": True},
        {"ser_json_timedelta": "float"},
        {"coerce_numbers_to_str": True},
        {"frozen": True},
    )
    draft.read = subclass(draft.read, model_config=ConfigDict(**setting))  # type: ignore[typeddict-item]
    return str(setting)


@part("read")
def field_with_a_default(draft: Draft) -> str:
    default = draft.pick(Field(default_factory=asking), "somebody")
    draft.read = subclass(draft.read, fields={"asking": str}, asking=default)
    return repr(default)


@part("read")
def expression_of_the_model(draft: Draft) -> str | None:
    if not hasattr(draft.model, "sign"):
        return None
    draft.read = subclass(draft.read, fields={"sign": str})
    return "sign"


@part("read")
def row_of_another(draft: Draft) -> str | None:
    """Embed the group of a row, perhaps with code."""
    if "group" not in draft.model.__mapper__.relationships:
        return None
    choice = draft.pick("plain", "plain", "code", "validator", "constraint")
    if choice == "code":
        name = Annotated[str, PlainSerializer(masked)]
        draft.brief = subclass(draft.brief, fields={"name": name})
    if choice == "validator":

        def show(_: object, value: Any) -> Any:
            return masked(value)

        draft.brief = subclass(draft.brief, show=field_validator("name")(show))
    if choice == "constraint":
        draft.brief = subclass(draft.brief, fields={"name": Annotated[str, MaxLen(3)]})
    draft.read = subclass(draft.read, fields={"group": draft.brief | None})
    return str(choice)


# --- Input schemas --------------------------------------------------------------------------------


@part("write")
def constraint(draft: Draft) -> str:
    kind = draft.pick(
        Annotated[str, MaxLen(8)],
        Annotated[str, Field(pattern="^[a-z0-9 ]*$")],
        Literal["a", "b", "new 1"],
        Annotated[str, AfterValidator(str.title)],
        Annotated[str, PlainSerializer(str.upper)],
        Annotated[str, AfterValidator(masked)],
    )
    draft.create = subclass(draft.create, fields={"name": kind})
    return str(kind)


@part("write")
def default(draft: Draft) -> str:
    made = draft.pick(Field(default_factory=asking), "usual", Field(default="usual", exclude=True))
    if "note" not in draft.model.__mapper__.attrs:
        return "none"
    draft.create = subclass(draft.create, fields={"note": str | None}, note=made)
    return repr(made)


@part("write")
def method(draft: Draft) -> str:
    def check(_: object, value: Any) -> Any:
        return f"{value} by {ASKING.get()}"[:30]

    def finish(self: Any) -> Any:
        self.name = f"{self.name}+"[:30]
        return self

    def serialize(self: Any, handler: Any) -> Any:
        return {**handler(self), "name": f"{self.name} out"[:30]}

    make: Any = draft.pick(
        field_validator("name")(check),
        field_serializer("name")(check),
        model_validator(mode="after")(finish),
        model_serializer(mode="wrap")(serialize),
    )
    draft.create = subclass(draft.create, check=make)
    return repr(make.decorator_info)


@part("write")
def aliases_of_a_body(draft: Draft) -> None:
    draft.create = subclass(
        draft.create, model_config=ConfigDict(alias_generator=to_camel, validate_by_name=True)
    )


@part("write")
def key_of_the_client(draft: Draft) -> None:
    kind: Any = {"int": int, "uuid": UUID, "text": str}[draft.key]
    draft.create = subclass(draft.create, fields={"id": kind})


@part("write")
def nullable(draft: Draft) -> str:
    """Accept null for a column that is not nullable or has a default."""
    name, kind, default = draft.pick(
        ("rank", int | None, None), ("tenant", str | None, None), ("rank", int | None, 5)
    )
    draft.create = subclass(draft.create, fields={name: kind}, **{name: default})
    return f"{name} {default}"


@part("write")
def other_changes(draft: Draft) -> str:
    """Accept other fields in a PATCH than in a POST."""
    fields: dict[str, Any] = draft.pick(
        {"name": str}, {"rank": int, "note": str | None}, {"tenant": str, "name": str}, {"id": Any}
    )
    mapped = draft.model.__mapper__.attrs
    fields = {name: kind for name, kind in fields.items() if name in mapped}
    draft.update = subclass(
        Schema, called="ItemUpdate", fields=fields, options={"partial": draft.chance(0.8)}
    )
    return str([*fields])


# --- Lists ----------------------------------------------------------------------------------------


def _query_of(draft: Draft) -> Any:
    return draft.query or subclass(of(ListQuery, draft.model), called="ItemQuery")


@part("list")
def narrowed_for_the_caller(draft: Draft) -> None:
    base = _query_of(draft)

    def narrow(self: Any, rows: Select[Any]) -> Select[Any]:
        narrowed: Select[Any] = base.filter(self, rows)
        return narrowed.where(draft.model.tenant.in_([ASKING.get(), "none"]))

    draft.query = subclass(base, filter=narrow)


@part("list")
def narrowed_by_a_parameter(draft: Draft) -> None:
    base = _query_of(draft)

    def narrow(self: Any, rows: Select[Any]) -> Select[Any]:
        narrowed: Select[Any] = base.filter(self, rows)
        return narrowed.where(draft.model.rank < self.below) if self.below else narrowed

    fields = {"below": Annotated[int | None, CustomFilter]}
    draft.query = subclass(base, fields=fields, below=None, filter=narrow)
    draft.parameters.append("below=50")


@part("list")
def order_of_its_own(draft: Draft) -> str:
    choice = draft.pick("caller", "name", "rank")

    def sort_keys(self: Any) -> Sequence[SortKey[str]]:
        asked = getattr(self, "sort", None)
        usual = "name" if choice == "caller" and ASKING.get() == "ada" else "rank"
        return asked or (SortKey(usual if choice == "caller" else choice, descending=True),)

    draft.query = subclass(_query_of(draft), sort_keys=sort_keys)
    return str(choice)


@part("list")
def filter_by_default(draft: Draft) -> str:
    made = draft.pick(Field(default_factory=asking), "ada")
    draft.query = subclass(_query_of(draft), fields={"tenant": str | None}, tenant=made)
    return repr(made)


@part("list")
def validated_parameters(draft: Draft) -> str:
    def check(self: Any) -> Any:
        if ASKING.get() == EVE:
            raise ValueError("Not you.")
        self.limit = min(self.limit, 3)
        return self

    def check_limit(_: object, value: int) -> int:
        return 2 if ASKING.get() == "bob" else value

    make: Any = draft.pick(
        model_validator(mode="after")(check), field_validator("limit")(check_limit)
    )
    draft.query = subclass(_query_of(draft), check=make)
    return repr(make.decorator_info)
