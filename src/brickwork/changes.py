"""Changing rows: what a client sent, laid over what is stored."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase

from brickwork.documents import is_object


def apply_changes(row: DeclarativeBase, changes: BaseModel | Mapping[str, Any]) -> None:
    """Set the attributes of *row*: those that were sent of a schema, all of a mapping.

    A schema is a JSON merge patch, so objects in it are merged with those of *row*. Attributes
    that keep their value are not written, and a row of which all do is not touched.
    """
    values = merge_patch(row, changes) if isinstance(changes, BaseModel) else changes
    for name, value in values.items():
        setattr(row, name, value)


def merge_patch(row: DeclarativeBase, patch: BaseModel) -> dict[str, Any]:
    """Return the values *row* is to have after *patch*, of the fields that were sent (RFC 7396)."""
    sent = patch.model_dump(exclude_unset=True)
    return {name: merged(getattr(row, name), value) for name, value in sent.items()}


def merged(target: object, patch: object) -> object:
    """Return *target* as *patch* changes it; neither is changed itself (RFC 7396, section 2)."""
    if not is_object(patch):
        return patch
    result = dict(target) if is_object(target) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
