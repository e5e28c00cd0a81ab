"""The OpenAPI document of an application."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from http.client import responses as phrases
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from brickwork.context import REQUEST_ID
from brickwork.database.database import get_db
from brickwork.http.negotiation import JSON, MERGE_PATCH, NDJSON
from brickwork.http.openapi import (
    RESPONSE_HEADERS,
    SCHEMAS,
    Tag,
    problem_response_schema,
    problem_responses,
    response_headers,
)
from brickwork.http.routing import StrictRoute
from brickwork.http.statuses import raised_statuses
from brickwork.limits import Limits, current_limits
from brickwork.query.parameters import QUERY_DEFAULT
from brickwork.schemas.strict_json import is_array, is_object
from brickwork.schemas.strictness import INT64, TEXT_PATTERN

_FASTAPI_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")
_FIRST_ERROR: Final = 400
_COMMON_STATUSES: Final = {400, 414, 422, 431, 500}
_BODY_STATUSES: Final = {413, 415}

Document = dict[str, Any]


def install_openapi(app: FastAPI, limits: Limits, keeps: Callable[[RouteContext], bool]) -> None:
    """Make *app* document its *limits* and problems in openapi.json.

    *keeps* returns whether a route answers errors with problems.
    """
    generate = app.openapi
    cache: tuple[Document, Document] | None = None

    def openapi() -> Document:
        nonlocal cache
        token = current_limits.set(limits)
        try:
            document = generate()
        finally:
            current_limits.reset(token)
        if cache is None or cache[0] is not document:
            cache = document, _complete_document(document, app, keeps)
        return cache[1]

    app.openapi = openapi  # type: ignore[method-assign]


def _complete_document(
    document: Document, app: FastAPI, keeps: Callable[[RouteContext], bool]
) -> Document:
    completed: Document = _make_exact(document, document.get("components", {}).get("schemas", {}))
    failures: Document = {}
    for (path, method), route in _operations(app).items():
        if not isinstance(route.original_route, StrictRoute):  # only these enforce the bounds
            completed["paths"][path][method] = deepcopy(document["paths"][path][method])
        if keeps(route):
            operation = completed["paths"][path][method]
            _complete_operation(operation, route)
            failures |= _extract_responses(operation["responses"])
    components: Document = completed.setdefault("components", {})
    schemas: Document = components.setdefault("schemas", {})
    schemas |= SCHEMAS
    components |= {"responses": dict(sorted(failures.items())), "headers": {**RESPONSE_HEADERS}}
    for kind, names in {"schemas": _FASTAPI_SCHEMAS, "headers": RESPONSE_HEADERS}.items():
        _remove_unused(completed, kind, names)
    for kind in ("responses", "headers"):
        if not components[kind]:
            del components[kind]
    _add_examples(schemas)
    _make_titles_unique(schemas)
    _describe_tags(completed, app)
    return completed


def _operations(app: FastAPI) -> dict[tuple[str, str], RouteContext]:
    """Return the routes of *app* by path and method. Of several, FastAPI documents the last."""
    return {
        (str(route.path_format), method.lower()): route
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }


def _make_titles_unique(schemas: Document) -> None:
    """Replace titles that several *schemas* share by their names. Generators name classes so."""
    titles = Counter(schema.get("title") for schema in schemas.values())
    for name, schema in schemas.items():
        if titles[schema.get("title")] > 1:
            schema["title"] = re.sub(r"\W", "", name)


def _describe_tags(document: Document, app: FastAPI) -> None:
    """Add the descriptions of tags that the application does not describe itself."""
    described = {tag["name"] for tag in document.get("tags", ())}
    found = {
        str(tag): tag.description
        for route in _operations(app).values()
        for tag in route.tags
        if isinstance(tag, Tag) and tag.description and tag not in described
    }
    if found:
        tags = [{"name": name, "description": text} for name, text in found.items()]
        document["tags"] = [*document.get("tags", ()), *tags]


def _complete_operation(operation: Document, route: RouteContext) -> None:
    """Add the error responses of *operation*, and document each error as a problem."""
    responses: Document = operation["responses"]
    if _HTTP_VALIDATION_ERROR in json.dumps(responses.get("422")):
        del responses["422"]
    for status in _error_statuses(operation, route):
        responses.setdefault(str(status), {"description": phrases.get(status, "Error")})
    common = response_headers(REQUEST_ID)["headers"]
    for name, response in responses.items():
        if "$ref" in response:  # another route has the same path and method
            continue
        status = int(name) if name.isdecimal() else 0
        if status >= _FIRST_ERROR and "content" not in response:
            (problem,) = problem_responses([status]).values()
            is_default = response["description"] == phrases.get(status, "Error")
            responses[name] = problem if is_default else problem | response
        elif status < _FIRST_ERROR:
            response["headers"] = common | response.get("headers", {})
    operation["responses"] = dict(sorted(responses.items()))


_HTTP_VALIDATION_ERROR: Final = json.dumps("#/components/schemas/HTTPValidationError")


def _error_statuses(operation: Document, route: RouteContext) -> set[int]:
    """Return the known error statuses of *operation*."""
    calls = [route.endpoint, *_dependency_calls(route.dependant)]
    statuses = {status for call in calls for status in raised_statuses(call)}
    if operation.get("security"):
        statuses |= {401, 403}
    if not isinstance(route.original_route, StrictRoute):
        return (
            statuses | {422}
            if "parameters" in operation or "requestBody" in operation
            else statuses
        )
    statuses |= _COMMON_STATUSES
    if route.response_model:
        statuses.add(406)
    if "requestBody" in operation:
        statuses |= _BODY_STATUSES
    if "{" in str(route.path_format):
        statuses.add(404)
    if get_db in calls:
        statuses |= {503} if route.methods == {"GET"} else {409, 503}
    return statuses


def _dependency_calls(dependant: Dependant) -> Iterator[object]:
    """Yield the dependencies of *dependant*, direct and indirect."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _dependency_calls(dependency)


def _extract_responses(responses: Document) -> Document:
    """Replace problems in *responses* by references, and return the components by name."""
    shared: Document = {}
    for status, response in responses.items():
        if status.isdecimal() and response in problem_responses([int(status)]).values():
            name, component = problem_response_schema(int(status))
            shared[name] = component
            responses[status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _remove_unused(document: Document, kind: str, names: Iterable[str]) -> None:
    """Remove the components *names* that nothing in *document* refers to."""
    components = document["components"][kind]
    for name in names:
        if f'"#/components/{kind}/{name}"' not in json.dumps(document):
            components.pop(name, None)


_FREE_JSON: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Any JSON object, nested to a depth, without null characters.",
    "propertyNames": {"pattern": TEXT_PATTERN},
    "additionalProperties": True,
}
"""Free JSON. Its content has no schema, since client generators fail on recursive schemas."""


def _make_exact(document: Any, schemas: Mapping[str, Any]) -> Any:
    """Return *document* with exact schemas, where Pydantic and FastAPI are imprecise.

    FastAPI turns the bounds of integers into floats. Free JSON is documented as validated.
    *schemas* are the components that *document* refers to.
    """
    if is_array(document):
        return [_make_exact(item, schemas) for item in document]
    if not is_object(document):
        return document
    exact = {name: _make_exact(value, schemas) for name, value in document.items()}
    if exact.get("patternProperties") == {TEXT_PATTERN: {}}:
        del exact["patternProperties"]
        exact = {**_FREE_JSON, **exact}
    if NDJSON in exact:  # a sequence is described as an array (OpenAPI 3.2)
        exact[NDJSON] = {"schema": _rows_schema(exact[JSON]["schema"], schemas)}
    if MERGE_PATCH in exact:
        exact[MERGE_PATCH] = exact[JSON]
    if exact.get("in") == "query" and is_object(schema := exact.get("schema")):
        exact |= _rewrite_parameter(schema)
    if exact.get("type") == "integer":
        for name, limit in zip(("minimum", "maximum"), INT64, strict=True):
            if isinstance(bound := exact.get(name), float):
                exact[name] = limit if bound == float(limit) else int(bound)
    return exact


def _rows_schema(page: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return the schema of the rows on a *page*: an array, an envelope, or one of several."""
    if "anyOf" in page:
        return {"anyOf": [_rows_schema(one, schemas) for one in page["anyOf"]]}
    if "$ref" in page:
        page = schemas[page["$ref"].rpartition("/")[2]]["properties"]["items"]
    return {"type": "array", "items": page["items"]}


def _add_examples(schema: object) -> None:
    """Add an example to each text in *schema* that has neither an example nor a default.

    Swagger UI would generate one from the pattern: random characters.
    """
    if is_array(schema):
        for item in schema:
            _add_examples(item)
    elif is_object(schema) and not is_array(schema.get("examples")):
        for member in schema.values():
            _add_examples(member)
        kind, pattern = schema.get("type"), schema.get("pattern")
        if kind == "string" and pattern == TEXT_PATTERN and "default" not in schema:
            shortest: Any = schema.get("minLength", 0)
            longest: Any = schema.get("maxLength")
            schema["examples"] = ["string".ljust(shortest, "g")[:longest]]


def _rewrite_parameter(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `schema` and `style` of a query parameter.

    The schema has no null, which no query can send. OpenAPI has the style and the description
    beside the schema.
    """
    others = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]
    if len(others) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        schema = rest | others[0]
    style = {name: schema[name] for name in ("style", "explode") if name in schema}
    cleaned = {k: v for k, v in schema.items() if k not in style and k != "description"}
    if (default := cleaned.pop(QUERY_DEFAULT, cleaned.pop("default", None))) not in _NO_DEFAULT:
        cleaned["default"] = default
    if is_object(items := cleaned.get("items")):
        cleaned["items"] = _add_bounds(items)
    return {"schema": _add_bounds(cleaned), **style}


_NO_DEFAULT: Final[Sequence[object]] = (None, [])


def _add_bounds(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return *schema* with the bounds that apply to every text and every integer."""
    match schema.get("type"):
        case "string" if not schema.keys() & {"enum", "const", "format"}:
            return {"pattern": TEXT_PATTERN, **schema}
        case "integer":
            return {"minimum": INT64[0], "maximum": INT64[1], **schema}
        case _:
            return {**schema}
