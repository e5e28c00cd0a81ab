"""Round trips of values of each type."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import Body, create_row, get_json, patch_row
from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases
from tests.support.things import create_app

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=BACKENDS)
async def application(
    request: pytest.FixtureRequest, templates: Databases
) -> AsyncIterator[AsyncClient]:
    """Yield a client of things, which have a column of each type."""
    databases = templates.another()
    async with calling(create_app(databases.empty(request.param))) as client:
        yield client
    databases.drop()


@pytest.fixture
async def things(application: AsyncClient) -> AsyncIterator[AsyncClient]:
    """Yield the client, and delete its things after each test."""
    yield application
    for row in await get_json(application, "/things"):
        await application.delete(f"/things/{row['id']}")


THING: Final[Body] = {
    "string": "",
    "text": None,
    "small": 0,
    "integer": 0,
    "big": None,
    "number": 0.5,
    "double": None,
    "flag": None,
    "key": None,
    "instant": None,
    "day": None,
    "hour": None,
    "colour": None,
    "size": "S",
    "document": None,
    "items": None,
    "plain_document": None,
    "binary_document": None,
    "money": None,
    "weight": None,
    "period": None,
    "content": None,
    "naive": None,
    "zoned": None,
    "website": None,
    "email": None,
    "address": None,
    "shade": None,
}

SAME: Final[list[tuple[str, Any]]] = [
    ("string", "é😀"),
    ("string", "😀" * 20),
    ("string", "\ufeff"),
    ("string", "\u2028"),
    ("string", "e\u0301"),
    ("string", "\u202e"),
    ("string", "👩\u200d👧"),
    ("string", "\uffff"),
    ("string", "'\"\\%_"),
    ("string", "\r\n\x7f\x85"),
    ("string", " a "),
    ("text", ""),
    ("text", "é" * 1_000),
    ("small", -(2**15)),
    ("small", 2**15 - 1),
    ("integer", -(2**31)),
    ("integer", 2**31 - 1),
    ("big", -(2**63)),
    ("big", 2**63 - 1),
    ("number", 0.1),
    ("number", 5e-324),
    ("number", 1.7976931348623157e308),
    ("double", 0.1 + 0.2),
    ("double", 123456789.12345679),
    ("double", -1e-7),
    ("flag", True),
    ("flag", False),
    ("key", "00000000-0000-0000-0000-000000000000"),
    ("key", "01890000-0000-7000-8000-00000000abcd"),
    ("instant", "0001-01-01T00:00:00Z"),
    ("instant", "1969-12-31T23:59:59.999999Z"),
    ("instant", "9999-12-31T23:59:59.999999Z"),
    ("day", "0001-01-01"),
    ("day", "9999-12-31"),
    ("hour", "00:00:00"),
    ("hour", "23:59:59.999999"),
    ("colour", "red"),
    ("colour", "vert é"),
    ("size", "L"),
    ("document", {}),
    ("document", {"b": 1, "a": [1, 1.0, True, None, "1"]}),
    ("document", {"": {"": {}}, "a/b~c": "\u2028"}),
    ("document", {"a": 10**300, "b": 1e300, "c": 0.1}),
    ("items", []),
    ("items", [[], {}, None, False, 0, ""]),
    ("plain_document", {"b": 1, "a": [1, 1.5, True, None, "1"]}),
    ("plain_document", []),
    ("binary_document", {"a": [1, 1.5, True, None, "1"]}),
    ("money", "0.0000"),
    ("money", "99999999999999.9999"),
    ("money", "-99999999999999.9999"),
    ("money", "-0.0001"),
    ("weight", "999999999999.999"),
    ("weight", "-0.001"),
    ("period", "PT0S"),
    ("period", "P1DT2H3M4.000005S"),
    ("period", "-PT0.000001S"),
    ("period", "-P1970Y112D"),
    ("period", "P8035Y121DT23H59M59.999999S"),
    ("content", ""),
    ("content", "AAEC/f7/"),
    ("naive", "0001-01-01T00:00:00Z"),
    ("naive", "9999-12-31T23:59:59.999999Z"),
    ("zoned", "1969-12-31T23:59:59.999999Z"),
    ("zoned", "2026-03-29T01:30:00Z"),
    ("website", "https://example.com/é".replace("é", "%C3%A9")),
    ("email", "é.o'neil@example.com"),
    ("address", "255.255.255.255"),
    ("shade", "vert é"),
]
OTHER: Final[list[tuple[str, Any, Any]]] = [
    ("number", 1, 1.0),
    ("number", -0.0, 0.0),
    ("double", 2**53 + 1, 9007199254740992.0),
    ("key", "01890000-0000-7000-8000-00000000ABCD", "01890000-0000-7000-8000-00000000abcd"),
    ("instant", "2026-02-03T04:05:06.5+05:30", "2026-02-02T22:35:06.500000Z"),
    ("instant", "2026-02-03T04:05:06-23:59", "2026-02-04T04:04:06Z"),
    ("hour", "09:30", "09:30:00"),
    ("money", 12, "12.0000"),
    ("money", 0.1, "0.1000"),
    ("money", -0.0, "0.0000"),
    ("money", "1e3", "1000.0000"),
    ("weight", 1.5, "1.500"),
    ("period", "P1W", "P7D"),
    ("period", "PT36H", "P1DT12H"),
    ("content", "_-8=", "/+8="),
    ("naive", "2026-02-03T04:05:06.5+05:30", "2026-02-02T22:35:06.500000Z"),
    ("zoned", "2026-02-03T04:05:06-23:59", "2026-02-04T04:04:06Z"),
    ("website", "https://example.com", "https://example.com/"),
    ("email", "Ada@EXAMPLE.com", "Ada@example.com"),
]
VALUES: Final[list[tuple[str, Any, Any]]] = [
    *((field, value, value) for field, value in SAME),
    *OTHER,
]

every_value = pytest.mark.parametrize(("field", "sent", "expected"), VALUES)


def exact(value: object) -> str:
    """Return *value* as JSON, in which `1`, `1.0` and `true` differ."""
    return json.dumps(value)


@every_value
async def test_a_value_is_returned_as_accepted(
    things: AsyncClient, field: str, sent: Any, expected: object
) -> None:
    row = await create_row(things, "/things", THING | {field: sent})
    path = f"/things/{row['id']}"
    assert exact(row[field]) == exact(expected)
    assert exact(await get_json(things, path)) == exact(row)
    assert exact(await get_json(things, "/things")) == exact([row])


@every_value
async def test_a_patched_value_is_returned_as_accepted(
    things: AsyncClient, field: str, sent: Any, expected: object
) -> None:
    row = await create_row(things, "/things", THING)
    path = f"/things/{row['id']}"
    after = await patch_row(things, path, {field: sent})
    assert exact(after) == exact({**row, field: expected, "updated_at": after["updated_at"]})
    assert exact(await get_json(things, path)) == exact(after)


@every_value
async def test_a_value_sent_again_changes_nothing(
    things: AsyncClient, field: str, sent: Any, expected: object
) -> None:
    row = await create_row(things, "/things", THING | {field: sent})
    path = f"/things/{row['id']}"
    assert exact(await patch_row(things, path, {field: sent})) == exact(row)
    assert exact(await patch_row(things, path, {field: expected})) == exact(row)
    assert exact((await things.put(path, json=row)).json()) == exact(row)


async def test_every_field_is_covered_by_a_value(things: AsyncClient) -> None:
    document = await get_json(things, "/openapi.json")
    properties = document["components"]["schemas"]["ThingCreate"]["properties"]
    assert properties.keys() == THING.keys() == {field for field, _, _ in VALUES}
