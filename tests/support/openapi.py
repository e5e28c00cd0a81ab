"""openapi.json with resolved references."""

from typing import Any

from tests.support.bodies import Body


def resolved(document: Body) -> Body:
    """Resolve each reference in *document*; raise `RecursionError` for a cycle."""
    found: Body = _resolved(document, document)
    return found


def _resolved(node: Any, document: Body) -> Any:
    if isinstance(node, list):
        return [_resolved(item, document) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    members: Body = dict(node)  # pyright: ignore[reportUnknownArgumentType]
    if "$ref" in members:
        assert members.keys() == {"$ref"}, members
        target: Any = document
        for name in members["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _resolved(target, document)
    return {name: _resolved(member, document) for name, member in members.items()}


def operations_of(document: Body) -> Body:
    """Return the operations of *document* by their ids, with resolved references."""
    paths = resolved(document)["paths"].values()
    operations = [operation for path in paths for operation in path.values()]
    by_id = {operation["operationId"]: operation for operation in operations}
    assert len(by_id) == len(operations)
    return by_id
