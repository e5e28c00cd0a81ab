"""Read schemas that depend on the caller."""

from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from brickwork.resource.resource import Resource


def declared_read_schemas(resource: type[Resource[Any]]) -> Sequence[type[BaseModel]]:
    """Return the schemas that the annotation of `read_schema` names.

    There are none if no class overrides it. Raises `TypeError` for an annotation without schemas.
    """
    if resource.read_schema is Resource[Any].read_schema:
        return ()
    annotation = get_type_hints(resource.read_schema).get("return")
    schemas = [*dict.fromkeys(_schemas(annotation))]
    if not schemas or BaseModel in schemas:
        raise TypeError(
            f"{resource.__name__}.read_schema does not say which schemas it returns. Annotate it "
            "with them: -> type[ArticleAdminRead] | None."
        )
    return schemas


def _schemas(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the schemas in `type[A] | type[B] | None`, or in `type[A | B]`."""
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part
        elif part is not NoneType:
            yield from _schemas(part)


def caller_schema(
    resource: Resource[Any], declared: Sequence[type[BaseModel]]
) -> type[BaseModel] | None:
    """Return the schema of responses to the caller of *resource*, one of *declared*.

    None is the read schema of the router. Raises `TypeError` for another schema.
    """
    schema = resource.read_schema()
    if schema is not None and schema not in declared:
        raise TypeError(
            f"{type(resource).__name__}.read_schema returned {schema.__name__}, which its "
            "annotation does not name."
        )
    return schema
