"""Strict validation: the guards in the core schema of a `Schema`.

Pydantic compiles a model to a core schema, a tree of nodes. This module makes each node of a value
as strict as JSON, and limits it to values that both databases can hold.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString, TypeAlias, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from brickwork.models.numeric import quantize
from brickwork.schemas import json_values
from brickwork.schemas.strict_json import JSONNumber, is_array, is_object
from brickwork.schemas.types import from_base64, to_base64
from brickwork.schemas.validation import (
    Node,
    limit_choice,
    limit_collection,
    limit_fields,
    with_error_limit,
)

Bounds: TypeAlias = Mapping[str, Mapping[str, int]]
"""The bounds of values by the type of their node: `{"str": {"max_length": 200}}`."""

INT64: Final = (-(2**63), 2**63 - 1)
"""The range of integers in the largest column."""

_OPAQUE: Final = {
    "default",
    "expected",
    "metadata",
    "serialization",
    "function",
    "cls",
    "config",
}
# Members that hold nodes by names of the application, not of Pydantic.
_NAMED: Final = {"fields", "choices"}

GUARDED_ATTRIBUTE: Final = "__brickwork__"
"""The attribute of classes that guard themselves, or need no guards."""

UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SECONDS: Final = r"\d{2}:\d{2}:\d{2}(\.\d+)?"
_TIME: Final = re.compile(rf"{_SECONDS}|\d{{2}}:\d{{2}}", re.ASCII)
_DATETIME: Final = re.compile(
    rf"{_DATE.pattern}[Tt]{_SECONDS}([Zz]|[+-]\d{{2}}:\d{{2}})?", re.ASCII
)
_DURATION: Final = re.compile(
    r"[+-]?P(\d+W|(?=.)(\d+Y)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 — SQLAlchemy stores durations as such times
_DURATIONS: Final = (datetime.min - _EPOCH, datetime.max - _EPOCH)  # noqa: DTZ901
"""The durations that SQLite stores."""

TEXT_PATTERN: Final = r"^[^\u0000]*$"
"""The pattern of text in openapi.json. A pattern cannot exclude lone surrogates."""


def make_strict(schema: Any, resolve: Callable[[Any], Any], *, from_text: bool = False) -> Any:
    """Return a copy of *schema* with a guard on every value in it.

    With *from_text*, values may be text, as in a query. *resolve* returns the target of a
    `definition-ref`. A target without guards, such as Pydantic's `JsonValue`, gets a guarded
    definition of its own. Raises `TypeError` for a model without guards, because Pydantic would
    validate it as it was compiled.
    """
    definitions: dict[str, Any] = {}
    guards = _TEXT_GUARDS if from_text else _GUARDS

    def change(node: Node) -> Node:
        if node.get("type") in {"model", "dataclass"} and _is_unguarded(node["cls"]):
            raise TypeError(
                f"{node['cls'].__name__} is not a Schema. Let it inherit from brickwork.Schema."
            )
        if node.get("type") != "definition-ref":
            return guards.get(str(node.get("type")), _identity)(node)
        name = f"{node['schema_ref']}{'' if ':' in node['schema_ref'] else ':'}guarded"
        if name not in definitions:
            target = resolve(node)
            if hasattr(target.get("cls"), GUARDED_ATTRIBUTE):
                return node
            definitions[name] = None  # it may refer to itself
            nameless = {key: value for key, value in target.items() if key != "ref"}
            definitions[name] = _map_nodes(nameless, change) | {"ref": name}
        return node | {"schema_ref": name}

    guarded = _map_nodes(schema, change)
    if not definitions:
        return guarded
    return core_schema.definitions_schema(guarded, [*definitions.values()])


def _is_unguarded(kind: type[Any]) -> bool:
    """Return whether Pydantic validates *kind* by a compiled schema without guards."""
    return hasattr(kind, "__pydantic_validator__") and not hasattr(kind, GUARDED_ATTRIBUTE)


class ErrorLimit:
    """Annotation of the type of a body: its validation ends at the hundredth error.

    A `Schema` limits its errors itself. This is for lists of schemas, and for other bodies.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Return the core schema of *source* with an error limit."""
        schema: Any = with_error_limit(_map_nodes(handler(source), _limit_node))
        return schema  # type: ignore[no-any-return]


def apply_column_bounds(schema: Any, bounds: Mapping[str, Bounds]) -> Any:
    """Return the core *schema* of a model with *bounds* on its fields."""
    if not bounds:
        return schema

    def narrow(node: Node) -> Node:
        fields = {k: _narrow(v, bounds.get(k, {})) for k, v in node["fields"].items()}
        return node | {"fields": fields}

    return _map_fields(schema, narrow)


def show_stored_values(schema: Any) -> Any:
    """Return the core *schema* of a read schema that shows all values of columns.

    Bytes are base64 in JSON. A decimal may be NaN, which PostgreSQL can hold.
    """
    return _map_nodes(schema, _show_stored)


def _show_stored(node: Node) -> Node:
    if node.get("type") == "decimal" and "allow_inf_nan" not in node:
        return node | {"allow_inf_nan": True}
    if node.get("type") != "bytes" or "serialization" in node:
        return node
    to_json = core_schema.plain_serializer_function_ser_schema(
        to_base64,
        return_schema=core_schema.str_schema(metadata={"pydantic_js_updates": _BASE64}),
        when_used="json-unless-none",
    )
    return node | {"serialization": to_json}


def _map_fields(schema: Any, change: Callable[[Node], Node]) -> Any:
    """Return the core *schema* of a model with *change* applied to its `model-fields` node."""
    if schema["type"] == "model-fields":
        return change(schema)
    return schema | {"schema": _map_fields(schema["schema"], change)}


def _narrow(schema: Any, bounds: Bounds) -> Any:
    def narrow(node: Node) -> Node:
        own = bounds.get(str(node.get("type")), {})
        for name, limit in own.items():
            narrower = max if name == "ge" else min
            node[name] = narrower(node.get(name, limit), limit)
        if (places := own.get("decimal_places")) is None:
            return node
        return _after(lambda value: quantize(value, places), node)

    return _map_nodes(schema, narrow)


def _map_nodes(schema: Any, change: Callable[[Node], Node]) -> Any:
    """Return *schema* with *change* applied to every node, leaves first."""
    if is_array(schema):
        return [_map_nodes(item, change) for item in schema]
    if isinstance(schema, tuple):
        return tuple(_map_nodes(item, change) for item in cast("tuple[object, ...]", schema))
    if not is_object(schema):
        return schema
    return change({name: _map_member(name, value, change) for name, value in schema.items()})


def _map_member(name: str, value: Any, change: Callable[[Node], Node]) -> Any:
    if name in _OPAQUE:
        return value
    if name in _NAMED and is_object(value):
        return {key: _map_nodes(node, change) for key, node in value.items()}
    return _map_nodes(value, change)


def _identity(node: Node) -> Node:
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
    return _before(json_values.check_number, _finite(node | {"strict": True}))


def _finite(node: Node) -> Node:
    # Databases differ on the sign of a zero.
    return _after(lambda value: value + 0.0, node | {"allow_inf_nan": False})


def _literal(node: Node) -> Node:
    return _require_exact_types([type(value) for value in node["expected"]], node, "literal_error")


def _enum(node: Node) -> Node:
    return _require_exact_types([type(member.value) for member in node["members"]], node, "enum")


def _str(node: Node) -> Node:
    guarded = _after(json_values.check_text, node)
    if "pattern" in node:  # JSON schema has room for one pattern
        return guarded
    return guarded | {"metadata": {"pydantic_js_updates": {"pattern": TEXT_PATTERN}}}


def _uuid(node: Node) -> Node:
    return _require_formatted_text(UUID_TEXT, node, "uuid_parsing", "a UUID, with its dashes")


def _datetime(node: Node) -> Node:
    aware = node | {"tz_constraint": "aware"}
    return _after(
        json_values.to_utc,
        _require_formatted_text(_DATETIME, aware, "datetime_parsing", "a date-time (RFC 3339)"),
    )


def _date(node: Node) -> Node:
    return _require_formatted_text(_DATE, node, "date_parsing", "a date, YYYY-MM-DD")


def _time(node: Node) -> Node:
    return _require_formatted_text(_TIME, node, "time_parsing", "a time, HH:MM:SS or HH:MM")


def _timedelta(node: Node) -> Node:
    low, high = _DURATIONS
    bounded = node | {"ge": node.get("ge", low), "le": node.get("le", high)}
    wanted = "a duration (ISO 8601) of weeks, or of years (365 days), days and times"
    return _require_formatted_text(_DURATION, bounded, "time_delta_parsing", wanted)


def _bytes(node: Node) -> Node:
    described = node | {"metadata": {"pydantic_js_updates": _BASE64}}
    return _before(from_base64, described)


_BASE64: Final = {"format": "byte", "contentEncoding": "base64"}
"""The JSON schema of base64, in the terms of OpenAPI 3.0 and 3.1."""


def _decimal(node: Node) -> Node:
    return _before(_to_decimal, node)


def _to_decimal(value: object) -> object:
    """Return the number of a text or a number of JSON, which passes no double."""
    match value:
        case JSONNumber():
            text = value.text
        case str():
            text = value
        case int() | float() if not isinstance(value, bool):
            text = repr(value)
        case Decimal():
            return value
        case _:
            raise PydanticCustomError("decimal_type", "Input should be a number")
    if not _DECIMAL.fullmatch(text):
        detail = "Input should be a decimal number of at most 400 digits"
        raise PydanticCustomError("decimal_parsing", detail)
    return Decimal(text)


def _any(node: Node) -> Node:
    return _after(json_values.check_document, node)


def _model(node: Node) -> Node:
    """Limit the unknown fields that a model reports to a hundred, if it forbids them."""
    if node.get("config", {}).get("extra_fields_behavior") != "forbid":
        return node
    return node | {"schema": _map_fields(node["schema"], _fields)}


def _fields(node: Node) -> Node:
    return limit_fields(node, {*_input_names(node["fields"])})


def _input_names(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of *fields* in a body."""
    for name, node in fields.items():
        yield name
        alias = node.get("validation_alias", name)
        for path in [alias] if isinstance(alias, str) else alias:
            yield path if isinstance(path, str) else path[0]


def _items(node: Node) -> Node:
    return limit_collection(node, "items_schema")


def _list(node: Node) -> Node:
    items = _strip_guard(node.get("items_schema", {}), _any)
    return _any(node | {"items_schema": items}) if items else _items(node)


def _dict(node: Node) -> Node:
    key: Node = node.get("keys_schema", {})
    keys, items = (
        _strip_guard(key, _any) or _strip_guard(key, _str),
        _strip_guard(node.get("values_schema", {}), _any),
    )
    if keys and items:
        return _any(node | {"keys_schema": keys, "values_schema": items})
    return limit_collection(node, "keys_schema", "values_schema")


def _strip_guard(node: Node, guarded: Callable[[Node], Node]) -> Node | None:
    """Return *node* without its guard, if *guarded* accepts any JSON value of its type.

    None if it does not. The guard of the array or object around it checks all nested values.
    """
    inner: Node = node.get("schema", {})
    if node != guarded(bare := {"type": inner.get("type")}):
        return None
    return bare | {"metadata": node.get("metadata", {})}


def _union(node: Node) -> Node:
    return node | {"choices": [limit_choice(choice) for choice in node["choices"]]}


_COLLECTIONS: Final[dict[str, Callable[[Node], Node]]] = {
    "deque": _items,
    "dict": _dict,
    "frozenset": _items,
    "list": _list,
    "set": _items,
    "union": _union,
}


def _limit_node(node: Node) -> Node:
    return _COLLECTIONS.get(str(node.get("type")), _identity)(node)


_GUARDS: Final[dict[str, Callable[[Node], Node]]] = _COLLECTIONS | {
    "any": _any,
    "bool": _strict,
    "bytes": _bytes,
    "date": _date,
    "datetime": _datetime,
    "decimal": _decimal,
    "enum": _enum,
    "float": _float,
    "int": _int,
    "is-instance": _any,
    "literal": _literal,
    "model": _model,
    "str": _str,
    "time": _time,
    "timedelta": _timedelta,
    "uuid": _uuid,
}


def _int_from_text(node: Node) -> Node:
    low, high = INT64
    bounded = node | {"ge": node.get("ge", low), "le": node.get("le", high)}
    return _require_pattern(_INTEGER, bounded, "int_parsing", "an integer, in digits")


def _float_from_text(node: Node) -> Node:
    return _require_pattern(_NUMBER, _finite(node), "float_parsing", "a number")


def _literal_from_text(node: Node) -> Node:
    values = {str(value).lower(): value for value in node["expected"] if isinstance(value, int)}
    if not values:
        return node

    def parse(value: object) -> object:
        return values.get(value, value) if isinstance(value, str) else value

    return _before(parse, node)


_TEXT_GUARDS: Final = _GUARDS | {
    "bool": _identity,
    "enum": _identity,
    "float": _float_from_text,
    "int": _int_from_text,
    "literal": _literal_from_text,
}


def _require_pattern(pattern: re.Pattern[str], node: Any, code: LiteralString, wanted: str) -> Node:
    """Reject text that does not match *pattern*, but that Python would parse."""

    def match_pattern(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise PydanticCustomError(code, "Input should be {wanted}", {"wanted": wanted})
        return value

    return _before(match_pattern, node)


def _after(check: Callable[[Any], Any], node: Any) -> Node:
    return {**core_schema.no_info_after_validator_function(check, node)}


def _before(check: Callable[[Any], Any], node: Any) -> Node:
    return {**core_schema.no_info_before_validator_function(check, node)}


def _require_formatted_text(
    pattern: re.Pattern[str], node: Any, code: LiteralString, wanted: str
) -> Node:
    """Reject text that does not match *pattern*, and numbers, which Pydantic would convert."""

    def match_text(value: object) -> object:
        if isinstance(value, _JSON_KINDS) or (
            isinstance(value, str) and not pattern.fullmatch(value)
        ):
            raise PydanticCustomError(code, "Input should be {wanted}", {"wanted": wanted})
        return value

    return _before(match_text, node)


_JSON_KINDS: Final = (int, float, list, dict)


def _require_exact_types(kinds: Collection[Any], node: Any, code: LiteralString) -> Node:
    """Reject values that are equal in Python but not in JSON: `true` or `1.0` for `1`."""
    if {*kinds} == {str}:  # nothing else equals text, and a union needs the bare node
        return {**node}

    def match_types(value: object) -> object:
        if isinstance(value, str | int | float) and type(value) not in kinds:
            raise PydanticCustomError(code, "Input is of another type")
        return value

    return _before(match_types, node)
