"""Fields on a command line."""

from decimal import Decimal

import pytest

from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.field_specs import FieldSpec, parse_fields
from brickwork.scaffold.field_types import TYPES


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("name:str", FieldSpec("name", "str")),
        ("name:str(50)?", FieldSpec("name", "str", ("50",), optional=True)),
        ("name:str:optional", FieldSpec("name", "str", optional=True)),
        ("sku:str:unique:index", FieldSpec("sku", "str", unique=True, index=True)),
        ("price:decimal(10, 2)", FieldSpec("price", "decimal", ("10", "2"))),
        ("price:decimal:default=1.50", FieldSpec("price", "decimal", default=Decimal("1.50"))),
        ("stock:int:default=-3", FieldSpec("stock", "int", default=-3)),
        ("active:bool:default=false", FieldSpec("active", "bool", default=False)),
        ("state:enum(a,b):default=b", FieldSpec("state", "enum", ("a", "b"), default="b")),
        ("parent:ref(Category)?", FieldSpec("parent", "ref", ("Category",), optional=True)),
    ],
)
def test_a_field_has_a_type_and_modifiers(text: str, spec: FieldSpec) -> None:
    assert parse_fields([text]) == [spec]


def test_a_reference_names_an_attribute_and_a_model() -> None:
    (spec,) = parse_fields(["order_line:ref"])
    assert (spec.attribute, spec.target) == ("order_line_id", "OrderLine")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name", r"write NAME:TYPE\. The types are str or str\(100\), text, int"),
        ("name:string", r"there is no type 'string'\. The types are str or"),
        ("name:str(", "there is no type"),
        ("name:str()", "the parentheses are empty"),
        ("name:str(0)", "write the length, from 1 to 10000"),
        ("name:str(20000)", "write the length"),
        ("name:int(5)", "it takes nothing in parentheses"),
        ("name:decimal(3,9)", r"write up to 18 digits .* decimal\(10,2\)"),
        ("name:decimal(40,2)", "write up to 18 digits"),
        ("name:decimal(5)", "write up to 18 digits"),
        ("name:enum", "write two or more different values"),
        ("name:enum(a)", "write two or more different values"),
        ("name:enum(a,a)", "write two or more different values"),
        ("name:enum(a,it's)", "write two or more different values"),
        ("name:ref(category)", r"name one model in the parentheses, as in ref\(Category\)"),
        ("name:ref(A,B)", "name one model"),
        ("name:str:uniq", "there is no 'uniq'. After the type, write optional, unique, index or"),
        ("name:text:unique", "such a column has no index: remove unique"),
        ("name:json:index", "such a column has no index: remove index"),
        ("name:bool:unique", "there would be two rows at most"),
        ("name:date:default=today", "this type has no default"),
        ("name:int:default=x", "'x' is no value of this type"),
        ("name:int:default=3000000000", "is no value of this type"),
        ("name:int:default=1_000", "'1_000' is no value of this type"),
        ("name:int:default=\uff11\uff12", "is no value of this type"),
        ("name:float:default=nan", "'nan' is no value of this type"),
        ("name:float:default=1e999", "is no value of this type"),
        ("name:int:default=1:default=2", "write default once"),
        ("name:str:unique:unique", "write unique once"),
        ("name:", "there is no type ''"),
        ("name:str(\u0661\u0662)", "str: "),
        ("name:bool:default=yes", "'yes' is no value of this type"),
        ("name:decimal:default=NaN", "is no value of this type"),
        ("name:decimal:default=one", "is no value of this type"),
        ("name:decimal(3,1):default=0.05", "the default does not fit 3 digits with 1 places"),
        ("name:decimal(3,1):default=100", "the default does not fit"),
        ("name:str(2):default=abc", "the default is longer than 2"),
        ("name:enum(a,b):default=c", "the default is none of a, b"),
        ("name:str?:default=a", "an optional field is null by default"),
        ("name:str:unique:default=a", "a second row with the default would be a conflict"),
        ("Name:str", "'Name' is not a name of a field"),
        ("2nd:str", "'2nd' is not a name of a field"),
        ("a__b:str", "single underscores"),
        ("_a:str", "is not a name of a field"),
        (f"{'a' * 31}:str", "write up to 30 lower-case letters"),
        (f"{'a' * 30}:ref", "is not a name of a field"),
        ("class:str", "class is a word of Python"),
        *((f"{name}:int", f"{name} has a meaning of its own. Rename it") for name in (
            *("id", "created_at", "updated_at", "version", "deleted_at", "is_deleted"),
            *("metadata", "registry", "model_config", "copy", "json", "schema"),
            *("limit", "offset", "cursor", "count", "sort", "q", "fields", "deleted", "filter"),
            *("date", "str", "returning", "lateral", "self"),
        )),
    ],
)  # fmt: skip
def test_the_error_names_the_wrong_part_and_the_remedy(text: str, error: str) -> None:
    with pytest.raises(ScaffoldError, match=error) as raised:
        parse_fields([text])
    assert str(raised.value).startswith(text)


def test_two_fields_have_two_names() -> None:
    with pytest.raises(ScaffoldError, match="another field is called category_id"):
        parse_fields(["category:ref", "category_id:uuid"])


def test_the_lower_sample_is_first() -> None:
    arguments = {"enum": ("b", "a")}
    for name, kind in TYPES.items():
        if kind.can_sort:
            first, second = kind.samples(arguments.get(name, ()))
            assert eval(first) < eval(second), name  # noqa: S307 — literals of ours
