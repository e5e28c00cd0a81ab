"""openapi.json, read as a client generator reads it."""

from typing import Any

from tests.support.bodies import Body


def resolved(document: Body) -> Body:
    """Return *document* with each reference replaced; raises `RecursionError` for a cycle."""
    found: Body = _resolved(document, document)
    return found


def _resolved(node: Any, document: Body) -> Any:
    if isinstance(node, list):
        return [_resolved(each, document) for each in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    members: Body = dict(node)  # pyright: ignore[reportUnknownArgumentType]
    if "$ref" in members:
        assert members.keys() == {"$ref"}, members
        target: Any = document
        for name in members["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _resolved(target, document)
    return {name: _resolved(each, document) for name, each in members.items()}


def operations_of(document: Body) -> Body:
    """Return the operations of *document* by their ids, with each reference replaced."""
    paths = resolved(document)["paths"].values()
    operations = [each for path in paths for each in path.values()]
    by_id = {each["operationId"]: each for each in operations}
    assert len(by_id) == len(operations)
    return by_id
