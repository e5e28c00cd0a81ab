"""CRUD endpoints of a resource."""

import re
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeVar, cast

from fastapi import APIRouter
from fastapi.datastructures import Default
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy import inspect
from typing_extensions import TypeForm, override

from brickwork.http.openapi import (
    Tag,
    header_parameters,
    merge_patch_body,
    problem_responses,
    response_headers,
)
from brickwork.http.routing import Router, StrictRoute, require_installed
from brickwork.models.companions import IdempotencyKey, ImportPosition, register_companion_tables
from brickwork.models.model import adapt_to_responses
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.operations import batch, collection, history, naming, rows
from brickwork.operations.descriptions import class_docstring, describe
from brickwork.operations.endpoint import CrudEndpoint, Variant
from brickwork.operations.naming import OperationName
from brickwork.operations.operation import Operation
from brickwork.operations.responses import (
    extra_responses,
    failure_statuses,
    request_headers,
    response_model,
    success_headers,
    union_of,
)
from brickwork.query.embedding import shown_attributes
from brickwork.query.keys import BATCH
from brickwork.query.list_query import (
    ListQuery,
    with_deleted_parameter,
    with_field_names,
    with_sort_names,
)
from brickwork.query.polymorphism import embedding_by_class
from brickwork.resource.declarations import Declaration
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.read_schemas import declared_read_schemas
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas, row_schemas
from brickwork.schemas.derived import (
    batch_update_schema,
    fit_to_model,
    replace_schema,
)
from brickwork.schemas.schema import NoFields, Schema
from brickwork.tracking.audit import Audited

M = TypeVar("M")


class _OperationSpec(NamedTuple):
    """The class of an operation, its method, path and statuses.

    `{row}` is the path of a row. Every `StrictRoute` has further errors, which the OpenAPI document
    adds.
    """

    operation: type[Operation[Any, Any, Any]]
    method: str
    path: str
    statuses: tuple[int, ...]


_OPERATIONS: Final[dict[OperationName, _OperationSpec]] = {
    "list": _OperationSpec(collection.List, "GET", "", (200, 503)),
    "create": _OperationSpec(collection.Create, "POST", "", (201, 409, 503)),
    "create_batch": _OperationSpec(batch.CreateBatch, "POST", f"/{BATCH}", (201, 409, 503)),
    "update_batch": _OperationSpec(batch.UpdateBatch, "PATCH", f"/{BATCH}", (200, 404, 409, 503)),
    "delete_batch": _OperationSpec(batch.DeleteBatch, "DELETE", f"/{BATCH}", (204, 404, 409, 503)),
    "get": _OperationSpec(rows.Get, "GET", "{row}", (200, 404, 503)),
    "update": _OperationSpec(rows.Update, "PATCH", "{row}", (200, 404, 409, 503)),
    "replace": _OperationSpec(rows.Replace, "PUT", "{row}", (200, 404, 409, 503)),
    "delete": _OperationSpec(rows.Delete, "DELETE", "{row}", (204, 404, 409, 503)),
    "restore": _OperationSpec(rows.Restore, "POST", "{row}/restore", (200, 404, 409, 503)),
    "history": _OperationSpec(history.History, "GET", "{row}/history", (200, 404, 503)),
}


def crud_router(  # noqa: PLR0913 — these seven, and no eighth
    prefix: str,
    resource: type[Resource[M]],
    *,
    read: TypeForm[BaseModel],
    create: type[Schema] | None = None,
    update: type[Schema] | None = None,
    query: type[ListQuery[M]] | None = None,
    omit: Collection[OperationName] = (),
) -> APIRouter:
    """Return a router with the CRUD endpoints of *resource*.

    To change an operation, override a method of the resource or add an endpoint to the router.

    Args:
        prefix: The path of the collection, `/articles`.
        resource: The resource that reads and writes the rows.
        read: The schema of responses. For a model with mapped subclasses, it may be a union of
            schemas, `DogRead | CatRead`: a row has the schema of its class.
        create: The schema of the bodies of POST and PUT. None: the resource has neither.
        update: The schema of the body of PATCH; declare it with `partial=True`. None: the resource
            has no PATCH. Without *create* and *update*, it is read-only, and has no DELETE.
        query: The query parameters of the list; `ListQuery` by default.
        omit: The operations to leave out.

    Raises:
        TypeError: A schema does not fit the model.

    """
    _check_omit(omit)
    left_out = {*omit, *_without_schemas(create, update)}
    operations: list[OperationName] = [name for name in _OPERATIONS if name not in left_out]
    declared = Declaration(
        resource=resource,
        read=cast("Any", read),
        create=create or NoFields,
        update=update or NoFields,
        query=query or ListQuery,
        operations=operations,
    )
    declared.check()
    model, shown = declared.model, declared.shown
    others = [row_schemas(model, schema) for schema in declared_read_schemas(resource)]
    definition = ResourceDefinition(
        resource=resource,
        model=model,
        shown=shown,
        create=declared.create_schema,
        update=declared.update_schema,
        replace=replace_schema(declared.create_schema, shown.fields, model),
        change=fit_to_model(
            batch_update_schema(declared.update, shown.fields, model), model, patches=True
        ),
        query=_complete_query(model, declared.query, [shown, *others]),
        embedded=embedding_by_class(model, shown.by_class),
    )
    _check_prefix(prefix, definition)
    definition = replace(
        definition,
        variants=[
            replace(definition, shown=other, embedded=embedding_by_class(model, other.by_class))
            for other in others
        ],
    )
    register_companion_tables(inspect(model), IdempotencyKey, ImportPosition)
    adapt_to_responses(model)
    for related in definition.written_models:
        adapt_to_responses(related)
    router = _CRUDRouter(
        prefix=prefix,
        tags=[Tag(naming.tag(prefix, model), class_docstring(resource))],
        route_class=StrictRoute,
        lifespan=_start,
    )
    for name in operations:
        if _is_available(model, name):
            _add_operation(router, name, definition)
    router.key_length = len(definition.path_names)
    router.generated = [route for route in router.routes if isinstance(route, StrictRoute)]
    return router


def _without_schemas(create: object, update: object) -> Collection[OperationName]:
    """Return the operations that a resource without one of the schemas lacks."""
    if create is None and update is None:
        return _OPERATIONS.keys() - {"list", "get", "history"}
    if create is None:
        return {"create", "create_batch", "replace"}
    return {"update", "update_batch"} if update is None else ()


def _check_omit(omit: Collection[OperationName]) -> None:
    """Raise `TypeError` unless *omit* is a set of operations."""
    wrong = [omit] if isinstance(omit, str) else sorted({*omit} - _OPERATIONS.keys())
    if wrong:
        names = ", ".join(map(repr, wrong))
        raise TypeError(
            f"omit must be a set of operations, not {names}. They are {', '.join(_OPERATIONS)}."
        )


def _check_prefix(prefix: str, definition: ResourceDefinition[Any]) -> None:
    """Raise `TypeError` if a parameter of *prefix* has the name of a key column."""
    taken = {*re.findall(r"\{(\w+)", prefix)}.intersection(definition.path_names)
    if taken:
        name = min(taken)
        raise TypeError(
            f"The paths of {definition.model.__name__} have two parameters {{{name}}}: one of the "
            "prefix, and one of the key. Give the parameter of the prefix another name."
        )


@asynccontextmanager
async def _start(app: object) -> AsyncGenerator[None]:
    """Raise `TypeError` if the application starts without `install`."""
    require_installed(app)
    yield


class _CRUDRouter(Router):
    """The routes of a resource. Fixed paths that are added later are matched first."""

    generated: Sequence[StrictRoute] = ()
    key_length: int = 1
    """The number of segments of a key."""

    @override
    def add_api_route(self, *args: Any, **options: Any) -> None:
        super().add_api_route(*args, **options)
        self._give_way()

    @override
    def add_route(self, *args: Any, **options: Any) -> None:
        super().add_route(*args, **options)
        self._give_way()

    @override
    def include_router(self, *args: Any, **options: Any) -> None:
        super().include_router(*args, **options)
        self._give_way()

    @override
    def mount(self, *args: Any, **options: Any) -> None:
        super().mount(*args, **options)
        self._give_way()

    def _give_way(self) -> None:
        """Move the last route before the item routes, if it has text in place of a key.

        FastAPI takes the first route that matches, and `/{id}` matches `/counts`.
        """
        paths = [route.path or "" for route in iter_route_contexts([self.routes[-1]])]
        items = [route for route in self.generated if self._is_item(route.path)]
        positions = [
            i for i, route in enumerate(self.routes) if any(route is item for item in items)
        ]
        if positions and paths and all(any(self._key_texts(path)) for path in paths):
            self.routes.insert(positions[0], self.routes.pop())

    def _is_item(self, path: str) -> bool:
        """Return whether *path* begins with the parameters of a key."""
        texts = self._key_texts(path)
        return bool(texts) and not any(texts)

    def _key_texts(self, path: str) -> Sequence[str]:
        """Return the texts of the first segments of *path*, which are empty for parameters.

        These are the segments after the prefix, as many as a key has.
        """
        segments = path.removeprefix(self.prefix).strip("/").split("/")[: self.key_length]
        return [re.sub(r"\{[^}]*\}", "", segment) for segment in segments if segment]


def _is_available(model: type[object], name: OperationName) -> bool:
    """Return whether *model* supports the operation *name*."""
    conditional = {"restore": is_soft_deletable(model), "history": issubclass(model, Audited)}
    return conditional.get(name, True)


def _complete_query(
    model: type[M], query: type[ListQuery[M]], schemas: Sequence[RowSchemas]
) -> type[ListQuery[M]]:
    """Return *query* with the `deleted` parameter of *model* and the field names of *schemas*.

    The first of *schemas* has the names of the sort fields.
    """
    named = with_sort_names(
        with_deleted_parameter(query) if is_soft_deletable(model) else query,
        shown_attributes(model, schemas[0].fields),
    )
    names = [name for schema in schemas for name in schema.field_names]
    return with_field_names(named, dict.fromkeys(names))


def _add_operation(
    router: APIRouter, name: OperationName, definition: ResourceDefinition[Any]
) -> None:
    spec = _OPERATIONS[name]
    path = spec.path.replace("{row}", definition.row_path)
    success, *failures = spec.statuses
    failures += failure_statuses(definition, name)
    summary, description = describe(name, router.prefix, definition)
    variants = [
        Variant(spec.operation(variant), response_model(name, variant))
        for variant in (definition, *definition.variants)
        if definition.variants and spec.method != "DELETE"
    ]
    models = [response_model(name, one) for one in (definition, *definition.variants)]
    combined = union_of(models)
    responses = extra_responses(definition, name)
    responses[success] = responses.get(success, {}) | response_headers(
        *success_headers(definition, name)
    )
    router.add_api_route(
        path,
        CrudEndpoint(spec.operation(definition), variants),
        methods=[spec.method],
        status_code=success,
        response_model=None if spec.method == "DELETE" else combined,
        # An application may have a function of its own, which comes first.
        generate_unique_id_function=Default(naming.operation_id(name, path, definition.model)),
        name=naming.operation_name(name, router.prefix, definition.model),
        summary=summary,
        description=description,
        responses=problem_responses(failures) | responses,
        openapi_extra=header_parameters(request_headers(definition, name))
        | (merge_patch_body() if name == "update" else {}),
    )
