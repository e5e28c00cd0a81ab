"""Hooks for differences between Schemathesis and the contract."""

import json
import re
from typing import Any, Final, TypeVar, cast
from urllib.parse import urljoin
from uuid import uuid4

import httpx2
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.failures import Failure

H = TypeVar("H")

REFERENCES: Final = {"author_id", "article_id"}
READ_ONLY: Final = {"id", "created_at", "updated_at", "version"}
HEADERS: Final = {"Idempotency-Key": "{}", "If-Match": "*", "If-None-Match": '"0"'}


def hook(function: H) -> H:
    """Register *function* with Schemathesis by its name; the original decorator has no types."""
    schemathesis.hook(function)  # type: ignore[arg-type]  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
    return function


@hook
def before_call(_: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Put existing keys, versions, ids and cursors into a positive *case*.

    No schema can list them, and the service rejects all others.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    headers = cast("dict[str, str]", case.headers or {})  # pyright: ignore[reportUnknownMemberType] — it has none
    for name in HEADERS.keys() & headers.keys():
        headers[name] = HEADERS[name].format(uuid4())
    if case.path.endswith("/batch") and case.method != "POST":
        _put_ids(case)
    if "cursor" in case.query:
        _put_cursor(case)


def _put_ids(case: Case[Any]) -> None:
    rows = httpx2.get(_url(case).removesuffix("/batch"), params={"limit": 100}).json()
    ids = [row["id"] for row in rows]
    if case.method == "DELETE":
        case.query["id"] = ids[-1:]  # other rows refer to the first
        return
    changes = [body | {"id": key} for body, key in zip(_objects(case), ids, strict=False)]
    for change in changes:
        change.pop("version", None)
    case.body = cast("Any", changes)


def _put_cursor(case: Case[Any]) -> None:
    """Put the cursor of the second page into *case*. None if there is one page."""
    for name in ("cursor", "offset"):
        case.query.pop(name, None)
    first = httpx2.get(_url(case), params={**case.query, "limit": 1})
    if following := first.links.get("next"):
        case.query["cursor"] = httpx2.URL(following["url"]).params["cursor"]


@schemathesis.check
def export_has_the_rows_of_the_list(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Request the same list as an export, and compare."""
    operation: str = case.operation.definition.raw["operationId"]
    excluded = {"limit", "offset", "cursor", "count"}  # an export has no pages
    if not operation.endswith("_list") or response.status_code != 200:
        return
    if case.query.keys() & {"offset", "cursor"}:
        return
    query = {name: value for name, value in case.query.items() if name not in excluded}
    headers = {"accept": "application/x-ndjson"}
    export = httpx2.get(_url(case), params=query, headers=headers)
    rows = response.json()
    lines = export.content.split(b"\n")[: len(rows)]
    assert [json.loads(line) for line in lines] == rows, export.text


@hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Drop failures that the contract demands and a schema cannot express; keep all others."""
    if response.status_code in {412, 414}:  # no schema has the versions, or the length of a URL
        return not failure.checks[0].startswith(("positive", "negative"))
    match failure.checks:
        case ("positive_data_acceptance",):
            errors: list[dict[str, str]] = response.json().get("errors", [])
            return not errors or not all(_unsayable(error, case) for error in errors)
        case ("negative_data_rejection",):
            return not _deletes_what_may_be_missing(case, response)
        case _:
            return True


def _unsayable(error: dict[str, str], case: Case[Any]) -> bool:  # noqa: PLR0911 — one a code
    """Return whether *error* rejects a value that conforms to the schema, rightly."""
    name = error.get("pointer", "").rpartition("/")[2]
    match error["code"]:
        case "reference_not_found":  # a schema does not know the rows
            return name in REFERENCES
        case "read_only":  # or the values of a row, which a PUT may repeat
            return name in READ_ONLY and case.method == "PUT"
        case "invalid_cursor" | "excluded":  # or the cursors, or that `offset` excludes them
            return error.get("parameter") == "cursor"
        case "int_type":  # `5.0` is an integer in JSON Schema, but not for strict types
            values = [body.get(name) for body in _objects(case)]
            return any(isinstance(value, float) and value.is_integer() for value in values)
        case "null_character":  # or the characters that free JSON may not contain
            return re.match(r"#(/\d+)?/meta/", error.get("pointer", "")) is not None
        case "repeated":  # or that a field is unique within a batch
            return name == "id" or error.get("parameter") == "id"
        case _:
            return False


def _deletes_what_may_be_missing(case: Case[Any], response: Response) -> bool:
    """Return whether `allow_missing` accepted a malformed key as a missing one."""
    components = case.meta.components if case.meta else {}
    return (
        case.method == "DELETE"
        and response.status_code == 204
        and case.query.get("allow_missing") in ("true", True)
        and [place.value for place, component in components.items() if component.mode.is_negative]
        == ["path"]
    )


def _url(case: Case[Any]) -> str:
    return urljoin(str(case.operation.base_url), case.path)


def _objects(case: Case[Any]) -> list[dict[str, object]]:
    """Return the objects of the body: the body itself, or its items."""
    body = cast("object", case.body)
    bodies = cast("list[object]", body) if isinstance(body, list) else [body]
    return [cast("dict[str, object]", item) for item in bodies if isinstance(item, dict)]
