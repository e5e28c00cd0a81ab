"""Changes of rows: merge patches (RFC 7396)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic_core import to_jsonable_python

from brickwork.models.caching import cached_per_model
from brickwork.schemas.merge_patch import Patch, patch_of
from brickwork.schemas.related import related_fields, unstored_fields
from brickwork.schemas.strict_json import is_object


def apply_changes(row: object, changes: BaseModel | Mapping[str, Any]) -> None:
    """Set the attributes of *row*: the sent fields of a schema, or all of a mapping.

    A schema is a JSON merge patch, so its objects are merged with the objects of *row*. Unchanged
    attributes are not written. Raises `RequestValidationError` as `merge_patch` does, and
    `TypeError` for a schema with related rows, which only `Resource.update` writes.
    """
    if isinstance(changes, BaseModel):
        schema, changes = type(changes), merge_patch(row, changes)
        if related := related_fields(schema, type(row)).keys() & changes.keys():
            raise TypeError(
                f"apply_changes does not write {', '.join(sorted(related))}, which has related "
                "rows. Leave it to the PATCH of a crud_router."
            )
    for name, value in changes.items():
        setattr(row, name, value)


def merge_patch(row: object, patch: BaseModel) -> dict[str, Any]:
    """Return the values of the sent fields of *patch*, merged with *row* (RFC 7396).

    The value of a list of related rows is the list of their schemas.

    Raises `RequestValidationError`, a 422, if a merged JSON object is invalid.
    """
    change = _Change(row, patch)
    if change.errors:
        raise RequestValidationError([*change.located_errors()], body=change.document)
    return change.values


def merge_patches(patches: Iterable[tuple[object, BaseModel]]) -> list[dict[str, Any]]:
    """Return the result of `merge_patch` for each row and its patch in a batch.

    Raises `RequestValidationError` with the errors of all patches.
    """
    changes = [_Change(row, patch) for row, patch in patches]
    if errors := [error for n, change in enumerate(changes) for error in change.located_errors(n)]:
        raise RequestValidationError(errors, body=[change.document for change in changes])
    return [change.values for change in changes]


class _Change:
    """The result of merging a patch with a row."""

    def __init__(self, row: object, data: BaseModel) -> None:
        """Merge *data* with *row*, and validate the merged objects."""
        self.errors: list[Any] = []
        self.document: Mapping[str, object] = {}
        self.values: dict[str, Any] = {}
        patch = patch_of(data)
        whole = patch.objects if patch else {}
        if patch and whole:
            data = self._validate_objects(row, data, patch)
        if self.errors:
            return
        # Only the schema of a PATCH has merged objects.
        schema, fields = type(data), data.model_fields_set
        related = fields & related_fields(schema, type(row)).keys()
        stored = fields - related - unstored_fields(schema)
        sent = data.model_dump(include=stored, exclude_unset=not patch)
        self.values = {
            name: value if name in whole else apply_merge_patch(getattr(row, name), value)
            for name, value in sent.items()
        }
        self.values |= {name: getattr(data, name) for name in related}

    def _validate_objects(self, row: object, data: BaseModel, patch: Patch) -> BaseModel:
        """Return *data* with merged and validated objects in place of their patches."""
        schema = _object_schema(type(data))
        keys = {id(value): key for key, value in patch.body.items()}
        objects = {
            keys.get(id(value), name): apply_merge_patch(_stored_document(schema, row, name), value)
            for name, value in patch.objects.items()
        }
        self.document = {**patch.body, **objects}
        try:
            return schema.model_validate(self.document)
        except ValidationError as error:
            self.errors = error.errors(include_url=False)
            return data

    def located_errors(self, *index: int) -> Iterator[Any]:
        """Yield the errors with their place in the body, or in the item *index* of a batch."""
        for error in self.errors:
            yield {**error, "loc": ("body", *index, *error["loc"])}


@cached_per_model
def _object_schema(schema: type[BaseModel]) -> type[BaseModel]:
    """Return *schema*, of a PATCH, as a schema that validates objects instead of keeping them."""
    kept: dict[str, Any] = {"bounds": getattr(schema, "__bounds__", None), "patches": False}
    return create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, __cls_kwargs__=kept
    )


def _stored_document(schema: type[BaseModel], row: object, name: str) -> object:
    """Return the JSON of *row* in the attribute *name*, with the aliases of the client."""
    document = to_jsonable_python(getattr(row, name), fallback=str)
    if not is_object(document) or not _has_aliases(schema):
        return document
    adapter = _field_adapter(schema, name)
    try:
        value = adapter.validate_python(document, by_alias=False, by_name=True)
    except ValidationError:  # another schema has stored it
        return document
    return adapter.dump_python(value, mode="json", by_alias=True, exclude_unset=True)


@cached_per_model
def _field_adapter(schema: type[BaseModel], name: str) -> TypeAdapter[Any]:
    annotation: Any = schema.model_fields[name].annotation
    return TypeAdapter(annotation)


@cached_per_model
def _has_aliases(schema: type[BaseModel]) -> bool:
    return any(
        "serialization_alias" in node for node in _walk_nodes(schema.__pydantic_core_schema__)
    )


def _walk_nodes(part: object) -> Iterator[Mapping[str, object]]:
    """Yield the nodes of a core schema."""
    if is_object(part):
        yield part
        part = [*part.values()]
    if isinstance(part, list | tuple):
        for item in cast("Iterable[object]", part):
            yield from _walk_nodes(item)


def apply_merge_patch(target: object, patch: object) -> object:
    """Return *target* merged with *patch*, without changing either (RFC 7396, section 2)."""
    if not is_object(patch):
        return patch
    result = dict(target) if is_object(target) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge_patch(result.get(name), value)
    return result
