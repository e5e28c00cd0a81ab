"""What a value must be before it may go near a database: the gate behind every `Schema`.

Pydantic compiles a model to a core schema, a tree of nodes; here each node that stands for a
value is made as strict as JSON and no wider than what both databases hold.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from brickwork.documents import is_array, is_object

Node: TypeAlias = dict[str, Any]
"""One node of a core schema (https://docs.pydantic.dev/latest/internals/architecture/)."""

Bounds: TypeAlias = Mapping[str, Mapping[str, int]]
"""By kind of node, what its values are held within: `{"str": {"max_length": 200}}`."""

INT64: Final = (-(2**63), 2**63 - 1)
"""The integers a column can hold at most."""

_OPAQUE: Final = {
    "default",
    "expected",
    "metadata",
    "serialization",
    "function",
    "cls",
    "config",
}
# Members that hold nodes by names of the author's, and not of Pydantic's.
_NAMED: Final = {"fields", "choices"}

OURS: Final = "__brickwork__"
"""The attribute by which a class is known that guards itself, or need not."""

UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d+)?", re.ASCII)
_DATETIME: Final = re.compile(
    rf"{_DATE.pattern}[Tt]{_TIME.pattern}([Zz]|[+-]\d{{2}}:\d{{2}})?", re.ASCII
)
TEXT_PATTERN: Final = r"^[^\u0000]*$"
"""What openapi.json says of text; that it has no lone surrogate, no pattern can say."""

NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")


def guard(schema: Any, resolve: Callable[[Any], Any], *, written: bool = False) -> Any:
    """Return *schema* with a guard on every value in it; *schema* itself is not changed.

    With *written*, values may come as text, as those of a query do.
    *resolve* returns what a `definition-ref` refers to: what is not of ours, as Pydantic's
    `JsonValue`, is guarded in a definition of its own. Raises `TypeError` for a model that does
    not guard itself, since Pydantic would validate it as it was compiled.
    """
    definitions: dict[str, Any] = {}
    guards = _WRITTEN_GUARDS if written else _GUARDS

    def change(node: Node) -> Node:
        if node.get("type") == "model" and not hasattr(node["cls"], OURS):
            raise TypeError(f"{node['cls'].__name__} is no Schema: let it inherit from Schema.")
        if node.get("type") != "definition-ref":
            return guards.get(str(node.get("type")), _as_it_is)(node)
        name = f"{node['schema_ref']}{'' if ':' in node['schema_ref'] else ':'}guarded"
        if name not in definitions:
            target = resolve(node)
            if hasattr(target.get("cls"), OURS):
                return node
            definitions[name] = None  # it may refer to itself
            nameless = {key: value for key, value in target.items() if key != "ref"}
            definitions[name] = _rebuilt(nameless, change) | {"ref": name}
        return node | {"schema_ref": name}

    guarded = _rebuilt(schema, change)
    if not definitions:
        return guarded
    return core_schema.definitions_schema(guarded, [*definitions.values()])


def bound(schema: Any, bounds: Mapping[str, Bounds]) -> Any:
    """Return *schema*, that of a model, with each field that *bounds* names held within them."""
    if not bounds or not is_object(schema):
        return schema
    if schema.get("type") == "model-fields" and is_object(fields := schema["fields"]):
        return schema | {"fields": {k: _narrow(v, bounds.get(k, {})) for k, v in fields.items()}}
    return schema | {"schema": bound(schema.get("schema"), bounds)}


def _narrow(schema: Any, bounds: Bounds) -> Any:
    def narrow(node: Node) -> Node:
        for name, limit in bounds.get(str(node.get("type")), {}).items():
            narrower = max if name == "ge" else min
            node[name] = narrower(node.get(name, limit), limit)
        return node

    return _rebuilt(schema, narrow)


def _rebuilt(schema: Any, change: Callable[[Node], Node]) -> Any:
    """Return *schema* with every node replaced by what *change* makes of it, leaves first."""
    if is_array(schema):
        return [_rebuilt(each, change) for each in schema]
    if isinstance(schema, tuple):
        return tuple(_rebuilt(each, change) for each in cast("tuple[object, ...]", schema))
    if not is_object(schema):
        return schema
    return change({name: _member(name, value, change) for name, value in schema.items()})


def _member(name: str, value: Any, change: Callable[[Node], Node]) -> Any:
    if name in _OPAQUE:
        return value
    if name in _NAMED and is_object(value):
        return {key: _rebuilt(each, change) for key, each in value.items()}
    return _rebuilt(value, change)


def _as_it_is(node: Node) -> Node:
    return node


def _strict(node: Node) -> Node:
    return node | {"strict": True}


def _int(node: Node) -> Node:
    low, high = INT64
    return node | {
        "strict": True,
        "ge": node.get("ge", low),
        "le": node.get("le", high),
    }


def _float(node: Node) -> Node:
    finite = node | {"strict": True, "allow_inf_nan": False}
    # Databases differ on the sign of a zero.
    return _before(_no_huge_number, _after(lambda value: value + 0.0, finite))


def _literal(node: Node) -> Node:
    return _of_kinds([type(each) for each in node["expected"]], node, "literal_error")


def _enum(node: Node) -> Node:
    return _of_kinds([type(each.value) for each in node["members"]], node, "enum")


def _str(node: Node) -> Node:
    guarded = _after(_text, node)
    if "pattern" in node:  # which, in JSON schema, there can be one of
        return guarded
    return guarded | {"metadata": {"pydantic_js_updates": {"pattern": TEXT_PATTERN}}}


def _uuid(node: Node) -> Node:
    return _written(UUID_TEXT, node, "uuid_parsing", "a UUID, with its dashes")


def _datetime(node: Node) -> Node:
    aware = node | {"tz_constraint": "aware"}
    return _after(_utc, _written(_DATETIME, aware, "datetime_parsing", "a date-time (RFC 3339)"))


def _date(node: Node) -> Node:
    return _written(_DATE, node, "date_parsing", "a date, YYYY-MM-DD")


def _time(node: Node) -> Node:
    return _written(_TIME, node, "time_parsing", "a time, HH:MM:SS")


def _any(node: Node) -> Node:
    return _after(check_json, node)


_GUARDS: Final[dict[str, Callable[[Node], Node]]] = {
    "any": _any,
    "bool": _strict,
    "date": _date,
    "datetime": _datetime,
    "enum": _enum,
    "float": _float,
    "int": _int,
    "literal": _literal,
    "str": _str,
    "time": _time,
    "uuid": _uuid,
}


def _written_int(node: Node) -> Node:
    low, high = INT64
    bounded = node | {"ge": node.get("ge", low), "le": node.get("le", high)}
    return _spelled(_INTEGER, bounded, "int_parsing", "an integer, in digits")


def _written_float(node: Node) -> Node:
    return _spelled(_NUMBER, node | {"allow_inf_nan": False}, "float_parsing", "a number")


def _written_literal(node: Node) -> Node:
    values = {str(each).lower(): each for each in node["expected"] if isinstance(each, int)}
    if not values:
        return node

    def read(value: object) -> object:
        return values.get(value, value) if isinstance(value, str) else value

    return _before(read, node)


_WRITTEN_GUARDS: Final = _GUARDS | {
    "bool": _as_it_is,
    "enum": _as_it_is,
    "float": _written_float,
    "int": _written_int,
    "literal": _written_literal,
}


def _spelled(pattern: re.Pattern[str], node: Any, code: LiteralString, wanted: str) -> Node:
    """Refuse texts of another form, which Python would read as a number too."""

    def check(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise PydanticCustomError(code, "Input should be {wanted}", {"wanted": wanted})
        return value

    return _before(check, node)


def _after(check: Callable[[Any], Any], node: Any) -> Node:
    return {**core_schema.no_info_after_validator_function(check, node)}


def _before(check: Callable[[Any], Any], node: Any) -> Node:
    return {**core_schema.no_info_before_validator_function(check, node)}


def _written(pattern: re.Pattern[str], node: Any, code: LiteralString, wanted: str) -> Node:
    """Refuse texts of another form, and numbers, which Pydantic would read as a value too."""

    def check(value: object) -> object:
        if isinstance(value, _JSON_KINDS) or (
            isinstance(value, str) and not pattern.fullmatch(value)
        ):
            raise PydanticCustomError(code, "Input should be {wanted}", {"wanted": wanted})
        return value

    return _before(check, node)


_JSON_KINDS: Final = (int, float, list, dict)


def _of_kinds(kinds: Collection[Any], node: Any, code: LiteralString) -> Node:
    """Refuse what Python, and not JSON, holds for equal to a value: `true` or `1.0` for `1`."""
    if {*kinds} == {str}:  # nothing else is equal to text; and unions are told apart by these
        return {**node}

    def check(value: object) -> object:
        if isinstance(value, str | int | float) and type(value) not in kinds:
            raise PydanticCustomError(code, "Input is of another type")
        return value

    return _before(check, node)


def _no_huge_number(value: object) -> object:
    if isinstance(value, int) and not _finite(value):
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    return value


def _text(value: str) -> str:
    if error := _no_text(value):
        raise error
    return value


def _no_text(value: str) -> PydanticCustomError | None:
    if "\0" in value:
        return PydanticCustomError("null_character", "Input should have no null character")
    if not value.isascii() and NOT_TEXT.search(value):
        return PydanticCustomError("string_unicode", "Input should have no lone surrogate")
    return None


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        text = "Input should be in the years 1 to 9999, in UTC"
        raise PydanticCustomError("datetime_out_of_range", text) from None


def check_json(value: object) -> object:
    """Check a value of free JSON, to the last leaf; the errors name the place of each."""
    errors = [InitErrorDetails(type=error, loc=path, input=...) for path, error in _bad(value)]
    if errors:
        raise ValidationError.from_exception_data("JSON", errors)
    return value


def _bad(value: object) -> Iterator[tuple[tuple[str | int, ...], PydanticCustomError]]:
    if is_object(value):
        for key, child in value.items():
            yield from (((key, *path), error) for path, error in (*_bad(key), *_bad(child)))
    elif is_array(value):
        for index, child in enumerate(value):
            yield from (((index, *path), error) for path, error in _bad(child))
    elif isinstance(value, str) and (error := _no_text(value)):
        yield (), error
    elif isinstance(value, int | float) and not _finite(value):
        yield (
            (),
            PydanticCustomError("finite_number", "Input should be a finite number"),
        )


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the largest double
        return False
