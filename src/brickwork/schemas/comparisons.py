"""Comparisons of the values that two fields accept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import NoneType
from typing import Any, Final

from brickwork.models.columns import ColumnValues
from brickwork.schemas.field_values import FieldValues, Leaf, Node, field_nodes


def accepts_values_of(fields: FieldValues, leaf: Leaf, held: ColumnValues) -> bool:
    """Tell whether a field with *leaf* can show the values that a column holds."""
    if leaf.is_open or leaf.kind is object or held.kind is object:
        return True
    if held.items:
        items = [*fields.nested_leaves(leaf)]
        return leaf.kind is list and any(
            accepts_values_of(fields, each, held.items) for each in items
        )
    if leaf.kind is None:
        return held.kind is str
    if leaf.kind is NoneType or leaf.node.get("tz_constraint") == "naive":
        return False
    if held.choices and leaf.choices:
        return held.choices.issubset(map(_enum_value, leaf.choices))
    return _is_wider(leaf, held.kind)


def _is_wider(leaf: Leaf, kind: type) -> bool:
    """Tell whether Pydantic makes a value of *leaf* from each value, or each choice, of *kind*."""
    wanted: Any = leaf.kind
    if kind in {bool, datetime} or wanted is bool:
        return wanted is kind
    if issubclass(kind, wanted) or (wanted is float and kind is int):
        return True
    return bool(leaf.choices) and all(isinstance(_enum_value(each), kind) for each in leaf.choices)


def _enum_value(choice: object) -> object:
    return choice.value if isinstance(choice, Enum) else choice


@dataclass(frozen=True)
class Comparison:
    """The fields of *shown*, which answers have, and those of *sent*, which requests have."""

    shown: FieldValues
    sent: FieldValues
    _known: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    def covers(self, shown: Node, sent: Node, *, null: bool = True) -> bool:
        """Tell whether the node *shown* accepts each value of the node *sent*; None if *null*."""
        if (id(shown), id(sent)) in self._known:  # it is within itself
            return True
        self._known.add((id(shown), id(sent)))
        wide, narrow = self.shown.leaves(shown), self.sent.leaves(sent)
        if not null:
            narrow = [each for each in narrow if each.kind is not NoneType]
        return all(any(self._covers(each, one) for each in wide) for one in narrow)

    def _covers(self, shown: Leaf, sent: Leaf) -> bool:
        if shown.is_open or shown.kind is object:
            return True
        if shown.choices:
            known = {*map(_enum_value, shown.choices)}
            return bool(sent.choices) and known.issuperset(map(_enum_value, sent.choices))
        if shown.kind is None:
            return _is_same_type(shown.node, sent.node)
        if sent.kind is None or not issubclass(sent.kind, _CASTS.get(shown.kind, shown.kind)):
            return False
        if sent.choices:
            return True
        return _has_narrower_bounds(shown.node, sent.node) and self._covers_parts(
            shown.node, sent.node
        )

    def _covers_parts(self, shown: Node, sent: Node) -> bool:
        """Tell whether what is in an object or a list is shown, too."""
        if shown["type"] == "model":
            return sent["type"] == "model" and self._covers_fields(shown, sent)
        parts = [
            (shown[name], sent.get(name, _ANYTHING))
            for name in ("keys_schema", "values_schema", "items_schema")
            if isinstance(shown.get(name), Mapping)
        ]
        return all(self.covers(*each) for each in parts)

    def _covers_fields(self, shown: Node, sent: Node) -> bool:
        wide, narrow = field_nodes(shown), field_nodes(sent)
        return all(
            self.covers(each["schema"], narrow[name]["schema"])
            if name in narrow
            else each["schema"]["type"] == "default"
            for name, each in wide.items()
        )


_ANYTHING: Final[Node] = {"type": "any"}
_CASTS: Final[Mapping[type, Any]] = {float: (float, int)}


def _is_same_type(shown: Node, sent: Node) -> bool:
    """Tell whether two nodes of a type that Brickwork does not know are of the same type."""
    own, other = (each.get("function", {}).get("function") for each in (shown, sent))
    return bool(shown["type"] == sent["type"] and own == other)


_EQUAL: Final = ("decimal_places", "max_digits", "multiple_of", "now_op", "pattern", "version")


def _has_narrower_bounds(shown: Node, sent: Node) -> bool:
    """Tell whether the constraints of *sent* are at least as narrow as those of *shown*."""
    lows, highs = [_low(each) for each in (shown, sent)], [_high(each) for each in (shown, sent)]
    shortest, longest = shown.get("min_length", 0), shown.get("max_length")
    return (
        lows[0] <= lows[1]
        and highs[0] >= highs[1]
        and shortest <= sent.get("min_length", 0)
        and (longest is None or sent.get("max_length", longest + 1) <= longest)
        and all(sent.get(name) == shown[name] for name in _EQUAL if name in shown)
    )


def _low(node: Node) -> tuple[bool, Any, int]:
    """Return what no value of *node* is below: whether there is any, and whether it is excluded."""
    is_int = node["type"] == "int"
    found = [(True, node["ge"], 0)] if "ge" in node else []
    if "gt" in node:
        found.append((True, node["gt"] + 1, 0) if is_int else (True, node["gt"], 1))
    return max(found, default=(False, 0, 0))


def _high(node: Node) -> tuple[bool, Any, int]:
    """Return what no value of *node* is above, in the same way."""
    is_int = node["type"] == "int"
    found = [(False, node["le"], 0)] if "le" in node else []
    if "lt" in node:
        found.append((False, node["lt"] - 1, 0) if is_int else (False, node["lt"], -1))
    return min(found, default=(True, 0, 0))
