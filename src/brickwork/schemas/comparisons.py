"""Comparisons of the values that two fields accept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, Final
from uuid import UUID

from brickwork.models.columns import ColumnValues
from brickwork.schemas.field_values import FieldValues, Leaf, Node, field_nodes
from brickwork.schemas.types import NAIVE_UTC_MARK


def accepts_values_of(fields: FieldValues, leaf: Leaf, held: ColumnValues) -> bool:
    """Return whether a field with *leaf* can show the values that a column holds."""
    if leaf.is_open or leaf.kind is object or held.kind is object:
        return True
    if held.items:
        items = [*fields.nested_leaves(leaf)]
        return leaf.kind is list and any(
            accepts_values_of(fields, item, held.items) for item in items
        )
    if leaf.kind is None:
        return held.kind is str
    if leaf.kind is NoneType or not _fits_zone(leaf.node, held):
        return False
    if held.choices and leaf.choices:
        return held.choices.issubset(map(_enum_value, leaf.choices))
    return _is_wider(leaf, held.kind) or (held.is_uuid and leaf.kind is UUID)


def _fits_zone(node: Node, held: ColumnValues) -> bool:
    """Return whether *node* is `NaiveUTC` where the column has no zone, and only there."""
    is_marked = NAIVE_UTC_MARK in node.get("metadata", {})
    return is_marked is held.naive and node.get("tz_constraint") != "naive"


def _is_wider(leaf: Leaf, kind: type) -> bool:
    """Return whether a field with *leaf* accepts the values of *kind*."""
    target: Any = leaf.kind
    if kind in {bool, datetime} or target is bool:
        return target is kind
    if issubclass(kind, target) or (target is float and kind is int):
        return True
    values = map(_enum_value, leaf.choices)
    return bool(leaf.choices) and all(isinstance(value, kind) for value in values)


def _enum_value(choice: object) -> object:
    return choice.value if isinstance(choice, Enum) else choice


@dataclass(frozen=True)
class Comparison:
    """A read schema and an input schema whose fields are compared."""

    outputs: FieldValues
    inputs: FieldValues
    _compared: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def covers(self, output: Node, source: Node, *, null: bool = True) -> bool:
        """Return whether the node *output* accepts each value of the input node *source*.

        Without *null*, None is not compared.
        """
        if (id(output), id(source)) in self._compared:  # a recursive schema
            return True
        self._compared.add((id(output), id(source)))
        wide, narrow = self.outputs.leaves(output), self.inputs.leaves(source)
        if not null:
            narrow = [leaf for leaf in narrow if leaf.kind is not NoneType]
        return all(any(self._covers(leaf, one) for leaf in wide) for one in narrow)

    def _covers(self, output: Leaf, source: Leaf) -> bool:
        if output.is_open or output.kind is object:
            return True
        if output.choices:
            values = {*map(_enum_value, output.choices)}
            return bool(source.choices) and values.issuperset(map(_enum_value, source.choices))
        if output.kind is None:
            return _is_same_type(output.node, source.node)
        kinds = _CASTS.get(output.kind, output.kind)
        if source.kind is None or not issubclass(source.kind, kinds):
            return False
        if source.choices:
            return True
        is_within = _has_narrower_bounds(source.node, output.node)
        return is_within and self._covers_parts(output.node, source.node)

    def _covers_parts(self, output: Node, source: Node) -> bool:
        """Return whether *output* also accepts the members of an object or the items of a list."""
        if output["type"] == "model":
            return source["type"] == "model" and self._covers_fields(output, source)
        parts = [
            (output[name], source.get(name, _ANYTHING))
            for name in ("keys_schema", "values_schema", "items_schema")
            if isinstance(output.get(name), Mapping)
        ]
        return all(self.covers(*part) for part in parts)

    def _covers_fields(self, output: Node, source: Node) -> bool:
        wide, narrow = field_nodes(output), field_nodes(source)
        return all(
            self.covers(node["schema"], narrow[name]["schema"])
            if name in narrow
            else node["schema"]["type"] == "default"
            for name, node in wide.items()
        )


_ANYTHING: Final[Node] = {"type": "any"}
_CASTS: Final[Mapping[type, Any]] = {float: (float, int)}


def _is_same_type(node: Node, other: Node) -> bool:
    """Return whether two nodes of an unknown type have the same type."""
    functions = [n.get("function", {}).get("function") for n in (node, other)]
    return bool(node["type"] == other["type"] and functions[0] == functions[1])


_EQUAL: Final = ("decimal_places", "max_digits", "multiple_of", "now_op", "pattern", "version")


def _has_narrower_bounds(node: Node, outer: Node) -> bool:
    """Return whether the constraints of *node* are at least as narrow as those of *outer*."""
    shortest, longest = outer.get("min_length", 0), outer.get("max_length")
    return (
        _low(outer) <= _low(node)
        and _high(outer) >= _high(node)
        and shortest <= node.get("min_length", 0)
        and (longest is None or node.get("max_length", longest + 1) <= longest)
        and all(node.get(name) == outer[name] for name in _EQUAL if name in outer)
    )


def _low(node: Node) -> tuple[bool, Any, int]:
    """Return the lower bound of *node*, in a form that sorts: is bounded, bound, is exclusive."""
    is_int = node["type"] == "int"
    bounds = [(True, node["ge"], 0)] if "ge" in node else []
    if "gt" in node:
        bounds.append((True, node["gt"] + 1, 0) if is_int else (True, node["gt"], 1))
    return max(bounds, default=(False, 0, 0))


def _high(node: Node) -> tuple[bool, Any, int]:
    """Return the upper bound of *node*, in a form that sorts: is unbounded, bound, exclusive."""
    is_int = node["type"] == "int"
    bounds = [(False, node["le"], 0)] if "le" in node else []
    if "lt" in node:
        bounds.append((False, node["lt"] - 1, 0) if is_int else (False, node["lt"], -1))
    return min(bounds, default=(True, 0, 0))
