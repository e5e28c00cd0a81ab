"""Problems of values that no request can change."""

from collections.abc import Sequence
from typing import Any, TypeVar

from brickwork.problems import Conflict, ErrorDetail, NotFound, UnprocessableContent
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema

M = TypeVar("M")


def reject_other_key(definition: ResourceDefinition[M], data: Schema, key: object) -> None:
    """Raise the problem of a PUT whose *data* cannot create the row with the *key* of its path."""
    own = primary_key(definition.model)
    if key is None:
        raise NotFound(f"{definition.model.__name__} not found")
    pairs = zip(own.names, own.parts(key), strict=True)
    if changed := [name for name, part in pairs if getattr(data, name, None) != part]:
        raise key_conflict(definition, changed)
    if read_only := sorted(data.model_fields_set - definition.create.model_fields.keys()):
        raise read_only_problem(definition, read_only)


def read_only_problem(
    definition: ResourceDefinition[Any], names: Sequence[str]
) -> UnprocessableContent:
    """Return the problem for read-only fields *names* that differ from the row."""
    text = "This field is read-only: omit it, or send its stored value."
    pointers = sorted(field_pointer(name, definition.replace) for name in names)
    errors = [ErrorDetail(code="read_only", detail=text, pointer=pointer) for pointer in pointers]
    return UnprocessableContent("A read-only field has a different value.", errors=errors)


def key_conflict(definition: ResourceDefinition[M], names: Sequence[str]) -> Conflict:
    """Return the problem for key columns *names* that differ from the path."""
    text = "The key of a row cannot change: send the key that is in the path."
    pointers = [field_pointer(name, definition.replace) for name in names]
    errors = [ErrorDetail(code="key_differs", detail=text, pointer=place) for place in pointers]
    return Conflict(text, errors=errors)
