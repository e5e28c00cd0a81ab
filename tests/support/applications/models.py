"""Models of random applications, and the parts that change them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    JSON,
    Dialect,
    FetchedValue,
    ForeignKey,
    MetaData,
    String,
    TypeDecorator,
    Uuid,
    func,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    column_property,
    mapped_column,
    reconstructor,
    relationship,
    synonym,
    validates,
)
from typing_extensions import override

from brickwork import (
    Audited,
    JSONDocument,
    Model,
    PublishesEvents,
    SoftDelete,
    Timestamped,
    UTCDateTime,
    Versioned,
)
from brickwork.models.model import new_key
from tests.support.applications.context import ASKING, NOBODY, masked, record
from tests.support.applications.draft import ColumnDraft, Draft, of, part, subclass
from tests.support.applications.tables import NAMES

_KEYS: Final[dict[str, Callable[[], ColumnDraft]]] = {
    "int": lambda: ColumnDraft(int, [], {"primary_key": True}),
    "text": lambda: ColumnDraft(str, [String(20)], {"primary_key": True}),
    "uuid": lambda: ColumnDraft(UUID, [Uuid], {"primary_key": True, "default": new_key}),
}


_NOT_GIVEN: Final[dict[str, Any]] = {"init": False}


def start_model(draft: Draft) -> None:
    """Add the columns, and some of the mixins, of most applications."""
    mixins = (Versioned, SoftDelete, Timestamped)
    draft.mixins = [mixin for mixin in mixins if draft.chance(0.5)]
    draft.columns = {
        "id": _KEYS[draft.key](),
        "tenant": ColumnDraft(str, [String(20)], {"default": "none"}),
        "name": ColumnDraft(str, [String(30)]),
        "rank": ColumnDraft(int, [], {"default": 3}),
        "note": ColumnDraft(str | None, [String(40)]),
        "code": ColumnDraft(str | None, [String(20)], {"unique": True}),
        "data": ColumnDraft(dict[str, Any] | None, [JSONDocument]),
        "visits": ColumnDraft(int, [], {"server_default": "7"}),
        "seen": ColumnDraft(datetime | None, [UTCDateTime]),
        "group_id": ColumnDraft(int | None, [ForeignKey("groups.id")]),
    }
    if draft.chance(0.4):
        draft.attributes["group"] = lambda draft, _: relationship(draft.group)


def map_models(draft: Draft) -> None:
    """Make the models of *draft*."""
    if draft.base is None:
        metadata = MetaData(naming_convention=NAMES)
        draft.base = subclass(Model, called="Base", __abstract__=True, metadata=metadata)
    draft.group = subclass(
        draft.base,
        called="Group",
        fields={"id": Mapped[int], "tenant": Mapped[str], "name": Mapped[str]},
        options=draft.model_options,
        __tablename__="groups",
        id=mapped_column(primary_key=True, **(_NOT_GIVEN if draft.model_options else {})),
        tenant=mapped_column(String(20), default="none"),
        name=mapped_column(String(30), unique=True),
    )
    columns = {
        name: mapped_column(*column.args, **column.options)
        for name, column in draft.columns.items()
    }
    draft.model = subclass(
        *draft.mixins,
        draft.base,
        called="Item",
        fields={name: of(Mapped, column.type) for name, column in draft.columns.items()},
        options=draft.model_options,
        __tablename__=f"{draft.key}_items",
        **columns,
        **{name: make(draft, columns) for name, make in draft.attributes.items()},
    )
    for value in draft.identities:
        identity = {"polymorphic_identity": value}
        subclass(draft.model, called=f"Item of {value}", __mapper_args__=identity)


# --- Code of the model ----------------------------------------------------------------------------


@part("model")
def validator(draft: Draft) -> None:
    def check(_: object, __: str, value: Any) -> Any:
        record("validator")
        return value and value.upper()

    name = draft.pick("name", "note")
    draft.attributes["check"] = lambda _, __: validates(name)(check)


@part("model")
def own_constructor(draft: Draft) -> None:
    def make(self: Any, **values: Any) -> None:
        for name, value in {"note": "constructed", **values}.items():
            setattr(self, name, value)

    draft.attributes["__init__"] = lambda _, __: make


@part("model")
def own_setattr(draft: Draft) -> None:
    def assign(self: Any, name: str, value: Any) -> None:
        object.__setattr__(self, name, f"{value} set" if name == "name" else value)

    draft.attributes["__setattr__"] = lambda _, __: assign


@part("model")
def own_getattribute(draft: Draft) -> None:
    def read(self: Any, name: str) -> Any:
        value = object.__getattribute__(self, name)
        return masked(value) if name == "note" else value

    draft.attributes["__getattribute__"] = lambda _, __: read


@part("model")
def own_new(draft: Draft) -> None:
    def make(kind: Any, **_: Any) -> Any:
        record("__new__")
        row: Any = object.__new__(kind)
        return row

    draft.attributes["__new__"] = lambda _, __: make


@part("model")
def called_when_loaded(draft: Draft) -> None:
    @reconstructor
    def load(self: Any) -> None:
        if "note" in vars(self):
            vars(self)["note"] = masked(vars(self)["note"])

    draft.attributes["load"] = lambda _, __: load


@part("model")
def synonym_of_a_column(draft: Draft) -> None:
    draft.attributes["label"] = lambda _, __: synonym("name")


@part("model")
def dataclass(draft: Draft) -> None:
    """Map dataclasses, with a constructor that calls a method."""
    base = subclass(
        MappedAsDataclass,
        DeclarativeBase,
        called="Base",
        __abstract__=True,
        metadata=MetaData(naming_convention=NAMES),
    )
    draft.base, draft.mixins, draft.model_options = base, [], {"kw_only": True}
    for name, column in draft.columns.items():
        if name in {"id", "visits"} and draft.key != "text":
            column.options["init"] = False
            if "default" in column.options:
                column.options["insert_default"] = column.options.pop("default")
        elif name not in {"name", "id"}:
            column.options.setdefault("default", None)
    draft.attributes.pop("group", None)

    def finish(self: Any) -> None:
        self.note = "constructed"

    draft.attributes["__post_init__"] = lambda _, __: finish


@part("model")
def base_of_its_own(draft: Draft) -> None:
    metadata = MetaData(naming_convention=NAMES)
    draft.base = subclass(DeclarativeBase, called="Base", __abstract__=True, metadata=metadata)


# --- Columns --------------------------------------------------------------------------------------


class Capitals(TypeDecorator[str]):
    """Text that is lowercase in the database and uppercase in Python."""

    impl = String(30)
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.lower()

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.upper()


class Masked(TypeDecorator[str]):
    """Text that differs for each tenant that reads it."""

    impl = String(40)
    cache_ok = True

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        text: str | None = masked(value)
        return text


class Signed(TypeDecorator[str]):
    """Text that is stored with the tenant that writes it."""

    impl = String(40)
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and f"{value.partition(' of ')[0]} of {ASKING.get()}"


@part("model")
def type_with_code(draft: Draft) -> str:
    kind = draft.pick(Capitals, Masked, Signed)
    name = draft.pick("name", "note") if kind is Capitals else "note"
    draft.columns[name].args = [kind]
    return f"{kind.__name__} {name}"


@part("model")
def type_with_mutations(draft: Draft) -> None:
    draft.columns["data"].args = [MutableDict.as_mutable(JSONDocument())]


@part("model")
def plain_json(draft: Draft) -> None:
    draft.columns["data"].args = [JSON]


@part("model")
def default_with_code(draft: Draft) -> str:
    def of_name(context: Any) -> str:
        values = context.get_current_parameters()
        return f"{values['name']} again"[:40]

    def of_caller() -> str:
        return f"made for {ASKING.get()}"

    name, default = draft.pick(
        ("note", of_name), ("note", of_caller), ("tenant", ASKING.get), ("note", func.lower("SQL"))
    )
    draft.columns[name].options["default"] = default
    return f"{name}, {getattr(default, '__name__', default)}"


@part("model")
def default_on_update(draft: Draft) -> str:
    def of_caller() -> str:
        return f"changed for {ASKING.get()}"

    default = draft.pick(of_caller, func.lower("SQL"))
    draft.columns["note"].options["onupdate"] = default
    return str(getattr(default, "__name__", default))


@part("model")
def value_of_the_database(draft: Draft) -> str:
    name, option = draft.pick(
        ("visits", "server_onupdate"), ("rank", "server_default"), ("tenant", "server_default")
    )
    draft.columns[name].options |= {option: FetchedValue()}
    draft.columns[name].options.pop("default", None)
    return f"{name} {option}"


@part("model")
def versions_of_its_own(draft: Draft) -> str:
    def another(version: int | None) -> int:
        return (version or 0) + 10

    draft.mixins = [Versioned, *(mixin for mixin in draft.mixins if mixin is not Versioned)]
    options = draft.pick({"version_id_generator": another}, {"eager_defaults": False})
    draft.attributes["__mapper_args__"] = lambda _, __: options
    return str([*options])


@part("model")
def deferred_column(draft: Draft) -> str:
    name: str = draft.pick("note", "rank", "data")
    draft.columns[name].options["deferred"] = True
    return name


@part("model")
def other_name_of_a_column(draft: Draft) -> str:
    name: str = draft.pick("note", "visits")
    column = draft.columns.pop(name)
    column.args = [name, *column.args]
    draft.columns[f"own_{name}"] = column
    return name


# --- Attributes without a column ------------------------------------------------------------------


@part("model")
def computed_column(draft: Draft) -> None:
    draft.attributes["sign"] = lambda _, columns: column_property(columns["name"] + "!")


@part("model")
def hybrid(draft: Draft) -> None:
    def sign(self: Any) -> str:
        return f"{self.name} for {ASKING.get(NOBODY)}"

    draft.attributes["sign"] = lambda _, __: hybrid_property(sign)


@part("model")
def python_property(draft: Draft) -> None:
    def sign(self: Any) -> str:
        return f"{self.name} for {ASKING.get(NOBODY)}"

    draft.attributes["sign"] = lambda _, __: property(sign)


@part("model")
def loading_relationship(draft: Draft) -> str:
    lazy: Any = draft.pick("joined", "selectin", "raise", "noload")
    draft.attributes["group"] = lambda draft, _: relationship(draft.group, lazy=lazy)
    return str(lazy)


# --- Inheritance, audit, events -------------------------------------------------------------------


@part("model")
def audited(draft: Draft) -> None:
    draft.mixins.append(Audited)


@part("model")
def published(draft: Draft) -> None:
    def event_data(self: Any) -> dict[str, Any]:
        return {"name": self.name, "tenant": ASKING.get()}

    draft.mixins.append(PublishesEvents)
    draft.attributes["event_data"] = lambda _, __: event_data


@part("model")
def inherited_by_another(draft: Draft) -> None:
    """Map the rows of each tenant to a separate class."""
    own = {"polymorphic_on": "tenant", "polymorphic_identity": "none"}
    draft.attributes["__mapper_args__"] = lambda _, __: own
    draft.columns["tenant"].options.pop("default", None)
    draft.identities = ["ada", "bob"]
