"""Changing rows: what a client sent, laid over what is stored."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic_core import to_jsonable_python
from sqlalchemy.orm import DeclarativeBase

from brickwork.schemas.merge_patch import Patch, patch_of
from brickwork.schemas.strict_json import is_object


def apply_changes(row: DeclarativeBase, changes: BaseModel | Mapping[str, Any]) -> None:
    """Set the attributes of *row*: those that were sent of a schema, all of a mapping.

    A schema is a JSON merge patch, so objects in it are merged with those of *row*. Attributes
    that keep their value are not written, and a row of which all do is not touched. Raises
    `RequestValidationError` as `merge_patch` does.
    """
    values = merge_patch(row, changes) if isinstance(changes, BaseModel) else changes
    for name, value in values.items():
        setattr(row, name, value)


def merge_patch(row: DeclarativeBase, patch: BaseModel) -> dict[str, Any]:
    """Return the values *row* is to have after *patch*, of the fields that were sent (RFC 7396).

    Raises `RequestValidationError`, a 422, where *patch* makes of a JSON object of *row* one that
    its schema refuses.
    """
    change = _Change(row, patch)
    if change.errors:
        raise RequestValidationError([*change.placed()], body=change.document)
    return change.values


def merge_patches(patches: Iterable[tuple[DeclarativeBase, BaseModel]]) -> list[dict[str, Any]]:
    """Return what `merge_patch` returns for each row and its patch in a batch.

    Raises `RequestValidationError` with the errors of all.
    """
    changes = [_Change(*each) for each in patches]
    if errors := [error for n, each in enumerate(changes) for error in each.placed(n)]:
        raise RequestValidationError(errors, body=[each.document for each in changes])
    return [each.values for each in changes]


class _Change:
    """A row as a patch changes it."""

    def __init__(self, row: DeclarativeBase, data: BaseModel) -> None:
        """Merge, and validate the objects that are merged."""
        self.errors: list[Any] = []
        self.document: Mapping[str, object] = {}
        self.values: dict[str, Any] = {}
        patch = patch_of(data)
        whole = patch.objects if patch else {}
        if patch and whole:
            data = self._whole(row, data, patch)
        if self.errors:
            return
        # A schema that is not that of a PATCH has no whole objects.
        sent = data.model_dump(include=data.model_fields_set, exclude_unset=not patch)
        self.values = {
            name: value if name in whole else merged(getattr(row, name), value)
            for name, value in sent.items()
        }

    def _whole(self, row: DeclarativeBase, data: BaseModel, patch: Patch) -> BaseModel:
        """Return *data* with whole objects in the place of patches of them."""
        schema = _of_whole(type(data))
        keys = {id(value): key for key, value in patch.body.items()}
        objects = {
            keys.get(id(each), name): merged(_document(schema, row, name), each)
            for name, each in patch.objects.items()
        }
        self.document = {**patch.body, **objects}
        try:
            return schema.model_validate(self.document)
        except ValidationError as error:
            self.errors = error.errors(include_url=False)
            return data

    def placed(self, *index: int) -> Iterator[Any]:
        """Yield the errors as those of the body, or of the item *index* in it."""
        for each in self.errors:
            yield {**each, "loc": ("body", *index, *each["loc"])}


@cache
def _of_whole(schema: type[BaseModel]) -> type[BaseModel]:
    """Return *schema* such that it validates objects, where that of a PATCH keeps them."""
    kept: dict[str, Any] = {"bounds": getattr(schema, "__bounds__", None), "patches": False}
    return create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, __cls_kwargs__=kept
    )


def _document(schema: type[BaseModel], row: DeclarativeBase, name: str) -> object:
    """Return what *row* has in the attribute *name*, as the client knows it."""
    document = to_jsonable_python(getattr(row, name), fallback=str)
    if not is_object(document) or not _has_aliases(schema):
        return document
    kind = _kind(schema, name)
    try:
        known = kind.validate_python(document, by_alias=False, by_name=True)
    except ValidationError:  # it was stored by another schema
        return document
    return kind.dump_python(known, mode="json", by_alias=True, exclude_unset=True)


@cache
def _kind(schema: type[BaseModel], name: str) -> TypeAdapter[Any]:
    annotation: Any = schema.model_fields[name].annotation
    return TypeAdapter(annotation)


@cache
def _has_aliases(schema: type[BaseModel]) -> bool:
    return any("serialization_alias" in each for each in _nodes(schema.__pydantic_core_schema__))


def _nodes(part: object) -> Iterator[Mapping[str, object]]:
    """Yield the nodes of a core schema."""
    if is_object(part):
        yield part
        part = [*part.values()]
    if isinstance(part, list | tuple):
        for each in cast("Iterable[object]", part):
            yield from _nodes(each)


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
