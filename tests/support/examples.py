"""Examples for openapi.json that always succeed."""

from typing import Final

from httpx2 import Client

from tests.support.bodies import Body, article, author, comment

PARAMETERS: Final[Body] = {"limit": 20, "If-Match": "*", "If-None-Match": '"0"'}


def add_examples(document: Body, client: Client) -> None:
    """Add an example to each operation of *document*, with its own row behind *client*.

    No two examples share a row or a unique value, so that each succeeds once, in any order.
    """
    writer = new_key(client, "/authors", author(email="writer@example.org"))
    text = new_key(client, "/articles", article(slug="text", author_id=writer))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _, resource, *rest = path.split("/")
            name = operation["operationId"].replace("_", "-")
            old, new = (
                {
                    "authors": author(email=f"{slug}@example.org"),
                    "articles": article(slug=slug, author_id=writer, meta={"a": [1]}),
                    "comments": comment(text, body=slug),
                }[resource]
                for slug in (f"old-{name}", f"new-{name}")
            )
            key = new_key(client, f"/{resource}", old)
            if rest == ["{id}", "restore"]:
                assert client.delete(f"/articles/{key}").status_code == 204
            in_batch = rest == ["batch"]
            _add_parameters(operation, [key] if in_batch else key)
            body = ({"id": key} if in_batch else {}) if method == "patch" else new
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["example"] = [body] if in_batch else body


def new_key(client: Client, path: str, body: Body) -> str:
    """Create a row with *body*, and return its id."""
    response = client.post(path, json=body)
    assert response.status_code == 201, response.text
    key: str = response.json()["id"]
    return key


def _add_parameters(operation: Body, key: object) -> None:
    values = PARAMETERS | {"id": key, "Idempotency-Key": operation["operationId"]}
    for parameter in operation["parameters"]:
        if parameter["name"] in values:
            parameter["example"] = values[parameter["name"]]
