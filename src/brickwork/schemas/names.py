"""Names of fields and attributes in requests and responses."""

from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from brickwork.problems import pointer
from brickwork.request_internals import embeds_body

Path: TypeAlias = tuple[str | int, ...]
"""A place in a body: names and indexes."""

RequestPlace: TypeAlias = tuple[str, str]
"""A place in a body, `("pointer", "#/title")`, or in a query, `("parameter", "title")`."""

ClientNames: TypeAlias = Callable[[Mapper[Any], str], RequestPlace | None]
"""Returns the place of an attribute in a request. None if a client cannot write it."""


def mapped_names(_: Mapper[Any], attribute: str) -> RequestPlace:
    """Return *attribute* itself, for scripts, which use the names of the mapping."""
    return _body_place((attribute,))


def _body_place(path: Path) -> RequestPlace:
    return "pointer", pointer(*path)


def input_path(name: str, field: FieldInfo) -> Path:
    """Return the place of *field* in a body, as in openapi.json."""
    match field.validation_alias or field.alias or name:
        case AliasChoices(choices=[first, *_]) | first:
            return tuple(first.path) if isinstance(first, AliasPath) else (str(first),)


def field_pointer(name: str, schema: type[BaseModel], *before: int) -> str:
    """Return the pointer to the field *name* of *schema*, behind the indexes *before* it."""
    field = schema.model_fields.get(name)
    return pointer(*before, *(input_path(name, field) if field else (name,)))


def output_name(name: str, field: FieldInfo) -> str:
    """Return the name of *field* in a response."""
    return field.serialization_alias or name


def input_paths(*schemas: type[BaseModel]) -> Mapping[str, Path]:
    """Return the places of the fields of *schemas* in a body, by their names."""
    return {
        name: input_path(name, field)
        for schema in schemas
        for name, field in schema.model_fields.items()
    }


def output_names(schema: type[BaseModel]) -> Mapping[str, str]:
    """Return the names of the fields of *schema* in a response, by their own names."""
    return {name: output_name(name, field) for name, field in schema.model_fields.items()}


def output_fields(schema: type[BaseModel]) -> Mapping[str, str]:
    """Return the fields of *schema* that a response shows, by their names in it."""
    fields = {k: v for k, v in schema.model_fields.items() if not v.exclude}
    computed = schema.model_computed_fields
    return {output_name(name, field): name for name, field in fields.items()} | {
        field.alias or name: name for name, field in computed.items()
    }


def row_names(model: type[object], *schemas: type[BaseModel]) -> ClientNames:
    """Return the client names of the attributes of *model* in a body of *schemas*."""

    def name(mapper: Mapper[Any], attribute: str) -> RequestPlace | None:
        path = input_paths(*schemas).get(attribute) if mapper.isa(inspect(model)) else None
        return _body_place(path) if path else None

    return name


def request_names(scope: Mapping[str, Any]) -> ClientNames:
    """Return the client names of attributes in the request of *scope*, from its parameters."""
    if (route := scope.get("route")) is None:
        return mapped_names
    if own := getattr(scope.get("endpoint"), "names", None):
        names: ClientNames = own
        return names
    places = dict(_query_places(route.dependant)) if hasattr(route, "dependant") else {}
    body = getattr(route, "body_field", None)
    if schema := _single_schema(body.field_info.annotation) if body else None:
        paths = _embedded_paths(schema) if embeds_body(route) else input_paths(schema)
        places |= {name: _body_place(path) for name, path in paths.items()}
    return lambda _, attribute: places.get(attribute)


def _query_places(dependant: Any) -> Iterator[tuple[str, RequestPlace]]:
    """Yield the query parameters of *dependant*: the Python name and the place."""
    for field in dependant.query_params:
        if schema := _single_schema(field.field_info.annotation):
            for name, path in input_paths(schema).items():
                yield name, ("parameter", str(path[0]))
        else:
            yield field.name, ("parameter", field.alias)
    for dependency in dependant.dependencies:
        yield from _query_places(dependency)


def _embedded_paths(parts: type[BaseModel]) -> Mapping[str, Path]:
    """Return the places in a body of several *parts*, by their names."""
    paths: dict[str, Path] = {}
    for name, field in parts.model_fields.items():
        start = input_path(name, field)
        paths |= {name: start}
        if schema := _single_schema(field.annotation):
            paths |= {name: (*start, *path) for name, path in input_paths(schema).items()}
    return paths


def _single_schema(annotation: Any) -> type[BaseModel] | None:
    """Return the schema in an *annotation* such as `ArticleCreate | None`. None without one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Annotated, Union, UnionType}:
        return next(
            (found for part in get_args(annotation) if (found := _single_schema(part))), None
        )
    return None
