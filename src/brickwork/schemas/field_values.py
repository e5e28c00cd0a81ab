"""The values of a schema's fields in Python."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from operator import attrgetter
from types import NoneType
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from pydantic import BaseModel

Node: TypeAlias = Mapping[str, Any]
"""A node of a core schema."""

_KINDS: Final[Mapping[str, type]] = {
    "any": object,
    "bool": bool,
    "bytes": bytes,
    "dataclass": dict,
    "date": date,
    "datetime": datetime,
    "decimal": Decimal,
    "dict": dict,
    "float": float,
    "frozenset": frozenset,
    "int": int,
    "list": list,
    "model": dict,
    "none": NoneType,
    "set": set,
    "str": str,
    "time": time,
    "timedelta": timedelta,
    "tuple": tuple,
    "typed-dict": dict,
    "uuid": UUID,
}
"""The class of a dumped value, by the type of the node that accepts it."""

_WRAPPERS: Final = {
    "default": "schema",
    "definitions": "schema",
    "function-after": "schema",
    "function-before": "schema",
    "function-wrap": "schema",
    "json-or-python": "python_schema",
    "lax-or-strict": "lax_schema",
    "nullable": "schema",
}
"""The member of a node that holds the inner node."""

_TRANSPARENT: Final = {*_WRAPPERS, "union", "tagged-union", "chain"}
"""The nodes that accept the values of other nodes."""

_CODE_NODES: Final = {"function-before", "function-plain", "function-wrap"}
"""The nodes whose code may accept more than the inner node."""


@dataclass(frozen=True)
class Leaf:
    """One kind of value that a field accepts. `kind` is None if it is unknown.

    `choices` are the values of a `Literal` or an `Enum`; other leaves have none. A leaf is open if
    code of the author decides which values it accepts.
    """

    kind: type | None
    node: Node
    choices: tuple[Any, ...] = ()
    is_open: bool = False


class FieldValues:
    """The fields of *schema*, and the values that they accept."""

    def __init__(self, schema: type[BaseModel]) -> None:
        """Build the core schema. Raises Pydantic's error for a type that is not defined yet."""
        schema.model_rebuild()
        self.schema = schema
        self._root: Any = schema.__pydantic_core_schema__

    def dumped_leaves(self, name: str) -> list[Leaf]:
        """Return the kinds of values that `model_dump` returns for the field *name*."""
        return [*self._leaves(self.node(name), dumped=True)]

    def accepted_leaves(self, name: str) -> list[Leaf]:
        """Return the kinds of values that the field *name* accepts."""
        return self.leaves(self.node(name))

    def leaves(self, node: Node) -> list[Leaf]:
        """Return the kinds of values that *node* accepts."""
        return [*self._leaves(node, dumped=False)]

    def node(self, name: str) -> Node:
        """Return the node of the field *name*."""
        node: Node = self._fields[name]["schema"]
        return node

    def nested_leaves(self, leaf: Leaf) -> Iterator[Leaf]:
        """Yield the kinds of dumped values in a list or an object, at every depth."""
        seen: list[int] = []
        waiting = [leaf]
        while waiting:
            parent = waiting.pop().node
            if id(parent) not in seen:
                seen.append(id(parent))
                nodes = _child_nodes(parent)
                children = [child for node in nodes for child in self._leaves(node, dumped=True)]
                yield from children
                waiting += children

    def key_leaves(self, leaf: Leaf) -> list[Leaf]:
        """Return the kinds of keys of an object."""
        node = leaf.node.get("keys_schema")
        return [] if node is None else [*self._leaves(node, dumped=True)]

    @property
    def has_serializer(self) -> bool:
        """Return whether a serializer of the author decides the result of `model_dump`."""
        return "serialization" in self._model_node

    @property
    def validates_row(self) -> bool:
        """Return whether a validator of the author receives the row."""
        return any(validator.info.mode != "after" for validator in self._validators)

    @property
    def altered_fields(self) -> Sequence[str]:
        """Return the fields that `model_dump` may omit, and the computed fields that it adds."""
        hidden = ("serialization_exclude", "serialization_exclude_if")
        omitted = [name for name, node in self._fields.items() if any(map(node.get, hidden))]
        return [*omitted, *self.schema.model_computed_fields]

    @property
    def _validators(self) -> Any:
        return self.schema.__pydantic_decorators__.model_validators.values()

    @cached_property
    def _model_node(self) -> Node:
        node: Node = self._root
        while node["type"] != "model":
            node = self._target(node["schema"])
        return node

    @cached_property
    def _fields(self) -> Mapping[str, Node]:
        return field_nodes(self._model_node)

    @cached_property
    def _definitions(self) -> Mapping[str, Node]:
        return {node["ref"]: node for node in _walk(self._root) if "ref" in node}

    def _target(self, node: Node) -> Node:
        while node["type"] == "definition-ref":
            node = self._definitions[node["schema_ref"]]
        return node

    def _leaves(self, node: Node, *, dumped: bool, is_open: bool = False) -> Iterator[Leaf]:
        node = self._target(node)
        if _takes_values(node):
            yield from _enum_value_leaves(self._leaves(node["schema"], dumped=dumped))
            return
        if dumped and (serializer := _serializer(node)):
            inner = serializer.get("return_schema")
            yield from self._leaves(inner, dumped=True) if inner else [Leaf(None, node)]
            return
        is_open = is_open or (node["type"] in _CODE_NODES and not _is_framework_code(node))
        for inner in self._inner(node):
            yield from self._leaves(inner, dumped=dumped, is_open=is_open)
        yield from (replace(leaf, is_open=is_open) for leaf in _own_leaves(node))

    def _inner(self, node: Node) -> Sequence[Node]:
        """Return the inner nodes whose values *node* accepts."""
        match node["type"]:
            case "union":
                return [_choice_node(choice) for choice in node["choices"]]
            case "tagged-union":
                return [*node["choices"].values()]
            case "chain":
                return [node["steps"][-1]]
            case "model" if node.get("root_model"):
                return [node["schema"]]
            case kind:
                return [node[_WRAPPERS[kind]]] if kind in _WRAPPERS else []


def _choice_node(choice: Any) -> Node:
    """Return the node of a *choice* of a union, which may have a label."""
    return cast("Node", choice[0] if type(choice) is tuple else choice)


def field_nodes(model: Node) -> Mapping[str, Node]:
    """Return the fields of the node of a model, by their names."""
    node: Node = model["schema"]
    while node["type"] != "model-fields":
        node = node["schema"]
    fields: Mapping[str, Node] = node["fields"]
    return fields


def _own_leaves(node: Node) -> Iterator[Leaf]:
    """Yield the kinds of values that *node* itself accepts."""
    match node["type"]:
        case "literal":
            yield from _choice_leaves(node, node["expected"])
        case "enum":
            yield Leaf(node["cls"], node, choices=tuple(node["members"]))
        case "nullable":
            yield Leaf(NoneType, node)
        case "is-instance":
            yield Leaf(node["cls"], node)
        case kind if kind not in _TRANSPARENT and not node.get("root_model"):
            yield Leaf(_KINDS.get(kind), node)
        case _:
            return


def _takes_values(node: Node) -> bool:
    """Return whether *node* turns members of an `Enum` into their values (`use_enum_values`)."""
    if node["type"] != "function-after":
        return False
    function = node["function"]["function"]
    module = getattr(function, "__module__", None)
    return isinstance(function, attrgetter) or module == "pydantic._internal._generate_schema"


def _enum_value_leaves(leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    for leaf in leaves:
        values = [c.value if isinstance(c, Enum) else c for c in leaf.choices]
        yield from _choice_leaves(leaf.node, values)


def _choice_leaves(node: Node, values: Sequence[Any]) -> Iterator[Leaf]:
    for kind in dict.fromkeys(map(type, values)):
        yield Leaf(kind, node, choices=tuple(value for value in values if type(value) is kind))


def _child_nodes(node: Node) -> Iterator[Node]:
    """Yield the nodes of the items of a list or the members of an object."""
    match node["type"]:
        case "list" | "set" | "frozenset" | "tuple":
            items: Any = node.get("items_schema", ())
            yield from cast("Sequence[Node]", [items] if isinstance(items, Mapping) else items)
        case "dict":
            yield from (node[name] for name in ("keys_schema", "values_schema") if name in node)
        case "model" | "dataclass" | "function-after" | "function-before" | "function-wrap":
            yield from _child_nodes(node["schema"])
        case "model-fields" | "typed-dict" | "dataclass-args":
            fields: Any = node["fields"]
            members: Any = [*fields.values()] if isinstance(fields, Mapping) else fields
            yield from (member["schema"] for member in members)
            yield from (computed["return_schema"] for computed in node.get("computed_fields", ()))
        case _:
            return


def _serializer(node: Node) -> Node | None:
    """Return the serializer of *node* in Python mode. None if Pydantic's own applies."""
    serializer: Node | None = node.get("serialization")
    if serializer is None:
        return None
    default = "json-unless-none" if serializer["type"] in {"format", "to-string"} else "always"
    return None if serializer.get("when_used", default).startswith("json") else serializer


def _walk(schema: Any) -> Iterator[Node]:
    """Yield *schema* and every object in it."""
    if isinstance(schema, Mapping):
        node = cast("Node", schema)
        yield node
        schema = [*node.values()]
    if isinstance(schema, list | tuple):
        for item in cast("Sequence[Any]", schema):
            yield from _walk(item)


def _is_framework_code(node: Node) -> bool:
    function = node["function"]["function"]
    return str(getattr(function, "__module__", "")).startswith(("brickwork.", "pydantic."))
