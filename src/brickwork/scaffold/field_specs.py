"""Fields on a command line: `price:decimal(10,2)`, `sku:str:unique`."""

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from brickwork.models.model import Entity, Timestamped, Versioned
from brickwork.models.soft_delete import SoftDelete
from brickwork.query.list_query import ListQuery
from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.field_types import TYPES, FieldType, choices, usage
from brickwork.schemas.schema import ReadSchema, Schema

MODIFIERS: Final = ("optional", "unique", "index", "default=VALUE")

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TYPE: Final = re.compile(r"(?P<name>\w+)(?:\((?P<arguments>[^()]*)\))?(?P<optional>\?)?")
_MODEL: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_PARTS: Final = re.compile(r":(?![^()]*\))")
"""Colons outside parentheses."""

_MAX_NAME: Final = 30
"""PostgreSQL cuts names of indexes, which have the names of table and field, at 63 bytes."""

_ANNOTATIONS: Final = {"any", "date", "datetime", "decimal", "time", "uuid"} | {
    "bool",
    "dict",
    "float",
    "int",
    "list",
    "str",
}
_UNQUOTED: Final = {
    *("collation", "concurrently", "lateral", "nothing", "returning", "system_user"),
    "tablesample",
}
"""Words of a database that SQLAlchemy does not quote, so that they cannot be columns."""

_RESERVED: Final = {
    *(name for kind in (Entity, SoftDelete, Timestamped, Versioned) for name in dir(kind)),
    *(name for kind in (ListQuery, ReadSchema, Schema) for name in dir(kind)),
    *ListQuery.model_fields,
    *("deleted", "fields", "id", "q", "sort"),
    "self",  # the constructor of a model takes the fields by their names
    *_ANNOTATIONS,
    *_UNQUOTED,
}
"""Names with a meaning in models, schemas or queries."""


@dataclass(frozen=True)
class FieldSpec:
    """A field as the command line describes it."""

    name: str
    type: str
    arguments: tuple[str, ...] = ()
    optional: bool = False
    unique: bool = False
    index: bool = False
    default: Any = None

    @property
    def kind(self) -> FieldType:
        """Return the type of the field."""
        return TYPES[self.type]

    @property
    def is_reference(self) -> bool:
        """Return whether the field refers to a row of another resource."""
        return self.type == "ref"

    @property
    def attribute(self) -> str:
        """Return the name of the attribute, `category_id` for a reference `category`."""
        return f"{self.name}_id" if self.is_reference else self.name

    @property
    def target(self) -> str:
        """Return the model that a reference refers to."""
        camel = "".join(word.capitalize() for word in self.name.split("_"))
        return self.arguments[0] if self.arguments else camel

    @property
    def choices(self) -> Sequence[str]:
        """Return the choices of an enum. Empty for other types."""
        return choices(self.arguments) if self.type == "enum" else ()


def parse_fields(texts: Sequence[str]) -> list[FieldSpec]:
    """Return the fields that *texts* describe.

    Raises:
        ScaffoldError: A part of a text is wrong, or two fields have one name.

    """
    specs = [_parse_field(text) for text in texts]
    names: set[str] = set()
    for text, spec in zip(texts, specs, strict=True):
        if spec.attribute in names:
            raise _error(text, f"another field is called {spec.attribute}. Rename one of them")
        names.add(spec.attribute)
    return specs


def _error(text: str, reason: str) -> ScaffoldError:
    return ScaffoldError(f"{text}: {reason}.")


def _parse_field(text: str) -> FieldSpec:
    name, *others = _PARTS.split(text)
    if not others:
        raise _error(text, f"write NAME:TYPE. The types are {usage()}")
    type_text, *modifiers = others
    if not (match := _TYPE.fullmatch(type_text)) or match["name"] not in TYPES:
        raise _error(text, f"there is no type {type_text!r}. The types are {usage()}")
    arguments = match["arguments"]
    values: dict[str, Any] = {
        "name": name,
        "type": match["name"],
        "arguments": tuple(part.strip() for part in arguments.split(",")) if arguments else (),
        "optional": bool(match["optional"]),
    }
    if arguments == "":
        raise _error(text, "the parentheses are empty. Fill or remove them")
    kind = TYPES[match["name"]]
    _check_arguments(text, FieldSpec(**values))
    names = [modifier.partition("=")[0] for modifier in modifiers]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _error(text, f"write {twice} once")
    for modifier in modifiers:
        values |= _parse_modifier(text, kind, modifier)
    spec = FieldSpec(**values)
    _check_name(text, spec)
    _check_default(text, spec)
    return spec


def _check_arguments(text: str, spec: FieldSpec) -> None:
    if spec.is_reference:
        if spec.arguments and not (
            len(spec.arguments) == 1 and _MODEL.fullmatch(spec.arguments[0])
        ):
            raise _error(text, "name one model in the parentheses, as in ref(Category)")
        return
    try:
        spec.kind.column(spec.arguments)
    except ScaffoldError as error:
        raise _error(text, f"{spec.type}: {error}") from None


def _parse_modifier(text: str, kind: FieldType, modifier: str) -> dict[str, Any]:
    name, equals, value = modifier.partition("=")
    if name == "default" and equals:
        if kind.parse is None:
            raise _error(text, "this type has no default. Leave it out, or make it optional")
        try:
            return {"default": kind.parse(value)}
        except (ValueError, KeyError):
            raise _error(text, f"{value!r} is no value of this type") from None
    if modifier not in {"optional", "unique", "index"}:
        raise _error(text, f"there is no {modifier!r}. After the type, write {_joined()}")
    if modifier != "optional" and not kind.can_index:
        raise _error(text, f"such a column has no index: remove {modifier}")
    if modifier == "unique" and kind is TYPES["bool"]:
        raise _error(text, "there would be two rows at most: remove unique")
    return {modifier: True}


def _joined() -> str:
    *first, last = MODIFIERS
    return f"{', '.join(first)} or {last}"


def _check_name(text: str, spec: FieldSpec) -> None:
    for name in {spec.name, spec.attribute}:
        if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
            raise _error(
                text,
                f"{name!r} is not a name of a field: write up to {_MAX_NAME} lower-case letters, "
                "digits and single underscores, and a letter first, as in unit_price",
            )
        if keyword.iskeyword(name):
            raise _error(text, f"{name} is a word of Python. Rename it")
        if name in _RESERVED or name.startswith("model_"):
            raise _error(text, f"{name} has a meaning of its own. Rename it, as in own_{name}")


def _check_default(text: str, spec: FieldSpec) -> None:
    if spec.default is None:
        return
    problem = next(_default_problems(spec), None)
    if problem:
        raise _error(text, problem)


def _default_problems(spec: FieldSpec) -> Iterator[str]:
    """Yield why the column cannot hold the default of *spec*."""
    if spec.optional:
        yield "an optional field is null by default. Remove optional or the default"
    if spec.unique:
        yield "a second row with the default would be a conflict. Remove unique or the default"
    if spec.choices and spec.default not in spec.choices:
        yield f"the default is none of {', '.join(spec.choices)}"
    column: Any = spec.kind.column(spec.arguments)
    if spec.type == "str" and len(spec.default) > column.length:
        yield f"the default is longer than {column.length}"
    if spec.type == "decimal":
        exact = round(spec.default, column.scale)
        if exact != spec.default or abs(exact) >= 10 ** (column.precision - column.scale):
            yield f"the default does not fit {column.precision} digits with {column.scale} places"
