"""Where Schemathesis does not fit the contract, and why: it loads this module as its hooks."""

import json
from itertools import count
from typing import Any, Final, TypeVar, cast
from urllib.parse import urljoin
from zlib import crc32

import httpx2
import schemathesis
from schemathesis import Case, DeserializationContext, HookContext, Response
from schemathesis.core.failures import Failure

H = TypeVar("H")

REFERENCES: Final = {"author_id": "/authors", "article_id": "/articles"}
NDJSON: Final = "application/x-ndjson"
READ_ONLY: Final = ("id", "created_at", "updated_at", "version")


_keys_sent: Final = count()


def hook(function: H) -> H:
    """Have Schemathesis call *function*, by its name; its own decorator has no types."""
    schemathesis.hook(function)  # type: ignore[arg-type]  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
    return function


@hook
def before_call(_: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Have three valid requests in four name rows and versions that are there.

    Those that Schemathesis makes up are refused, so that next to nothing would be written. For the
    same reason three cursors in four are those of a page that is there.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    _condition(case)
    operation: str = case.operation.definition.raw["operationId"]
    if "cursor" in case.query and _dice(case.query, 4):
        _follow(case)
    elif operation.endswith("_list") and not _dice(case.query, 8):
        _export(case)
    bodies = _objects(case)
    if not _dice(bodies, 4):
        return
    for body in bodies:
        _refer(case, body)
    if operation.endswith(("_update_batch", "_delete_batch")):
        _name(case, bodies)


def _condition(case: Case[Any]) -> None:
    """Have keys name one request, and versions that of the row; a schema can tell neither."""
    headers = cast("dict[str, str]", case.headers or {})  # pyright: ignore[reportUnknownMemberType] — it has none
    true = {"Idempotency-Key": f"{next(_keys_sent)}", "If-Match": "*", "If-None-Match": '"0"'}
    for name in true.keys() & {*headers}:
        headers[name] = true[name]


def _refer(case: Case[Any], body: dict[str, object]) -> None:
    for name in READ_ONLY:
        body.pop(name, None)
    for name, path in REFERENCES.items():
        if body.get(name) is not None:
            known = _keys(urljoin(str(case.operation.base_url), path))
            if known and body[name] not in known:
                body[name] = known[_dice(body[name], len(known))]


def _name(case: Case[Any], bodies: list[dict[str, object]]) -> None:
    """Have a batch be of rows that are there, each once."""
    path = str(case.operation.path).removesuffix("/batch")
    known = _keys(urljoin(str(case.operation.base_url), path))
    for body, key in zip(bodies, known, strict=False):
        body["id"] = key
    if case.method == "DELETE" and known:
        case.query["id"] = known[-1:]  # the first are those that others refer to
    elif known:
        case.body = cast("Any", bodies[: len(known)])


@hook
def filter_failure(_: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Drop what the contract asks for and a schema cannot say; all else remains a failure."""
    if response.status_code in {412, 414}:  # no schema says which versions, or how long a URL is
        return not failure.checks[0].startswith(("positive", "negative"))
    match failure.checks:
        case ("positive_data_acceptance",):
            errors: list[dict[str, str]] = response.json().get("errors", [])
            return not errors or not all(_unsayable(each, case) for each in errors)
        case ("negative_data_rejection",):
            return not _deletes_what_may_be_missing(case, response)
        case ("response_schema_conformance", *_):  # the schema is that of a line
            return not _has_no_lines(response)
        case _:
            return True


def _unsayable(error: dict[str, str], case: Case[Any]) -> bool:
    """Tell whether *error* is about a value that fits the schema, and must be refused."""
    name = error.get("pointer", "").rpartition("/")[2]
    match error["code"]:
        case "reference_not_found":  # a schema does not say which rows there are
            return name in REFERENCES
        case "read_only":  # nor which value a row has, and a PUT may send back just that
            return name in READ_ONLY and case.method == "PUT"
        case "invalid_cursor" | "excluded":  # nor which cursors, nor that offset goes without
            return error.get("parameter") == "cursor"
        case "int_type":  # `5.0` is an integer to JSON schema, and none to strict types
            values = [body.get(name) for body in _objects(case)]
            return any(isinstance(each, float) and each.is_integer() for each in values)
        case "repeated":  # nor that the items of a batch differ in one field
            return name == "id" or error.get("parameter") == "id"
        case _:
            return False


@schemathesis.deserializer(NDJSON)
def line(_: DeserializationContext, response: Response) -> object:
    """Return one of the lines of an export, which must all be JSON; the schema is that of one."""
    lines: list[object] = [json.loads(each) for each in response.content.splitlines()]
    return lines[_dice(lines, len(lines))] if lines else None


def _has_no_lines(response: Response) -> bool:
    return response.headers["content-type"] == [NDJSON] and not response.content


def _follow(case: Case[Any]) -> None:
    """Put the cursor of the second page in *case*, and none if there is one page."""
    for name in ("cursor", "offset"):
        case.query.pop(name, None)
    url = urljoin(str(case.operation.base_url), case.path)
    first = httpx2.get(url, params={**case.query, "limit": 1})
    if following := first.links.get("next"):
        case.query["cursor"] = httpx2.URL(following["url"]).params["cursor"]


def _export(case: Case[Any]) -> None:
    """Ask for the whole list, as lines; Schemathesis asks for no type."""
    for name in ("limit", "offset", "cursor", "count"):
        case.query.pop(name, None)
    case.headers["Accept"] = NDJSON  # pyright: ignore[reportUnknownMemberType] — it has none


def _deletes_what_may_be_missing(case: Case[Any], response: Response) -> bool:
    """Tell whether a text that is no key was treated as the key of no row, as was wished."""
    components = case.meta.components if case.meta else {}
    return (
        case.method == "DELETE"
        and response.status_code == 204
        and case.query.get("allow_missing") in ("true", True)
        and [place.value for place, each in components.items() if each.mode.is_negative] == ["path"]
    )


def _objects(case: Case[Any]) -> list[dict[str, object]]:
    """Return the objects of the body: itself, or those in it."""
    body = cast("object", case.body)
    bodies = cast("list[object]", body) if isinstance(body, list) else [body]
    return [cast("dict[str, object]", each) for each in bodies if isinstance(each, dict)]


def _keys(url: str) -> list[object]:
    return [row["id"] for row in httpx2.get(url, params={"limit": 100}).json()]


def _dice(value: object, sides: int) -> int:
    """Throw dice that fall the same way for the same value, so that a seed makes the same run."""
    return crc32(repr(value).encode()) % sides
