"""Invalid declarations, each a TypeError with the remedy."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import new_class
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

import pytest
from annotated_types import Ge, MaxLen
from pydantic import (
    UUID4,
    AliasChoices,
    AliasPath,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    JsonValue,
    PlainSerializer,
    computed_field,
    model_serializer,
    model_validator,
)
from sqlalchemy import (
    ARRAY,
    BIGINT,
    CHAR,
    JSON,
    REAL,
    UUID as NATIVE_UUID,
    BigInteger,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PickleType,
    Select,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    Uuid,
    event,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    MappedAsDataclass,
    column_property,
    composite,
    mapped_column,
    relationship,
    synonym,
    validates,
)
from typing_extensions import override

from brickwork import (
    CustomFilter,
    IdempotencyKey,
    JSONDocument,
    Limit,
    ListQuery,
    Model,
    NaiveUTC,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    SortKey,
    UTCDateTime,
    Versioned,
    crud_router,
    soft_delete_foreign_key,
)
from brickwork.limits import LimitedTo
from tests.support.declaring import (
    Base,
    Refused,
    declare,
    model_of,
    next_table,
    partial,
    resource_of,
    schema,
)

refused = Refused()


def cases(values: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Return the parameters of a test for each of *values*, by its name."""
    return [pytest.param(*arguments, id=name) for name, arguments in values.items()]


@pytest.mark.parametrize(("declaration", "remedy"), refused.cases)
def test_an_invalid_declaration_is_rejected(declaration: Callable[[], object], remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declaration()
    assert str(error.value) == remedy


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Number(enum.Enum):
    ONE = 1


class Size(enum.StrEnum):
    SMALL = "S"
    LARGE = "L"


# --- Names of an input schema that are no columns -------------------------------------------------


class Scribe(Base):
    __tablename__ = "scribes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


@dataclass
class Place:
    """The place of a work in the library."""

    shelf: int | None
    board: int | None


class Opus(Base):
    __tablename__ = "opuses"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(20))
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONDocument)
    length: Mapped[int | None] = mapped_column(Computed("length(title)", persisted=True))
    body: Mapped[str | None] = mapped_column(Text, deferred=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey(Scribe.id))
    author: Mapped[Scribe | None] = relationship()
    loud: Mapped[str | None] = column_property(func.upper(title))
    total = column_property(func.sum(author_id, type_=Numeric))
    caption: Mapped[str | None] = synonym("title")
    language = "en"
    place: Mapped[Place] = composite("shelf", "board")
    shelf: Mapped[int | None]
    board: Mapped[int | None]
    latest = column_property(func.max(author_id))
    glosses: Mapped[list["Gloss"]] = relationship(back_populates="work")
    late: DynamicMapped["Gloss"] = relationship(viewonly=True)
    unordered: Mapped[set["Gloss"]] = relationship(viewonly=True)

    @hybrid_property
    def quiet(self) -> str | None:
        return self.title and self.title.lower()

    @hybrid_property
    def words(self) -> str | None:
        return self.body

    def publish(self) -> None: ...


class Gloss(Base):
    __tablename__ = "glosses"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str | None] = mapped_column(Text, deferred=True)
    work_id: Mapped[int] = mapped_column(ForeignKey(Opus.id))
    work: Mapped[Opus] = relationship(back_populates="glosses")


def work(**fields: Any) -> object:
    """Declare opuses with these *fields* in the input schemas."""
    return declare(Opus, create=schema("WorkCreate", **fields))


@refused(
    "Opus.metadata is neither a column nor a property with a setter: WorkCreate cannot "
    'assign it. Call the field metadata_, with alias="metadata".'
)
def an_attribute_of_every_model() -> object:
    return work(metadata=dict[str, Any] | None)


@refused(
    "WorkCreate has colour, but Opus does not. Add that attribute to the model, or mark the field "
    "with NotStored, or write your own endpoint."
)
def an_input_field_that_the_model_lacks() -> object:
    return work(colour=str)


@refused(
    "Opus.author is a relationship, but a request sends no rows. Use its foreign key in "
    "WorkCreate, or write an endpoint that creates both rows."
)
def a_relationship_to_one_row() -> object:
    return work(author=schema("AuthorIn", name=str) | None)


@refused(
    "Opus.glosses is a list of rows, but WorkCreate.glosses is no list of a Schema. Annotate it "
    "list[…] with the Schema of a row, or take the keys of rows instead."
)
def a_relationship_to_many_rows() -> object:
    return work(glosses=list[str])


@refused(
    "Opus.publish is neither a column nor a property with a setter: WorkCreate cannot assign "
    "it. Remove the field."
)
def a_method() -> object:
    return work(publish=str)


@refused(
    "Opus.quiet is neither a column nor a property with a setter: WorkCreate cannot assign "
    "it. Remove the field."
)
def a_hybrid_without_a_setter() -> object:
    return work(quiet=str | None)


@refused("Clients cannot set Opus.length: the database computes it. Remove length from WorkCreate.")
def a_computed_column() -> object:
    return work(length=int | None)


@refused("Opus.loud is an expression. Remove loud from WorkCreate.")
def an_expression() -> object:
    return work(loud=str | None)


def test_a_deferred_column_in_the_input_is_accepted() -> None:
    work(body=str | None)


class Always(Base):
    __tablename__ = "always"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Identity(always=True))


@refused(
    "Clients cannot set Always.number: the database always generates it. Remove number "
    "from AlwaysCreate."
)
def an_identity_that_is_always_generated() -> object:
    return declare(Always, create=schema("AlwaysCreate", number=int))


class Sketch(Base, Versioned, SoftDelete):
    __tablename__ = "sketches"

    id: Mapped[int] = mapped_column(primary_key=True)


class Leaf(Base):
    __tablename__ = "leaves"
    __table_args__ = (soft_delete_foreign_key("draft_id", "draft_is_deleted", Sketch),)

    id: Mapped[int] = mapped_column(primary_key=True)
    draft_id: Mapped[int | None]
    draft_is_deleted: Mapped[bool] = mapped_column(default=False)
    draft: Mapped[Sketch | None] = relationship()


@refused(
    "Clients cannot set Sketch.version: it counts the versions of a row. Remove version "
    "from DraftCreate."
)
def a_version() -> object:
    return declare(Sketch, create=schema("DraftCreate", version=int))


@refused(
    "Clients cannot set Leaf.draft_is_deleted: the database maintains it. Remove "
    "draft_is_deleted from PageCreate."
)
def a_column_maintained_by_the_database() -> object:
    return declare(Leaf, create=schema("PageCreate", draft_is_deleted=bool))


class Beast(Base):
    __tablename__ = "beasts"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))


@refused(
    "Clients cannot set Beast.kind: it names the class of a row. Remove kind from AnimalCreate."
)
def the_class_of_a_row() -> object:
    return declare(Beast, create=schema("AnimalCreate", kind=str))


# --- Input schemas that do not dump what was sent -------------------------------------------------


@refused("WorkIn is not a Schema. Let it inherit from brickwork.Schema.")
def an_input_without_the_base_schema() -> object:
    return declare(Opus, create=schema("WorkIn", BaseModel, title=str), update=schema("No"))


@refused("Open accepts unknown fields, but a row has none. Remove extra from its model_config.")
def an_input_with_unknown_fields() -> object:
    class Open(Schema):
        model_config = ConfigDict(extra="allow")

    return declare(Opus, create=Open)


@refused(
    "WorkCreate does not dump the values of the client, because of title. Move computed "
    "fields, exclude and serializers to the read schema."
)
def an_excluded_field() -> object:
    return work(title=(str, Field(exclude=True)))


@refused(
    "Shouting does not dump the values of the client, because of caption. Move computed "
    "fields, exclude and serializers to the read schema."
)
def a_computed_field() -> object:
    class Shouting(Schema):
        title: str

        @computed_field  # type: ignore[prop-decorator]
        @property
        def caption(self) -> str:
            return self.title.upper()

    return declare(Opus, create=Shouting)


@refused(
    "Rewritten does not dump the values of the client, because of its model_serializer. "
    "Move computed fields, exclude and serializers to the read schema."
)
def a_serializer_of_an_input() -> object:
    class Rewritten(Schema):
        title: str

        @model_serializer
        def rewrite(self) -> dict[str, Any]:
            return {"caption": self.title}

    return declare(Opus, create=Rewritten)


# --- Types of fields and of columns ---------------------------------------------------------------


class Short(TypeDecorator[str]):
    impl = String(3)
    cache_ok = True


class Reversed(TypeDecorator[str]):
    """Does not say that its values are text."""

    impl = String(3)
    cache_ok = True

    @override
    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and value[::-1]


class Loose(TypeDecorator[Any]):
    """A JSON document whose changes are not compared as JSON."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[Any]:
        return dict


CHOICES: Final = Enum("S", "L", name="choices")
UNTYPED: Final = PlainSerializer(lambda url: str(url))  # noqa: PLW0108 — str tells its type
DOCUMENT: Final = "an object or an array of JSON"
DIGITS_REMEDY: Final = (
    "SQLite keeps 15 digits of it. Use ExactNumeric(precision, scale) up to 18 digits, or a "
    "TypeDecorator with a python_type."
)
ITEMS_REMEDY: Final = (
    "the items may be str, int, float, bool, UUID, date, time, datetime. Use JSONDocument for "
    "others."
)
PICKLE_REMEDY: Final = (
    "JSON has no such values. Use LargeBinary, JSONDocument, or a TypeDecorator with a python_type."
)
UNKNOWN_REMEDY: Final = (
    "Brickwork does not know it. Use String, Text, Unicode, UnicodeText, SmallInteger, Integer, "
    "BigInteger, Float, Double, Boolean, Date, Time, DateTime, Interval, Numeric, LargeBinary, "
    "Uuid, Enum, UTCDateTime, ExactNumeric, JSONDocument, or a TypeDecorator with a python_type."
)


MISFITS: Final = cases(
    {
        "Base64Bytes over text": (String(99), Base64Bytes, "bytes", "str"),
        "an Enum of numbers over text": (String(9), Number, "Number", "str"),
        "a plain datetime over a DateTime": (DateTime(), datetime, "datetime", "NaiveUTC"),
        "NaiveUTC over an instant": (UTCDateTime(), NaiveUTC, "NaiveUTC", "datetime"),
        "float over a decimal": (Numeric(5, 2), float, "float", "Decimal"),
        "text over bytes": (LargeBinary(), str, "str", "bytes"),
        "number over a duration": (Interval(), int, "int", "timedelta"),
        "anything over text": (String(9), Any, "Any", "str"),
        "number over text": (String(9), int, "int", "str"),
        "text or number over text": (String(9), str | int, "str | int", "str"),
        "list over text": (String(9), list[str], "list[str]", "str"),
        "a serializer of no type": (String(99), Annotated[HttpUrl, UNTYPED], "HttpUrl", "str"),
        "bool over a number": (Integer(), bool, "bool", "int"),
        "float over an integer": (Integer(), float, "float", "int"),
        "int over a float": (Double[float](), int, "int", "float"),
        "text over UUID": (Uuid(), str, "str", "UUID"),
        "datetime over a date": (Date(), datetime, "datetime", "date"),
        "date over an instant": (UTCDateTime(), date, "date", "datetime"),
        "text over an Enum": (Enum(Colour), str, "str", "Colour"),
        "another Enum": (Enum(Colour), Size, "Size", "Colour"),
        "text over choices": (CHOICES, str, "str", "Literal['L', 'S']"),
        "other choices": (CHOICES, Literal["S", "M"], "Literal['S', 'M']", "Literal['L', 'S']"),
        "an Enum over choices": (CHOICES, Size, "Size", "Literal['L', 'S']"),
        "set over JSON": (JSONDocument(), set[str], "set[str]", DOCUMENT),
        "numbers as keys": (JSONDocument(), dict[int, str], "dict[int, str]", DOCUMENT),
        "bytes in JSON": (JSONDocument(), dict[str, bytes], "dict[str, bytes]", DOCUMENT),
        "Decimal in JSON": (JSONDocument(), list[Decimal], "list[Decimal]", DOCUMENT),
        "tuple over an array": (ARRAY(String(9)), tuple[str, ...], "tuple[str, ...]", "list[str]"),
        "numbers over an array": (ARRAY(String(9)), list[int], "list[int]", "list[str]"),
    }
)
"""Types of columns and fields that do not match, and their names in the error."""


@pytest.mark.parametrize(("kind", "annotation", "field", "column"), MISFITS)
def test_a_column_of_another_type_than_its_field_is_rejected(
    kind: Any, annotation: Any, field: str, column: str
) -> None:
    with pytest.raises(TypeError) as error:
        declare(model_of(value=kind), create=schema("RowCreate", value=annotation))
    assert str(error.value) == (
        f"RowCreate.value is {field}, but Row.value holds {column}. Annotate the field with that, "
        "or add a PlainSerializer that returns it."
    )


UNEQUAL: Final = cases(
    {
        "a loose JSON": (
            Loose(),
            "SQLAlchemy takes true for 1 in it. Let Loose inherit from JSONDocument.",
        ),
        "an array of arrays": (ARRAY(String(9), dimensions=2), ITEMS_REMEDY),
        "an array of JSON": (ARRAY(JSON()), ITEMS_REMEDY),
        "an array of choices": (ARRAY(CHOICES), ITEMS_REMEDY),
        "an array of Enum": (ARRAY(Enum(Colour)), ITEMS_REMEDY),
        "an array of UUID, or JSON": (
            ARRAY(Uuid()).with_variant(JSON(), "sqlite"),
            "its variants have values of different classes. Give them one class.",
        ),
        "variants of two classes": (
            Integer().with_variant(String(9), "sqlite"),
            "its variants have values of different classes. Give them one class.",
        ),
        "Time with a zone": (
            Time(timezone=True),
            "SQLite drops the time zone. Leave out timezone=True, or use UTCDateTime.",
        ),
        "Numeric of any digits": (Numeric(), DIGITS_REMEDY),
        "Numeric of 16 digits": (Numeric(16, 2), DIGITS_REMEDY),
        "Numeric without places": (Numeric(5), DIGITS_REMEDY),
        "Numeric of floats": (
            Numeric(5, 2, asdecimal=False),
            "floats round decimals. Leave out asdecimal=False, or use Double.",
        ),
        "Float of Decimal": (
            Float(asdecimal=True),
            "floats round decimals. Use ExactNumeric(precision, scale).",
        ),
        "Float of six digits": (Float(24), "PostgreSQL rounds it to six digits. Use Double."),
        "REAL": (REAL[float](), "PostgreSQL rounds it to six digits. Use Double."),
        "PickleType": (
            PickleType(),
            PICKLE_REMEDY,
        ),
        "CHAR": (CHAR(2), "PostgreSQL fills it up with spaces. Use String."),
        "UUID": (
            NATIVE_UUID(),
            "SQLite may read it as a number. Use Uuid, which is the same type in PostgreSQL.",
        ),
        "CITEXT": (CITEXT(), UNKNOWN_REMEDY),
        "INET": (INET(), UNKNOWN_REMEDY),
        "a TypeDecorator without python_type": (
            Reversed(),
            "it does not say the class of its values. Give Reversed a python_type.",
        ),
    }
)
"""Types of columns that databases store differently, and the remedy for each."""


@pytest.mark.parametrize(("kind", "remedy"), UNEQUAL)
def test_a_column_that_databases_store_differently_is_rejected(kind: Any, remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declare(model_of(value=kind), create=schema("RowCreate", value=str))
    assert str(error.value) == f"Row.value is of the type {kind!r}: {remedy}"


@pytest.mark.parametrize(("kind", "remedy"), UNEQUAL)
def test_a_column_that_databases_read_differently_is_rejected(kind: Any, remedy: str) -> None:
    with pytest.raises(TypeError) as error:
        declare(model_of(value=kind), read=schema("RowRead", ReadSchema, value=Any))
    assert str(error.value) == f"Row.value is of the type {kind!r}: {remedy}"


@refused(
    "In.value may be 'green', which is too large for Row.value, a String(length=4). Make the "
    "column larger."
)
def a_long_choice() -> object:
    return declare(model_of(value=String(4)), create=schema("In", value=Literal["red", "green"]))


@refused(
    "In.value may be 'green', which is too large for Row.value, a Short(length=3). Make the "
    "column larger."
)
def a_long_choice_over_a_type_decorator() -> object:
    return declare(model_of(value=Short()), create=schema("In", value=Literal["green"]))


@refused(
    "In.value may be 40000, which is too large for Row.value, a SmallInteger(). Make the column "
    "larger."
)
def a_large_choice() -> object:
    return declare(model_of(value=SmallInteger()), create=schema("In", value=Literal[1, 40000]))


def of(kind: Any, annotation: Any, default: Any, *, nullable: bool = True) -> object:
    """Declare rows with a field that has this *default*."""
    model = model_of(value=mapped_column(kind, nullable=nullable))
    return declare(model, create=schema("RowCreate", value=(annotation, default)))


@refused(
    "RowCreate.value may be 'draft', which is too large for Row.value, a String(length=3). Make "
    "the column larger."
)
def a_default_that_is_too_long() -> object:
    return of(String(3), str, "draft")


@refused(
    "RowCreate.value may be 40000, which is too large for Row.value, a SmallInteger(). Make the "
    "column larger."
)
def a_default_that_is_too_large() -> object:
    return of(SmallInteger(), int, 40000)


def test_default_of_a_text_form_is_accepted() -> None:
    of(String(5), Colour, Colour.GREEN)
    of(String(99), HttpUrl, HttpUrl("https://example.com"))


@refused(
    "RowCreate.value may be 'green', which is too large for Row.value, a String(length=3). Make "
    "the column larger."
)
def a_default_whose_text_is_too_long() -> object:
    return of(String(3), Colour | None, Colour.GREEN)


@refused(
    "RowCreate.value is '1' by default, but Row.value holds int. Give the field another default."
)
def a_default_of_another_type() -> object:
    return of(Integer(), int, "1")


@refused(
    "RowCreate.value is datetime.datetime(2026, 1, 31, 0, 0) by default, but Row.value "
    "holds datetime. Give the field another default."
)
def a_default_without_a_zone() -> object:
    return of(UTCDateTime(), datetime, datetime(2026, 1, 31))  # noqa: DTZ001


@refused(
    "RowCreate.value is None by default, but Row.value cannot be NULL. Give the field "
    "another default, or make it required."
)
def a_default_that_is_null() -> object:
    return of(String(3), str | None, None, nullable=False)


@refused(
    "RowCreate.value is {'a'} by default, but Row.value holds an object or an array of "
    "JSON. Give the field another default."
)
def a_default_of_a_document() -> object:
    return of(JSONDocument(), list[str], {"a"})


@pytest.mark.parametrize(
    ("kind", "annotation", "default"),
    [
        (JSONDocument(), dict[str, Any], {}),
        (ARRAY(String(9)), list[str], ["a"]),
        (String(9), Size, Size.SMALL),
        (Integer(), int, 5),
        (UTCDateTime(), datetime, datetime(2026, 1, 31, tzinfo=UTC)),
        (Double[float](), float, 0.5),
    ],
)
def test_a_valid_default_is_accepted(kind: Any, annotation: Any, default: Any) -> None:
    of(kind, annotation, default)


# --- The read schema ------------------------------------------------------------------------------


def shown(**fields: Any) -> object:
    """Declare opuses with these *fields* in the read schema."""
    return declare(Opus, read=schema("WorkRead", ReadSchema, **fields))


@refused(
    "WorkRead.colour shows colour, but Opus has no such attribute. Add it to the model, "
    "or give the field a default."
)
def a_read_field_that_the_model_lacks() -> object:
    return shown(colour=str)


@refused(
    "OpusRead.title shows heading, but Opus has no such attribute. Give the field "
    "serialization_alias='heading' instead of its alias."
)
def a_read_field_under_an_alias() -> object:
    read = schema("OpusRead", BaseModel, title=(str, Field(alias="heading")))
    return declare(Opus, read=read)


@refused(
    "OpusRead.title shows one, but Opus has no such attribute. Give the field "
    "serialization_alias='one' instead of its alias."
)
def none_of_several_aliases() -> object:
    names = AliasChoices("one", AliasPath("two", 0))
    read = schema("OpusRead", BaseModel, title=(str, Field(validation_alias=names)))
    return declare(Opus, read=read)


@refused(
    "Opus.metadata is neither a column nor a property: WorkRead.metadata cannot show it. Call "
    'the field metadata_, with serialization_alias="metadata".'
)
def an_attribute_of_every_model_in_the_read_schema() -> object:
    return shown(metadata=dict[str, Any] | None)


@refused(
    "Opus.publish is neither a column nor a property: WorkRead.publish cannot show it. "
    "Remove the field."
)
def a_method_in_the_read_schema() -> object:
    return shown(publish=str)


@refused(
    "Opus.author is a relationship, but WorkRead.author is str | None. Annotate it with a "
    "ReadSchema of the related rows."
)
def a_relationship_without_a_schema() -> object:
    return shown(author=str | None)


@refused(
    "WorkRead.author is list[AuthorRead], but Opus.author is one row. Annotate it "
    "AuthorRead | None."
)
def a_list_in_place_of_a_row() -> object:
    return shown(author=list[schema("AuthorRead", ReadSchema, id=int)])  # type: ignore[misc]


@refused(
    "WorkRead.glosses is CommentRead | None, but Opus.glosses is a list. Annotate it "
    "list[CommentRead]."
)
def a_row_in_place_of_a_list() -> object:
    return shown(glosses=schema("CommentRead", ReadSchema, id=int) | None)


@refused(
    "WorkRead.author is never null, but Opus.author may refer to no row. Annotate it "
    "AuthorRead | None."
)
def a_nullable_relationship() -> object:
    return shown(author=schema("AuthorRead", ReadSchema, id=int))


class Cover(Base):
    __tablename__ = "covers"

    id: Mapped[int] = mapped_column(primary_key=True)
    spine: Mapped["Spine"] = relationship(back_populates="cover")


class Spine(Base):
    __tablename__ = "spines"

    id: Mapped[int] = mapped_column(primary_key=True)
    cover_id: Mapped[int] = mapped_column(ForeignKey(Cover.id))
    cover: Mapped[Cover] = relationship(back_populates="spine")


@refused(
    "CoverRead.spine is never null, but Cover.spine may refer to no row. Annotate it "
    "SpineRead | None."
)
def a_relationship_to_one_row_that_may_be_missing() -> object:
    read = schema("CoverRead", ReadSchema, spine=schema("SpineRead", ReadSchema, id=int))
    return declare(Cover, read=read)


@refused("Opus.late is dynamic and never loaded. Show another relationship to the same rows.")
def a_dynamic_relationship() -> object:
    return shown(late=Annotated[list[schema("CommentRead", ReadSchema, id=int)], Limit(2)])  # type: ignore[misc]


@refused("Opus.unordered is not a list. Give the relationship the type list.")
def a_relationship_with_a_set() -> object:
    return shown(unordered=Annotated[list[schema("CommentRead", ReadSchema, id=int)], Limit(2)])  # type: ignore[misc]


@refused(
    "Opus.total is of the type Numeric(): SQLite keeps 15 digits of it. Use "
    "ExactNumeric(precision, scale) up to 18 digits, or a TypeDecorator with a python_type."
)
def an_expression_that_databases_compute_differently() -> object:
    return shown(total=Decimal | None)


@refused("WorkRead.title is int | None, but Opus.title holds str. Annotate the field with that.")
def a_read_field_of_another_type() -> object:
    return shown(title=int | None)


@refused(
    "RowRead.value is never null, but a request can leave Row.value NULL. Annotate it str | None."
)
def a_read_field_without_null() -> object:
    model = model_of(value=String(9))
    create = schema("RowCreate", value=(str | None, None))
    return declare(model, create=create, read=schema("RowRead", ReadSchema, value=str))


@refused(
    "RowRead.value is never null, but a request can leave Row.value NULL. Annotate it str | None."
)
def a_read_field_of_a_column_without_a_default() -> object:
    return declare(model_of(value=String(9)), read=schema("RowRead", ReadSchema, value=str))


class Renamed(ReadSchema):
    """A schema whose validator is given the row."""

    heading: str

    @model_validator(mode="before")
    @classmethod
    def rename(cls, row: Any) -> Any:
        return {"heading": row.title}


class ByName(ReadSchema):
    """A schema that reads attributes by the names of its fields."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)

    title: str | None = Field(alias="heading")


class Relation(ReadSchema):
    """A schema of rows that are related to each other in a circle."""

    id: int
    author: "AuthorOf | None" = None


class AuthorOf(ReadSchema):
    id: int
    name: str


class GlossRead(ReadSchema):
    id: int
    work: Relation


BodyRead = schema("BodyRead", ReadSchema, body=str | None)

SHOWABLE: Final = cases(
    {
        "code that is given the row": (Opus, Renamed),
        "names of fields": (Opus, ByName),
        "a default": (Opus, schema("OpusRead", ReadSchema, colour=(str, "red"))),
        "one of several aliases": (
            Opus,
            schema(
                "OpusRead",
                ReadSchema,
                heading=(str | None, Field(validation_alias=AliasChoices("other", "title"))),
            ),
        ),
        "a part of a document": (
            Opus,
            schema(
                "OpusRead",
                ReadSchema,
                tag=(str, Field(validation_alias=AliasPath("metadata_", "tag"))),
            ),
        ),
        "a synonym": (Opus, schema("OpusRead", ReadSchema, caption=str | None)),
        "a composite": (
            Opus,
            schema("OpusRead", ReadSchema, place=schema("PlaceRead", ReadSchema, shelf=int | None)),
        ),
        "a hybrid": (Opus, schema("OpusRead", ReadSchema, quiet=str | None)),
        "a deferred column": (Opus, schema("OpusRead", ReadSchema, body=str | None)),
        "a deferred column of a related row": (
            Gloss,
            schema("GlossRead", ReadSchema, work=BodyRead),
        ),
        "an expression of no type": (Opus, schema("OpusRead", ReadSchema, loud=str)),
        "a row that is always there": (Gloss, GlossRead),
        "a constant": (Opus, schema("OpusRead", ReadSchema, language=str)),
    }
)
"""Read schemas that show each row of a model."""


@pytest.mark.parametrize(("model", "read"), SHOWABLE)
def test_a_valid_read_schema_is_accepted(model: Any, read: Any) -> None:
    declare(model, read=read, omit={"create", "create_batch"})


@refused(
    "ReplyRead.sketch is never null, but Reply.sketch may refer to no row. Annotate it "
    "SketchRead | None."
)
def a_relationship_to_a_soft_deleted_row() -> object:
    class Reply(Base):
        __tablename__ = next_table()
        id: Mapped[int] = mapped_column(primary_key=True)
        sketch_id: Mapped[int] = mapped_column(ForeignKey(Sketch.id))
        sketch: Mapped[Sketch] = relationship()

    read = schema("ReplyRead", ReadSchema, sketch=schema("SketchRead", ReadSchema, id=int))
    return declare(Reply, create=schema("ReplyCreate", sketch_id=int), read=read)


NARROWER: Final = cases(
    {
        "choices": (String(9), str, Literal["a", "b"]),
        "fewer choices": (String(9), Literal["a", "b"], Literal["a"]),
        "an Enum": (String(9), str, Size),
        "a URL": (String(99), str, HttpUrl),
        "shorter": (String(9), str, Annotated[str, MaxLen(3)]),
        "longer": (String(9), str, Annotated[str, Field(min_length=1)]),
        "a pattern": (String(9), str, Annotated[str, Field(pattern="^a$")]),
        "higher": (Integer(), int, Annotated[int, Ge(0)]),
        "above": (Double[float](), Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]),
        "below": (Integer(), int, Annotated[int, Field(lt=5)]),
        "multiples": (Integer(), int, Annotated[int, Field(multiple_of=5)]),
        "UUIDs of a version": (Uuid(), UUID, UUID4),
        "another document": (JSONDocument(), dict[str, Any], list[Any]),
        "a schema of a document": (
            JSONDocument(),
            dict[str, Any],
            schema("Meta", ReadSchema, a=int),
        ),
        "a stricter schema": (
            JSONDocument(),
            schema("MetaIn", a=(int | None, None)),
            schema("MetaOut", ReadSchema, a=int),
        ),
        "a wider schema": (
            JSONDocument(),
            schema("MetaIn", a=int),
            schema("MetaOut", ReadSchema, a=int, b=int),
        ),
        "values of a document": (JSONDocument(), dict[str, Any], dict[str, int]),
        "items of a document": (JSONDocument(), list[str], list[Annotated[str, MaxLen(3)]]),
    }
)
"""Types of a column, of an input field, and of a read field that does not show all of it."""


@pytest.mark.parametrize(("kind", "sent", "shown"), NARROWER)
def test_a_read_field_narrower_than_the_input_is_rejected(kind: Any, sent: Any, shown: Any) -> None:
    with pytest.raises(TypeError) as error:
        declare(
            model_of(value=mapped_column(kind, nullable=False)),
            create=schema("RowCreate", value=sent),
            read=schema("RowRead", ReadSchema, value=shown),
        )
    assert str(error.value) == (
        "RowRead.value is narrower than RowCreate.value: a request could store a value "
        "that no response can show. Declare both alike."
    )


WIDER: Final = cases(
    {
        "the choices of the column": (CHOICES, Literal["S", "L"], Literal["S", "M", "L"]),
        "the same choices": (String(9), Literal["a", "b"], Literal["b", "a"]),
        "an Enum of the same choices": (String(9), Literal["S", "L"], Size),
        "text that is one of them": (String(9), Size, str),
        "a URL that is sent as text": (
            String(99),
            Annotated[HttpUrl, PlainSerializer(str, return_type=str)],
            HttpUrl,
        ),
        "as long as the column": (String(9), str, Annotated[str, MaxLen(9)]),
        "choices of a length": (String(9), Literal["a", "b"], Annotated[str, MaxLen(1)]),
        "at least one": (Integer(), Annotated[int, Field(gt=0)], Annotated[int, Field(ge=1)]),
        "at least zero": (
            Double[float](),
            Annotated[float, Field(gt=0)],
            Annotated[float, Field(ge=0)],
        ),
        "at most four": (Integer(), Annotated[int, Field(lt=5)], Annotated[int, Field(le=4)]),
        "a number": (Integer(), int, float),
        "a validator before it": (String(9), str, Annotated[Size, BeforeValidator(Size)]),
        "any document": (JSONDocument(), dict[str, str], Any),
        "any JSON": (JSONDocument(), JsonValue, JsonValue),
        "a schema of a document": (
            JSONDocument(),
            schema("MetaIn", a=int, b=str),
            schema("MetaOut", ReadSchema, a=int, c=(int, 1)),
        ),
        "an array": (ARRAY(String(9)), list[str], list[str]),
    }
)
"""Types of a column, of an input field, and of a read field that shows all of it."""


@pytest.mark.parametrize(("kind", "sent", "shown"), WIDER)
def test_a_read_field_wider_than_the_input_is_accepted(kind: Any, sent: Any, shown: Any) -> None:
    declare(
        model_of(value=mapped_column(kind, nullable=False)),
        create=schema("RowCreate", value=sent),
        read=schema("RowRead", ReadSchema, value=shown),
    )


class Values(Schema):
    """A schema whose dump has the values of an Enum, and not its members."""

    model_config = ConfigDict(use_enum_values=True)

    value: Colour
    chosen: Literal[Colour.RED]


def test_a_schema_with_enum_values_is_accepted() -> None:
    declare(
        model_of(value=String(9), chosen=String(9)),
        create=Values,
        read=schema("RowRead", ReadSchema, value=Colour | None, chosen=str | None),
    )


@refused(
    "Values.value is Colour, but Row.value holds Colour. Annotate the field with that, or "
    "add a PlainSerializer that returns it."
)
def values_of_an_enum_over_its_members() -> object:
    return declare(model_of(value=Enum(Colour), chosen=String(9)), create=Values)


# --- New rows -------------------------------------------------------------------------------------


class Memo(Base):
    __tablename__ = "memos"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))
    owner: Mapped[str] = mapped_column(String(20))


TEXT: Final[Any] = schema("NoteCreate", text=str)


@refused(
    "Memo.owner cannot be NULL, and NoteCreate has no field for it. Add the field, give the "
    "column a default, or set it in Rows.create."
)
def a_required_column_without_a_field() -> object:
    return declare(Memo, create=TEXT)


@refused(
    "Row.id cannot be NULL, and RowCreate has no field for it. Add the field, give the column a "
    "default, or set it in Rows.create."
)
def a_required_key_without_a_field() -> object:
    return declare(model_of(id=mapped_column(String(9), primary_key=True)))


class Filling(Resource[Memo]):
    @override
    async def create(self, row: Memo, /) -> None:
        row.owner = "ada"
        await super().create(row)


class WithInit(Base):
    __tablename__ = "with_init"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20))

    def __init__(self) -> None:
        self.owner = "ada"


class WithSetter(Base):
    __tablename__ = "with_setter"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20))

    @property
    def owned_by(self) -> str:
        return self.owner

    @owned_by.setter
    def owned_by(self, owner: str) -> None:
        self.owner = owner


class WithListener(Base):
    __tablename__ = "with_listener"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(20))


@event.listens_for(WithListener, "init")
def own(row: WithListener, _args: object, _values: object) -> None:
    row.owner = "ada"


class WithValidator(Base):
    __tablename__ = "with_validator"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(20))
    owner: Mapped[str] = mapped_column(String(20))

    @validates("text")
    def set_owner(self, _: str, text: str) -> str:
        self.owner = "ada"
        return text


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Memo, {"create": TEXT, "resource": Filling}),
        (Memo, {"create": TEXT, "omit": {"create", "create_batch"}}),
        (WithInit, {"create": schema("Empty")}),
        (WithSetter, {"create": schema("OwnedCreate", owned_by=str)}),
        (WithListener, {}),
        (WithValidator, {"create": TEXT}),
    ],
)
def test_a_column_that_code_sets_needs_no_field(model: Any, options: Any) -> None:
    declare(model, **options)


class Dataclass(MappedAsDataclass, DeclarativeBase): ...


class Member(Dataclass):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(20))
    since: Mapped[int]


@refused(
    "Member cannot be built from the fields of MemberCreate: missing a required argument: "
    "'since'. Give the other arguments defaults, or init=False."
)
def a_dataclass_with_another_argument() -> object:
    return declare(Member, create=schema("MemberCreate", name=str))


class Guest(Dataclass):
    __tablename__ = "guests"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(20), init=False)


@refused(
    "Guest.name cannot be NULL, and RowCreate has no field for it. Add the field, give the "
    "column a default, or set it in Rows.create."
)
def a_dataclass_with_a_required_column_without_a_field() -> object:
    return declare(Guest)


@refused(
    "Rows.allow_upsert is true, but a PUT cannot set the key of a new row: In has no "
    "field id. Add it."
)
def an_upsert_without_a_key() -> object:
    return declare(
        model_of(), resource=resource_of(Scribe, allow_upsert=True), create=schema("In", name=str)
    )


@refused(
    "RowCreate is not partial, but a PATCH sends only some fields. Declare it: class "
    "RowUpdate(RowCreate, partial=True)."
)
def an_update_schema_without_partial() -> object:
    return declare(model_of(value=String(9)), create=VALUE, update=VALUE)


@refused(
    "More is not partial, but a PATCH sends only some fields. Declare it: class "
    "RowUpdate(RowCreate, partial=True)."
)
def an_update_with_a_required_field() -> object:
    class More(partial(VALUE)):  # type: ignore[misc]
        other: str

    return declare(model_of(value=String(9), other=String(9)), create=VALUE, update=More)


@refused(
    "Whole is not partial, but a PATCH sends only some fields. Declare it: class "
    "Whole(Schema, partial=True)."
)
def an_update_without_partial_and_without_create() -> object:
    class Whole(Schema):
        value: str

    model = model_of(value=String(9))
    read = schema("RowRead", ReadSchema, id=int)
    return crud_router("/rows", resource_of(model), read=read, update=Whole)


@refused(
    "RowUpdate is partial, but a new row needs all its values. Give create the schema "
    "that it inherits from."
)
def a_partial_create_schema() -> object:
    return declare(model_of(value=String(9)), create=partial(VALUE))


VALUE: Final[Any] = schema("RowCreate", value=str | None)


@refused(
    "omit must be a set of operations, not 'patch', 'remove'. They are list, create, create_batch, "
    "update_batch, delete_batch, get, update, replace, delete, restore, history."
)
def an_unknown_operation() -> object:
    return declare(model_of(), omit={"list", "remove", "patch"})


@refused(
    "omit must be a set of operations, not 'create_batch'. They are list, create, create_batch, "
    "update_batch, delete_batch, get, update, replace, delete, restore, history."
)
def operations_as_text() -> object:
    return declare(model_of(), omit="create_batch")


def test_an_unused_update_schema_need_not_be_partial() -> None:
    omit = {"update", "update_batch"}
    declare(model_of(value=String(9)), create=VALUE, update=VALUE, omit=omit)


# --- Keys -----------------------------------------------------------------------------------------


def keyed(kind: Any, **options: Any) -> object:
    """Declare rows with a key of this type."""
    return declare(model_of(id=mapped_column(kind, primary_key=True)), **options)


@refused(
    "Row.id is BIGINT on SQLite, which generates only INTEGER keys. Declare it "
    'BIGINT().with_variant(Integer, "sqlite").'
)
def a_key_that_is_expressly_bigint_on_sqlite() -> object:
    return keyed(BIGINT)


@refused(
    "Row.id is SMALLINT on SQLite, which generates only INTEGER keys. Declare it "
    'SmallInteger().with_variant(Integer, "sqlite").'
)
def a_small_integer_key_without_autoincrement_on_sqlite() -> object:
    return keyed(SmallInteger)


@refused("The key of Row is a Size: use UUID, int, str or date.")
def a_key_of_an_enum() -> object:
    return keyed(Enum(Size), create=schema("RowCreate", id=Size))


@refused("The key of Row is a str: use UUID, int, str or date.")
def a_key_of_choices() -> object:
    return keyed(Enum("S", "L", name="size"), create=schema("RowCreate", id=Literal["S", "L"]))


@refused("The key of Row is a float: use UUID, int, str or date.")
def a_key_of_a_float() -> object:
    return keyed(Double[float](), create=schema("RowCreate", id=float))


@refused(
    "Row.id cannot be NULL, and RowCreate has no field for it. Add the field, give the column a "
    "default, or set it in Rows.create."
)
def a_part_of_a_key_without_a_field() -> object:
    fields = schema("RowCreate", other=int)
    return declare(model_of(other=mapped_column(Integer, primary_key=True)), create=fields)


@refused(
    "Row.id is a part of the key, which SQLite does not generate. Add the field to RowCreate, or "
    "give the column a default."
)
def a_part_of_a_key_that_only_postgresql_generates() -> object:
    fields = schema("RowCreate", other=int)
    other = mapped_column(Integer, primary_key=True)
    generated = mapped_column(Integer, primary_key=True, autoincrement=True)
    return declare(model_of(id=generated, other=other), create=fields)


@refused("The key of Row is a float: use UUID, int, str or date.")
def a_part_of_a_key_without_a_form_in_urls() -> object:
    return declare(model_of(other=mapped_column(Double[float](), primary_key=True)))


@pytest.mark.parametrize(
    "key",
    [
        {"type_": Integer},
        {"type_": BigInteger},
        {"type_": BigInteger().with_variant(Integer, "sqlite")},
        {"type_": BigInteger(), "default": lambda: 1},
    ],
)
def test_a_key_that_both_databases_generate_is_accepted(key: Any) -> None:
    declare(model_of(id=mapped_column(primary_key=True, **key)))


def test_a_big_integer_key_of_the_client_is_accepted() -> None:
    keyed(BigInteger, create=schema("RowCreate", id=int))


# --- The parameters of a list ---------------------------------------------------------------------


class OddName(Base):
    """A model with columns named like the parameters of a list."""

    __tablename__ = "odd"

    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]
    limit: Mapped[int]
    offset: Mapped[int]
    cursor: Mapped[str] = mapped_column(String(9))
    sort: Mapped[str] = mapped_column(String(9))
    q: Mapped[str] = mapped_column(String(9))
    filter: Mapped[str] = mapped_column(String(9))
    deleted: Mapped[bool]


def listed(model: Any, **fields: Any) -> Any:
    """Return a query model with these *fields*."""
    base: Any = ListQuery
    return schema("RowQuery", base[model], **fields)


RESERVED: Final[Mapping[str, Any]] = {
    "count": int,
    "limit": int,
    "offset": int,
    "cursor": str,
    "sort": str,
    "q": str,
}


@pytest.mark.parametrize(("name", "kind"), RESERVED.items())
def test_a_filter_in_place_of_a_parameter_is_rejected(name: str, kind: Any) -> None:
    with pytest.raises(TypeError) as error:
        listed(OddName, **{name: (kind | None, None)})
    assert str(error.value) == (
        f"RowQuery.{name} replaces the parameter {name}. Rename a filter to {name}__eq. A "
        "parameter may change its default, not its type."
    )


@pytest.mark.parametrize(("name", "kind"), RESERVED.items())
def test_a_filter_of_a_column_named_like_a_parameter(name: str, kind: Any) -> None:
    listed(OddName, **{f"{name}__eq": (kind | None, None)})


@pytest.mark.filterwarnings("ignore:Field name")  # Pydantic's
@pytest.mark.parametrize("name", ["filter", "sort_keys", "search_fields"])
def test_a_filter_in_place_of_a_method_is_rejected(name: str) -> None:
    with pytest.raises(TypeError) as error:
        listed(OddName, **{name: (str | None, None)})
    assert str(error.value) == (
        f"RowQuery.{name} replaces ListQuery.{name}. Rename a filter to {name}__eq. A "
        "parameter may change its default, not its type."
    )


@refused(
    "RowQuery.most replaces the parameter limit. Rename a filter to limit__eq. A "
    "parameter may change its default, not its type."
)
def a_filter_under_the_name_of_a_parameter() -> object:
    return listed(OddName, most=(Annotated[int | None, CustomFilter, Field(alias="limit")], None))


@refused(
    "RowQuery.limit replaces the parameter limit. Rename a filter to limit__eq. A "
    "parameter may change its default, not its type."
)
def a_limit_without_a_maximum() -> object:
    return listed(OddName, limit=(int, 50))


@refused(
    "RowQuery.most replaces the parameter count. Rename a filter to count__eq. A "
    "parameter may change its default, not its type."
)
def a_filter_under_one_of_several_names() -> object:
    names = AliasChoices("most", "count")
    return listed(
        OddName, most=(Annotated[int | None, CustomFilter], Field(None, validation_alias=names))
    )


def test_filters_with_aliases_are_accepted() -> None:
    names = AliasChoices("amount", AliasPath("of", 0))
    listed(
        OddName,
        count__gt=(int | None, Field(None, alias="more")),
        count__lt=(int | None, Field(None, validation_alias=names)),
        deleted=(bool | None, Field(None, validation_alias=AliasPath("deleted", 0))),
    )


def test_a_query_can_handle_sort_and_q_itself() -> None:
    own = (Annotated[str | None, CustomFilter], None)
    listed(OddName, sort=own, q=own)


def test_a_parameter_can_have_another_default() -> None:
    class Long(ListQuery[OddName]):
        limit: Annotated[int, Ge(1), LimitedTo("page")] = 50

    assert Long().limit == 50


@refused(
    "RowQuery.deleted is the parameter that lists deleted rows of a SoftDelete. Call the "
    "filter deleted__eq."
)
def a_filter_named_like_the_parameter_of_deleted_rows() -> object:
    class MarkedName(Base, SoftDelete):
        __tablename__ = next_table()
        id: Mapped[int] = mapped_column(primary_key=True)
        deleted: Mapped[bool] = mapped_column(default=False)

    return declare(MarkedName, query=listed(MarkedName, deleted=(bool | None, None)))


def test_a_filter_named_deleted_without_soft_delete_is_accepted() -> None:
    names = ("count", "limit", "offset", "cursor", "sort", "q", "filter", "deleted")
    own = dict.fromkeys(names[:3], int) | dict.fromkeys(names[3:7], str) | {"deleted": bool}
    query = listed(OddName, deleted=(bool | None, None))
    declare(OddName, create=schema("OddCreate", **own), query=query)


@refused("Unbound has filters but no model. Let it inherit from ListQuery[Opus].")
def filters_of_no_model() -> object:
    class Unbound(ListQuery[Any]):
        title: str | None = None

    return declare(Opus, query=Unbound)


@refused("RowQuery lists Scribe, but Rows has Opus. Let it inherit from ListQuery[Opus].")
def filters_of_another_model() -> object:
    return declare(Opus, query=listed(Scribe, name=(str | None, None)))


@refused(
    "RowQuery.value: Row.value is compared with datetime: annotate it NaiveUTC | None. Mark a "
    "parameter that filter() reads: Annotated[…, CustomFilter]."
)
def a_filter_of_a_datetime_without_a_zone() -> object:
    return listed(model_of(value=DateTime()), value=(datetime | None, None))


@refused(
    "RowQuery.made: Row.made gets values from SQL, which may differ in format from those that its "
    "type writes on SQLite: no filter would find them. Use DateTime or Time, or Python functions: "
    "mapped_column(default=…, onupdate=…). Mark a parameter that filter() reads: "
    "Annotated[…, CustomFilter]."
)
def a_filter_of_a_datetime_of_sqlite_with_a_server_default() -> object:
    kind = DateTime().with_variant(sqlite.DATETIME(), "sqlite")  # type: ignore[no-untyped-call]
    made = mapped_column(kind, server_default=func.now())
    return listed(model_of(made=made), made=(NaiveUTC | None, None))


@refused(
    "RowQuery.value__isnull: Row.value has the null of JSON, which is not NULL: declare the "
    "column JSON(none_as_null=True), or use JSONDocument. Mark a parameter that filter() "
    "reads: Annotated[…, CustomFilter]."
)
def a_filter_of_null_in_json() -> object:
    return listed(model_of(value=JSON()), value__isnull=(bool | None, None))


@refused("Opus.quiet has no expression in SQL. Give it one: @quiet.inplace.expression.")
def a_sort_by_a_hybrid_without_an_expression() -> object:
    return listed(Opus, sort=(SortBy[Literal["quiet"]], None))  # type: ignore[misc]


@refused(
    "RowQuery.sort: Opus.words has no length, and cursors contain it: declare one, String(200)."
)
def a_sort_by_a_hybrid_without_a_length() -> object:
    return listed(Opus, sort=(SortBy[Literal["words"]], None))  # type: ignore[misc]


@refused("Opus.loud is an expression of no type: give it type_coerce(…, String(200)).")
def a_sort_by_an_expression_without_a_length() -> object:
    return listed(Opus, sort=(SortBy[Literal["loud"]], None))  # type: ignore[misc]


@refused(
    "Usual.sort_keys: Opus.body has no length, and cursors contain it: declare one, String(200)."
)
def a_default_order_by_a_column_without_a_length() -> object:
    class Usual(ListQuery[Opus]):
        @override
        def sort_keys(self) -> Sequence[SortKey[str]]:
            return [SortKey("author_id"), SortKey("body")]

    return declare(Opus, query=Usual)


@refused(
    "Opus has no column colour; it has loud, total, latest, id, title, metadata_, length, body, "
    "author_id, shelf, board."
)
def a_default_order_by_an_unknown_column() -> object:
    class Usual(ListQuery[Opus]):
        @override
        def sort_keys(self) -> Sequence[SortKey[str]]:
            return [SortKey("colour")]

    return declare(Opus, query=Usual)


@refused("Late.filter is async: declare `def filter(self, statement)`.")
def an_async_method_of_a_query() -> object:
    async def filter_(_: object, rows: Select[Opus]) -> Select[Opus]:
        return rows

    base: Any = ListQuery
    return new_class("Late", (base[Opus],), {}, lambda names: names.update(filter=filter_))


def test_the_default_order_of_a_required_filter_is_unchecked() -> None:
    class Usual(ListQuery[Opus]):
        title: str  # is required

        @override
        def sort_keys(self) -> Sequence[SortKey[str]]:
            return [SortKey("body")]

    declare(Opus, query=Usual)


def test_the_default_order_of_an_overridden_page_is_unchecked() -> None:
    class Usual(ListQuery[Opus]):
        @override
        def sort_keys(self) -> Sequence[SortKey[str]]:
            return [SortKey("body")]

    async def page(_: object, at: object, /) -> object:
        return at

    declare(Opus, query=Usual, resource=resource_of(Opus, page=page))


@refused(
    "RowQuery.quiet: Opus.quiet has no expression in SQL. Give it one: "
    "@quiet.inplace.expression. Mark a parameter that filter() reads: Annotated[…, "
    "CustomFilter]."
)
def a_filter_of_a_hybrid_without_an_expression() -> object:
    return listed(Opus, quiet=(str | None, None))


def test_a_filter_of_an_expression_is_accepted() -> None:
    made = mapped_column(UTCDateTime)
    listed(model_of(made=made, last=column_property(func.max(made))), last=(datetime | None, None))


# --- Tables that are Brickwork's ------------------------------------------------------------------


@refused(
    "Brickwork needs a table idempotency_keys, but the metadata of Key has another table of this "
    "name. Rename it."
)
def a_table_with_the_name_of_a_companion_table() -> object:
    class Other(Model):
        __abstract__ = True
        metadata = MetaData()

    class Key(Other):
        __tablename__ = "idempotency_keys"
        id: Mapped[int] = mapped_column(primary_key=True)

    return declare(Key)


def test_a_reflected_companion_table_is_kept() -> None:
    class Other(Model):
        __abstract__ = True
        metadata = MetaData()

    class Row(Other):
        __tablename__ = "rows"
        id: Mapped[int] = mapped_column(primary_key=True)

    ours = cast("Table[Any]", IdempotencyKey.__table__)
    reflected = Table(ours.name, Other.metadata, *(Column(column.name) for column in ours.columns))
    declare(Row)
    assert Other.metadata.tables[ours.name] is reflected


@refused(
    "ReadSchema is not a mapped class. Name the model in the bases of Rows: Resource[YourModel]."
)
def a_model_without_a_mapping() -> object:
    return crud_router(
        "/rows",
        resource_of(cast("Any", ReadSchema)),
        read=ReadSchema,
        create=schema("RowCreate"),
        update=schema("RowUpdate"),
    )


# --- Classes in the wrong place -------------------------------------------------------------------


@refused("The second argument is Writers. Give crud_router a class that is a Resource.")
def a_resource_without_a_class() -> object:
    return declare(Scribe, resource="Writers")


@refused("read is list[WriterCreate]. Give crud_router a class that is a BaseModel.")
def a_read_schema_without_a_class() -> object:
    return declare(Scribe, read=list[WRITER])


@refused("dict[str, Any] is not a Schema. Let it inherit from brickwork.Schema.")
def a_create_schema_without_a_class() -> object:
    return declare(Scribe, create=dict[str, Any], update=WRITER)


@refused("query is WriterCreate. Give crud_router a class that is a ListQuery.")
def a_query_of_another_class() -> object:
    return declare(Scribe, query=WRITER)


WRITER: Final[Any] = schema("WriterCreate", name=str)


class ShoutedScribe(Base):
    """A model that is mapped to a query."""

    __table__ = select(Scribe.id, func.upper(Scribe.name).label("name")).subquery()
    __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012


@refused(
    "ShoutedScribe is mapped to a query, whose rows cannot be written. Omit every operation but "
    "list and get."
)
def a_writable_mapped_query() -> object:
    return declare(ShoutedScribe)


def test_a_mapped_query_is_accepted_read_only() -> None:
    writing = {"create", "update", "replace", "delete"}
    declare(
        ShoutedScribe,
        omit={*writing, *(f"{operation}_batch" for operation in writing - {"replace"})},
    )


@refused(
    "Rows.require_if_match is true, but its rows have no version. Let Scribe inherit from "
    "Versioned."
)
def a_required_if_match_without_versions() -> object:
    resource = resource_of(Scribe, require_if_match=True)
    return declare(Scribe, create=WRITER, resource=resource)
