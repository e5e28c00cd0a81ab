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
"""Where a node has the one that it wraps."""

_TRANSPARENT: Final = {*_WRAPPERS, "union", "tagged-union", "chain"}
"""The nodes that accept what others do."""

_CODE_NODES: Final = {"function-before", "function-plain", "function-wrap"}
"""The nodes whose code may accept what the node within does not."""


@dataclass(frozen=True)
class Leaf:
    """One kind of value that a field accepts; None for an unknown kind.

    `choices` are the values of a `Literal` or an `Enum`; empty where there are others. A leaf is
    `open` if code of the author decides what it accepts.
    """

    kind: type | None
    node: Node
    choices: tuple[Any, ...] = ()
    is_open: bool = False


class FieldValues:
    """The fields of *schema*, and the values that they accept."""

    def __init__(self, schema: type[BaseModel]) -> None:
        """Raise what Pydantic does for a type that is not defined yet."""
        schema.model_rebuild()
        self.schema = schema
        self._root: Any = schema.__pydantic_core_schema__

    def dumped_leaves(self, name: str) -> list[Leaf]:
        """Return the values that `model_dump` has for the field *name*."""
        return [*self._leaves(self.node(name), dumped=True)]

    def accepted_leaves(self, name: str) -> list[Leaf]:
        """Return the values that the field *name* accepts."""
        return self.leaves(self.node(name))

    def leaves(self, node: Node) -> list[Leaf]:
        """Return the values that *node* accepts."""
        return [*self._leaves(node, dumped=False)]

    def node(self, name: str) -> Node:
        """Return the node of the field *name*."""
        node: Node = self._fields[name]["schema"]
        return node

    def nested_leaves(self, leaf: Leaf) -> Iterator[Leaf]:
        """Yield the dumped values in a list or an object, at every depth."""
        seen: list[int] = []
        waiting = [leaf]
        while waiting:
            one = waiting.pop()
            if id(one.node) not in seen:
                seen.append(id(one.node))
                found = [
                    each
                    for node in _child_nodes(one.node)
                    for each in self._leaves(node, dumped=True)
                ]
                yield from found
                waiting += found

    def key_leaves(self, leaf: Leaf) -> list[Leaf]:
        """Return the kinds of keys of an object."""
        node = leaf.node.get("keys_schema")
        return [] if node is None else [*self._leaves(node, dumped=True)]

    @property
    def has_serializer(self) -> bool:
        """Whether code of the author decides what `model_dump` returns."""
        return "serialization" in self._model

    @property
    def validates_row(self) -> bool:
        """Whether a validator of the author is given the row."""
        return any(each.info.mode != "after" for each in self._validators)

    @property
    def altered_fields(self) -> Sequence[str]:
        """The fields that `model_dump` may leave out, and others that it adds."""
        hidden = ("serialization_exclude", "serialization_exclude_if")
        left = [name for name, each in self._fields.items() if any(map(each.get, hidden))]
        return [*left, *self.schema.model_computed_fields]

    @property
    def _validators(self) -> Any:
        return self.schema.__pydantic_decorators__.model_validators.values()

    @cached_property
    def _model(self) -> Node:
        node: Node = self._root
        while node["type"] != "model":
            node = self._target(node["schema"])
        return node

    @cached_property
    def _fields(self) -> Mapping[str, Node]:
        return field_nodes(self._model)

    @cached_property
    def _definitions(self) -> Mapping[str, Node]:
        return {each["ref"]: each for each in _walk(self._root) if "ref" in each}

    def _target(self, node: Node) -> Node:
        while node["type"] == "definition-ref":
            node = self._definitions[node["schema_ref"]]
        return node

    def _leaves(self, node: Node, *, dumped: bool, is_open: bool = False) -> Iterator[Leaf]:
        node = self._target(node)
        if _takes_values(node):
            yield from _enum_value_leaves(self._leaves(node["schema"], dumped=dumped))
            return
        if dumped and (written := _serializer(node)):
            inner = written.get("return_schema")
            yield from self._leaves(inner, dumped=True) if inner else [Leaf(None, node)]
            return
        is_open = is_open or (node["type"] in _CODE_NODES and not _is_framework_code(node))
        for inner in self._inner(node):
            yield from self._leaves(inner, dumped=dumped, is_open=is_open)
        yield from (replace(each, is_open=is_open) for each in _own_leaves(node))

    def _inner(self, node: Node) -> Sequence[Node]:
        """Return the nodes that *node* stands for."""
        match node["type"]:
            case "union":
                return [_choice_node(each) for each in node["choices"]]
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
    """Yield the values that *node* itself accepts."""
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
    """Tell whether *node* makes the values of an `Enum` of its members (`use_enum_values`)."""
    if node["type"] != "function-after":
        return False
    function = node["function"]["function"]
    module = getattr(function, "__module__", None)
    return isinstance(function, attrgetter) or module == "pydantic._internal._generate_schema"


def _enum_value_leaves(leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    for leaf in leaves:
        values = [each.value if isinstance(each, Enum) else each for each in leaf.choices]
        yield from _choice_leaves(leaf.node, values)


def _choice_leaves(node: Node, values: Sequence[Any]) -> Iterator[Leaf]:
    for kind in dict.fromkeys(map(type, values)):
        yield Leaf(kind, node, choices=tuple(each for each in values if type(each) is kind))


def _child_nodes(node: Node) -> Iterator[Node]:
    """Yield the nodes of what is in a list or an object."""
    match node["type"]:
        case "list" | "set" | "frozenset" | "tuple":
            items: Any = node.get("items_schema", ())
            yield from cast("Sequence[Node]", [items] if isinstance(items, Mapping) else items)
        case "dict":
            yield from (node[each] for each in ("keys_schema", "values_schema") if each in node)
        case "model" | "dataclass" | "function-after" | "function-before" | "function-wrap":
            yield from _child_nodes(node["schema"])
        case "model-fields" | "typed-dict" | "dataclass-args":
            fields: Any = node["fields"]
            members: Any = [*fields.values()] if isinstance(fields, Mapping) else fields
            yield from (each["schema"] for each in members)
            yield from (each["return_schema"] for each in node.get("computed_fields", ()))
        case _:
            return


def _serializer(node: Node) -> Node | None:
    """Return what writes the value of *node* in place of Pydantic, into Python objects."""
    written: Node | None = node.get("serialization")
    if written is None:
        return None
    usual = "json-unless-none" if written["type"] in {"format", "to-string"} else "always"
    return None if written.get("when_used", usual).startswith("json") else written


def _walk(schema: Any) -> Iterator[Node]:
    """Yield *schema*, and every object within it."""
    if isinstance(schema, Mapping):
        node = cast("Node", schema)
        yield node
        schema = [*node.values()]
    if isinstance(schema, list | tuple):
        for each in cast("Sequence[Any]", schema):
            yield from _walk(each)


def _is_framework_code(node: Node) -> bool:
    function = node["function"]["function"]
    return str(getattr(function, "__module__", "")).startswith(("brickwork.", "pydantic."))
