"""Bodies of requests, and summaries of responses."""

import json
import re
from typing import Any

from httpx2 import AsyncClient, Response

from brickwork.problems import BOUNDS

Body = dict[str, Any]

DEFAULTS: Body = {
    "body": "",
    "status": "draft",
    "views": 0,
    "rating": None,
    "published_at": None,
    "meta": None,
}
"""The defaults of an article."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

MARKER = "qzx"
"""A part of sent values, which no problem may repeat."""

MISSING = "01890000-0000-7000-8000-000000000000"
"""The id of no row."""

_INSIDE = re.compile(
    rf"{MARKER}|select |insert |update |sql|asyncpg|postgres|constraint"
    r"|\b(uq|fk|ck|pk|ix)_|traceback|pydantic|fastapi|\.py\b",
    re.IGNORECASE,
)


def author(**fields: object) -> Body:
    return {"name": f"Ada {MARKER}", "email": f"{MARKER}@example.org", **fields}


def article(**fields: object) -> Body:
    return {"title": f"Bricks {MARKER}", "slug": f"bricks-{MARKER}", **fields}


def comment(article_id: object, **fields: object) -> Body:
    return {"article_id": article_id, "author_name": f"Bob {MARKER}", "body": "Yes.", **fields}


def text(body: Body, /, **raw: str) -> str:
    """Return *body* as JSON, with members that have the JSON text *raw*, such as `1e999`."""
    members = {name: json.dumps(value) for name, value in body.items()} | raw
    return "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"


def quoted(text: str) -> str:
    """Return *text* as a string in a header (RFC 9651)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def nested(depth: int) -> str:
    """Return *depth* nested arrays."""
    return "[" * depth + "]" * depth


async def send(
    client: AsyncClient, method: str, path: str, content: str | bytes, kind: str = JSON
) -> Response:
    """Send *content* unchanged."""
    headers = {"content-type": kind}
    return await client.request(method, path, content=content, headers=headers)


async def ask(client: AsyncClient, method: str, target: str, body: Body | None = None) -> Response:
    """Send a request for the unchanged *target*, which a client's URL would normalise."""
    return await client.request(method, "/", json=body, extensions={"target": target.encode()})


async def create_row(client: AsyncClient, path: str, body: Body) -> Body:
    """Create a row with *body*, and return it."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    row: Body = response.json()
    return row


async def create_article(client: AsyncClient, **fields: object) -> tuple[str, Body]:
    """Create an article, and return its path and the article."""
    row = await create_row(client, "/articles", article(**fields))
    return f"/articles/{row['id']}", row


async def patch_row(client: AsyncClient, path: str, body: Body) -> Body:
    """Change a row with a PATCH of *body*, and return the row."""
    response = await client.patch(path, json=body)
    assert response.status_code == 200, response.text
    row: Body = response.json()
    return row


async def get_json(client: AsyncClient, path: str) -> Any:
    """Return the JSON of a GET of *path*."""
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def create_one_of_each(client: AsyncClient) -> dict[str, Body]:
    """Create a row of each resource, which refers to the previous one; return them by path."""
    writer = await create_row(client, "/authors", author())
    written = await create_row(client, "/articles", article(author_id=writer["id"]))
    remark = await create_row(client, "/comments", comment(written["id"]))
    return {"/authors": writer, "/articles": written, "/comments": remark}


def version_tag(response: Response) -> str | None:
    """Return the version in the ETag of a response as a tag: `"3"`."""
    tag: str | None = response.headers.get("etag")
    return tag and re.sub('-[0-9a-f]{20}"$', '"', tag)


def version_values(after: Body) -> Body:
    """Return the values that every change of a row sets."""
    return {name: after[name] for name in ("updated_at", "version") if name in after}


def summary(response: Response, *, root_path: str = "") -> str:
    """Return the status and errors of a response: `422 #/slug missing, ?foo unknown_parameter`.

    A response with a status of 400 or more must be a problem as the contract defines it. Its type
    must be a page of the application behind *root_path*.
    """
    status = str(response.status_code)
    if response.status_code < 400:
        return status
    request, problem = response.request, response.json()
    message = f"{request.method} {request.url} {request.content[:200]!r} -> {response.text}"
    assert response.headers["content-type"] == "application/problem+json", message
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail", "instance"}, message
    assert problem["status"] == response.status_code, message
    assert re.fullmatch(f"{root_path}/problems/[a-z_]+", problem["type"]), message
    assert all(problem[name] for name in ("title", "detail", "instance")), message
    assert not _INSIDE.search(response.text), message
    return f"{status} {', '.join(sorted(map(_fault, problem.get('errors', []))))}".strip()


def _fault(fault: dict[str, Any]) -> str:
    match fault:
        case {"pointer": place, "code": code, "detail": str()}:
            assert place.startswith("#")
        case {"parameter": name, "code": code, "detail": str()}:
            place = f"?{name}"
        case {"header": place, "code": code, "detail": str()}:
            pass
        case _:
            raise AssertionError(fault)
    bounds = fault.keys() & {*BOUNDS}
    assert len(fault.keys() - bounds) == 3, fault
    return f"{place} {code}"


def places(answer: str) -> str:
    """Return the text of `summary` without the codes: `422 #/slug`."""
    return re.sub(r"([#?]\S*) \w+", r"\1", answer)
