"""Summaries and descriptions of operations in openapi.json."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from brickwork.models.model import Versioned
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.operations.naming import summary
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource, is_exported

_METHODS: Final[Mapping[str, str]] = {
    "list": "page",
    "create": "create",
    "get": "get",
    "update": "update",
    "delete": "delete",
    "restore": "restore",
    "history": "history",
}
"""The methods of a resource whose docstrings describe an operation."""

_EXPORT: Final = "`Accept: application/x-ndjson` returns the rows of all pages, one per line."
_ALL_OR_NONE: Final = "This is one transaction: all of them, or none."


def describe(
    operation: str, prefix: str, definition: ResourceDefinition[Any]
) -> tuple[str, str | None]:
    """Return the summary and the description of an operation.

    The docstring of an overridden method comes first. Its first paragraph is the summary.
    """
    first, rest = None, None
    if method := _METHODS.get(operation):
        first, rest = _split_docstring(method_docstring(definition.resource, method))
    parts = [rest] if rest else _DESCRIPTIONS.get(operation, _no_sentences)(definition)
    if operation == "list" and is_exported(definition.resource):
        parts = [*parts, method_docstring(definition.resource, "export") or _EXPORT]
    joined = "\n\n".join(parts) if rest else " ".join(parts)
    return first or summary(operation, prefix, definition.model), joined or None


def method_docstring(resource: type[Resource[Any]], name: str) -> str | None:
    """Return the docstring of the method *name*, as *resource* overrides it.

    None if it does not override the method, or has no docstring for it.
    """
    for kind in _own_classes(resource):
        if text := _clean(getattr(vars(kind).get(name), "__doc__", None)):
            return text
    return None


def class_docstring(resource: type[Resource[Any]]) -> str | None:
    """Return the docstring of *resource* itself. None without one."""
    return _clean(vars(resource).get("__doc__"))


def _own_classes(resource: type[Resource[Any]]) -> Iterator[type]:
    """Yield *resource* and its bases before `Resource`."""
    for kind in resource.__mro__:
        if kind is Resource:
            return
        yield kind


def _clean(docstring: str | None) -> str | None:
    """Return *docstring* without its indentation, and up to a form feed, as FastAPI does."""
    return inspect.cleandoc(docstring or "").partition("\f")[0].strip() or None


def _split_docstring(docstring: str | None) -> tuple[str | None, str | None]:
    """Return the first paragraph of *docstring* as a title, and the others."""
    first, *others = re.split(r"\n\s*\n", docstring or "", maxsplit=1)
    title = " ".join(first.split())
    if not title.endswith(".."):
        title = title.removesuffix(".")
    return title or None, "".join(others).strip() or None


def _describe_batch_update(definition: ResourceDefinition[Any]) -> list[str]:
    sentences = ["Each item is a merge patch with the key of its row.", _ALL_OR_NONE]
    if issubclass(definition.model, Versioned):
        verb = "must" if definition.resource.require_if_match else "may"
        sentences.append(f"An item {verb} name the expected version of the row.")
    return sentences


def _describe_replacement(definition: ResourceDefinition[Any]) -> list[str]:
    sentences = ["An omitted field is reset to its default."]
    if definition.resource.allow_upsert:
        sentences.append("A missing row is created.")
    return sentences


def _describe_deletion(definition: ResourceDefinition[Any]) -> list[str]:
    if not is_soft_deletable(definition.model):
        return []
    return ["The row can be restored, unless `purge=true` removes it for good."]


def _no_sentences(_: object) -> list[str]:
    return []


_Describe = Callable[[ResourceDefinition[Any]], list[str]]

_DESCRIPTIONS: Final[Mapping[str, _Describe]] = {
    "create_batch": lambda _: [
        "The response has the rows in the order of the items.",
        _ALL_OR_NONE,
    ],
    "update_batch": _describe_batch_update,
    "delete_batch": lambda _: ["The parameter `id` names a row each time.", _ALL_OR_NONE],
    "update": lambda _: [
        "The body is a JSON Merge Patch (RFC 7396): omitted fields do not change."
    ],
    "replace": _describe_replacement,
    "delete": _describe_deletion,
    "restore": lambda _: ["This undoes a deletion. A row that is not deleted is a conflict."],
    "history": lambda _: [
        "The newest entry comes first. An entry has the changed fields, the time and the actor."
    ],
}
"""The default descriptions of operations, as sentences."""
