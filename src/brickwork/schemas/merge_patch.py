"""Merge patches of fields that hold JSON objects (RFC 7396)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import core_schema

from brickwork.schemas import json_values
from brickwork.schemas.strict_json import is_object
from brickwork.schemas.validation import Node

_PATCH: Final = "__brickwork_patch__"
"""The attribute of an instance that has its `Patch`."""

_OBJECTS: Final = {"any", "dataclass", "dict", "model", "typed-dict"}
"""The types of nodes that take an object."""

_FIRST: Final = ("python_schema", "lax_schema", "schema")
"""The members of a node that hold the node of the same value, the first that there is."""


@dataclass(frozen=True)
class Patch:
    """The body of a PATCH."""

    body: Mapping[str, object]
    """The body as it was sent."""
    objects: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])
    """The objects in it, by the names of their fields. Each is a merge patch, and not validated."""


def patch_of(data: BaseModel) -> Patch | None:
    """Return the patch that *data* is made of; None if its schema is not that of a PATCH."""
    found: Patch | None = vars(data).get(_PATCH)
    return found


def patch_schema(schema: Any, resolve: Callable[[Any], Any]) -> Any:
    """Return *schema*, that of a model, such that objects in its fields are merge patches.

    Only the row knows what a merge patch makes of them. So they are checked as JSON, and kept for
    `merge_patch`. *resolve* returns what a `definition-ref` refers to.
    """
    kinds = _NodeResolver(resolve)

    def change(node: Any) -> Any:
        if node["type"] != "model-fields":
            return node | {"schema": change(node["schema"])} if "schema" in node else node
        fields = cast("dict[str, Node]", node["fields"])
        kept = {k: _keep_object(k, v) if kinds.takes_object(v) else v for k, v in fields.items()}
        return node | {"fields": kept}

    if schema["type"] == "definitions":  # which Pydantic looks for at the outside
        kinds.learn(schema)
        return schema | {"schema": patch_schema(schema["schema"], kinds.resolve)}
    if schema.get("function", {}).get("function") is _record_patch:  # Pydantic has kept it
        return schema
    return core_schema.no_info_wrap_validator_function(_record_patch, change(schema))


_current: Final = ContextVar[Patch | None]("brickwork.patch", default=None)


def _record_patch(value: Any, handler: Callable[[Any], BaseModel]) -> BaseModel:
    """Return the instance that *handler* makes of a body, with its `Patch`."""
    if not is_object(value):
        return handler(value)
    patch = Patch(value)
    token = _current.set(patch)
    try:
        data = handler(value)
    finally:
        _current.reset(token)
    # Validators of the model have seen None there, as of a field that is left out.
    vars(data)[_PATCH] = patch
    vars(data).update(patch.objects)
    return data


def _keep_object(name: str, node: Any) -> Node:
    """Return the *node* of the field *name*, which keeps an object and validates other values."""
    if node.get("type") in {"default", "model-field"}:  # a default has to be outside
        return {**node, "schema": _keep_object(name, node["schema"])}

    def keep(value: object, handler: Callable[[Any], Any]) -> object:
        patch = _current.get()
        if not is_object(value) or patch is None:
            return handler(value)
        json_values.check_document(value)
        patch.objects[name] = value
        return None

    return {**core_schema.no_info_wrap_validator_function(keep, node)}


class _NodeResolver:
    """What there is to know of nodes."""

    def __init__(self, resolve: Callable[[Any], Any]) -> None:
        self._resolve = resolve
        self._known: dict[str, Any] = {}

    def learn(self, node: Node) -> None:
        """Remember the definitions in *node*."""
        self._known |= {each["ref"]: each for each in node["definitions"]}

    def resolve(self, node: Node) -> Node:
        """Return the node that *node*, a `definition-ref`, refers to."""
        known: Node | None = self._known.get(node["schema_ref"])
        found: Node = known or self._resolve(node)
        return found

    def takes_object(self, node: Node, seen: Collection[str] = ()) -> bool:
        """Tell whether an object may be a value of *node*."""
        if node["type"] == "definition-ref":
            name: str = node["schema_ref"]
            return name not in seen and self.takes_object(self.resolve(node), (*seen, name))
        if node["type"] in _OBJECTS and not node.get("root_model"):
            return True
        return any(self.takes_object(each, seen) for each in _inner_nodes(node))


def _inner_nodes(node: Node) -> Iterator[Node]:
    """Yield the nodes that a value of *node* is a value of."""
    match node["type"]:
        case "union":
            yield from [each[0] if isinstance(each, tuple) else each for each in node["choices"]]
        case "tagged-union":
            yield from node["choices"].values()
        case "list" | "tuple" | "set" | "frozenset" | "generator":
            return
        case _:
            yield from [node[name] for name in _FIRST if name in node][:1]


_Json = dict[str, Any]
_Resolve = Callable[[_Json], _Json]

_NULL: Final[_Json] = {"type": "null"}

_NOTES: Final = {"deprecated", "description", "examples", "title", "writeOnly"}
"""The members of a schema that are no rules for values."""


def describe_patch(schema: _Json, resolve: _Resolve, seen: Collection[str] = ()) -> _Json:
    """Return a JSON *schema* of values as that of their merge patches.

    Every member of an object may be left out, and null removes it. Where objects may be of several
    kinds, the patch has the members of all: it can make one kind of another. *resolve* returns what
    a `$ref` refers to; *seen* are those that *schema* is in.
    """
    kinds = [*_alternatives(schema, resolve, seen)]
    objects = [each for each in kinds if each[0].get("type") == "object"]
    if not objects:
        return schema
    others = [kind for kind, _ in kinds if kind.get("type") != "object"]
    merged: _Json = {"type": "object"}
    for name in ("properties", "patternProperties"):
        members = _merge_members(name, objects, resolve)
        merged |= {name: members} if members else {}
    if all(kind.get("additionalProperties") is False for kind, _ in objects):
        merged["additionalProperties"] = False
    notes: _Json = {k: v for k, v in schema.items() if k in _NOTES}
    return {"anyOf": [merged, *others], **notes} if others else {**merged, **notes}


def _alternatives(
    schema: _Json, resolve: _Resolve, seen: Collection[str]
) -> Iterator[tuple[_Json, Collection[str]]]:
    """Yield the schemas of which a value fits one, and the references that each is in."""
    if (name := schema.get("$ref")) is not None:
        if name in seen:
            yield {"type": "object"}, seen
        else:
            yield from _alternatives(_resolve_reference(schema, resolve), resolve, (*seen, name))
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        for each in choices:
            yield from _alternatives(each, resolve, seen)
    else:
        yield schema, seen


def _resolve_reference(schema: _Json, resolve: _Resolve) -> _Json:
    """Return what the `$ref` of *schema* refers to; an empty schema if it has its last name."""
    try:
        return resolve(schema)
    except KeyError:  # as an enumeration that FastAPI has named already, which is no object
        return {}


def _merge_members(
    name: str, objects: Iterable[tuple[_Json, Collection[str]]], resolve: _Resolve
) -> _Json:
    """Return the members *name* of *objects*, each with null."""
    found: dict[str, list[_Json]] = {}
    for kind, seen in objects:
        for member, schema in kind.get(name, {}).items():
            patch = describe_patch(schema, resolve, seen)
            known = found.setdefault(member, [])
            known += [each for each in patch.get("anyOf", [patch]) if each not in (*known, _NULL)]
    return {k: {"anyOf": [*v, _NULL]} if {} not in v else {} for k, v in found.items()}
