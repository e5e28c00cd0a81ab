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
"""The attribute of an instance that holds its `Patch`."""

_OBJECTS: Final = {"any", "dataclass", "dict", "model", "typed-dict"}
"""The types of nodes that accept an object."""

_FIRST: Final = ("python_schema", "lax_schema", "schema")
"""The members that may hold the inner node of the same value. The first one counts."""


@dataclass(frozen=True)
class Patch:
    """The body of a PATCH."""

    body: Mapping[str, object]
    """The body that the client sent."""
    objects: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])
    """The objects in the body by the names of their fields: merge patches, not yet validated."""


def patch_of(data: BaseModel) -> Patch | None:
    """Return the patch of *data*. None if its schema is not the schema of a PATCH."""
    found: Patch | None = vars(data).get(_PATCH)
    return found


def patch_schema(schema: Any, resolve: Callable[[Any], Any]) -> Any:
    """Return the core *schema* of a model, with objects in its fields as merge patches.

    Their validation needs the row. So they are only checked as JSON, and kept for `merge_patch`.
    *resolve* returns the target of a `definition-ref`.
    """
    resolver = _NodeResolver(resolve)

    def change(node: Any) -> Any:
        if node["type"] != "model-fields":
            return node | {"schema": change(node["schema"])} if "schema" in node else node
        fields = cast("dict[str, Node]", node["fields"])
        patched = {
            name: _keep_object(name, field) if resolver.accepts_object(field) else field
            for name, field in fields.items()
        }
        return node | {"fields": patched}

    if schema["type"] == "definitions":  # Pydantic wants it outermost
        resolver.add_definitions(schema)
        return schema | {"schema": patch_schema(schema["schema"], resolver.resolve)}
    if schema.get("function", {}).get("function") is _record_patch:  # of the base class
        return schema
    # The reference moves to the outermost node, or openapi.json would have the schema inline.
    inner = {name: member for name, member in schema.items() if name != "ref"}
    return core_schema.no_info_wrap_validator_function(
        _record_patch, change(inner), ref=schema.get("ref")
    )


_current: Final = ContextVar[Patch | None]("brickwork.patch", default=None)


def _record_patch(value: Any, handler: Callable[[Any], BaseModel]) -> BaseModel:
    """Return the instance that *handler* builds from a body, with its `Patch`."""
    if not is_object(value):
        return handler(value)
    patch = Patch(value)
    token = _current.set(patch)
    try:
        data = handler(value)
    finally:
        _current.reset(token)
    # Validators of the model have received None for them, as for omitted fields.
    vars(data)[_PATCH] = patch
    vars(data).update(patch.objects)
    return data


def _keep_object(name: str, node: Any) -> Node:
    """Return the *node* of the field *name*, which keeps objects and validates other values."""
    if node.get("type") in {"default", "model-field"}:  # a default must be outermost
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
    """Resolver of references between nodes."""

    def __init__(self, resolve: Callable[[Any], Any]) -> None:
        self._resolve = resolve
        self._definitions: dict[str, Any] = {}

    def add_definitions(self, node: Node) -> None:
        """Add the definitions of *node*."""
        self._definitions |= {target["ref"]: target for target in node["definitions"]}

    def resolve(self, node: Node) -> Node:
        """Return the target of *node*, a `definition-ref`."""
        own: Node | None = self._definitions.get(node["schema_ref"])
        target: Node = own or self._resolve(node)
        return target

    def accepts_object(self, node: Node, seen: Collection[str] = ()) -> bool:
        """Return whether *node* accepts an object."""
        if node["type"] == "definition-ref":
            name: str = node["schema_ref"]
            return name not in seen and self.accepts_object(self.resolve(node), (*seen, name))
        if node["type"] in _OBJECTS and not node.get("root_model"):
            return True
        return any(self.accepts_object(inner, seen) for inner in _inner_nodes(node))


def _inner_nodes(node: Node) -> Iterator[Node]:
    """Yield the inner nodes that validate the same value as *node*."""
    match node["type"]:
        case "union":
            yield from [c[0] if isinstance(c, tuple) else c for c in node["choices"]]
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
"""The members of a JSON schema that do not constrain values."""


def describe_patch(schema: _Json, resolve: _Resolve, seen: Collection[str] = ()) -> _Json:
    """Return the JSON schema of merge patches for values of *schema*.

    Every member of an object is optional, and null removes it. If a value may be one of several
    kinds of objects, the patch has the members of all, because it can turn one into another.
    *resolve* returns the target of a `$ref`; *seen* are the references around *schema*.
    """
    kinds = [*_alternatives(schema, resolve, seen)]
    objects = [(kind, refs) for kind, refs in kinds if kind.get("type") == "object"]
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
    """Yield the alternatives of *schema*, each with the references around it."""
    if (name := schema.get("$ref")) is not None:
        if name in seen:
            yield {"type": "object"}, seen
        else:
            yield from _alternatives(_resolve_reference(schema, resolve), resolve, (*seen, name))
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        for choice in choices:
            yield from _alternatives(choice, resolve, seen)
    else:
        yield schema, seen


def _resolve_reference(schema: _Json, resolve: _Resolve) -> _Json:
    """Return the target of the `$ref` of *schema*. Empty if there is none yet."""
    try:
        return resolve(schema)
    except LookupError:  # renamed by FastAPI (an enumeration, no object), or not generated yet
        return {}


def _merge_members(
    name: str, objects: Iterable[tuple[_Json, Collection[str]]], resolve: _Resolve
) -> _Json:
    """Return the members *name* of *objects*, each with null."""
    found: dict[str, list[_Json]] = {}
    for kind, seen in objects:
        for member, schema in kind.get(name, {}).items():
            patch = describe_patch(schema, resolve, seen)
            kinds = found.setdefault(member, [])
            kinds += [k for k in patch.get("anyOf", [patch]) if k not in (*kinds, _NULL)]
    return {k: {"anyOf": [*v, _NULL]} if {} not in v else {} for k, v in found.items()}
