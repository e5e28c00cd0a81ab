"""Random values of each type, written and read."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from httpx2 import AsyncClient
from hypothesis import given, settings, strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic_core import to_jsonable_python

from tests.support.calls import calling
from tests.support.databases import BACKENDS, Databases
from tests.support.things import Colour, create_app
from tests.support.values import json_of

Body = dict[str, Any]


@dataclass(frozen=True)
class Shelf:
    """A synchronous client of the things in one database."""

    client: AsyncClient
    portal: BlockingPortal

    def request(self, method: str, path: str, content: bytes = b"") -> bytes:
        """Send a request that must succeed, and return the body of the response."""
        headers = {"content-type": "application/json"} if content else {}

        async def send() -> bytes:
            response = await self.client.request(method, path, content=content, headers=headers)
            assert response.is_success, (content, response.text)
            return response.content

        return self.portal.call(send)


@pytest.fixture(scope="module")
def shelves(templates: Databases) -> Iterator[list[Shelf]]:
    """Return a client of the things on each database; the servers run in another thread."""
    databases = templates.another()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        found: list[Shelf] = []
        for backend in BACKENDS:
            app = create_app(databases.empty(backend))
            running = portal.wrap_async_context_manager(calling(app))
            found.append(Shelf(stack.enter_context(running), portal))
        yield found
    databases.drop()


# --- Values that are accepted ------------------------------------------------------------------

_CHARACTERS: Final = st.characters(codec="utf-8", exclude_characters="\0")
_FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    (0.1, 5e-324, 1.7976931348623157e308, 2.0**53 + 1, 1e22, 1e-7, 123456789.12345679)
)


def texts(size: int) -> SearchStrategy[str]:
    """Return texts of at most *size* characters, unusual ones among them."""
    strange = (
        "\ufeff",
        "\u2028",
        "e\u0301",
        "\u202e",
        "👩\u200d👧",
        "\uffff",
        "'\"\\%_",
        "\r\n\x7f",
        "\x85",
    )
    return st.text(_CHARACTERS, max_size=size) | st.sampled_from(strange)


def integers(bits: int) -> SearchStrategy[int]:
    """Return the integers of a column of *bits* bits, its bounds among them."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.integers(low, high) | st.sampled_from((low, high))


def _instant(moment: datetime, minutes: int) -> str:
    return moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()


INSTANTS: Final = st.builds(
    _instant,
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-1439, 1439),
) | st.sampled_from(
    ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.5Z")
)
DOCUMENTS: Final = json_of(
    st.none() | st.booleans() | st.integers() | st.just(10**300) | _FLOATS | texts(8), texts(8)
)
FINITE: Final = INSTANTS.filter(
    lambda text: text not in {"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"}
)
"""Instants without the two that asyncpg takes for infinity in a plain column."""

PLAIN: Final = st.recursive(
    st.none() | st.booleans() | integers(64) | texts(8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(8), inner, max_size=1),
    max_leaves=6,
)
"""Documents that JSONB writes as they were sent: one member an object, and no floats."""

PERIODS: Final = st.timedeltas(timedelta(-719162), timedelta(2932897) - timedelta.resolution)
URLS: Final = ("https://example.com/", "https://a.example/b?c=d#e", "http://xn--bcher-kva.example/")


def decimals(digits: int, places: int) -> SearchStrategy[str]:
    """Return decimal numbers of at most *digits* digits, with *places*."""
    largest = 10**digits - 1
    units = st.integers(-largest, largest) | st.sampled_from((largest, -largest, 1, -1, 0))
    return units.map(lambda unit: f"{Decimal(unit).scaleb(-places):f}")


FIELDS: Final[Mapping[str, SearchStrategy[Any]]] = {
    "string": texts(20),
    "text": st.none() | texts(200),
    "small": integers(16),
    "integer": integers(32),
    "big": st.none() | integers(64),
    "number": _FLOATS,
    "double": st.none() | _FLOATS,
    "flag": st.none() | st.booleans(),
    "key": st.none() | st.uuids().map(str),
    "instant": st.none() | INSTANTS,
    "day": st.none() | st.dates().map(str),
    "hour": st.none() | st.times().map(str),
    "colour": st.none() | st.sampled_from([colour.value for colour in Colour]),
    "size": st.sampled_from(("S", "M", "L")),
    "document": st.none() | st.dictionaries(texts(8), DOCUMENTS, max_size=4),
    "items": st.none() | st.lists(DOCUMENTS, max_size=4),
    "plain_document": st.none() | st.lists(DOCUMENTS, max_size=4),
    "binary_document": st.none() | st.lists(PLAIN, max_size=4),
    "money": st.none() | decimals(18, 4),
    "weight": st.none() | decimals(15, 3),
    "period": st.none() | PERIODS.map(to_jsonable_python),
    "content": st.none() | st.binary(max_size=40).map(lambda content: b64encode(content).decode()),
    "naive": st.none() | FINITE,
    "zoned": st.none() | FINITE,
    "website": st.none() | st.sampled_from(URLS),
    "email": st.none() | st.sampled_from(("ada@example.com", "é@example.com")),
    "address": st.none() | st.ip_addresses(v=4).map(str),
    "shade": st.none() | st.sampled_from([colour.value for colour in Colour]),
}
TIMES: Final = ("instant", "naive", "zoned")
THINGS: Final = st.fixed_dictionaries(dict(FIELDS))


def shown(thing: Body) -> Body:
    """Return *thing* as a response shows it: timestamps in UTC, and no negative zero."""
    moments = {
        name: thing[name] and datetime.fromisoformat(thing[name]).astimezone(UTC) for name in TIMES
    }
    double = thing["double"]
    floats = {"number": thing["number"] + 0.0, "double": double if double is None else double + 0.0}
    return {**thing, **floats, **moments}


def read(content: bytes) -> Body:
    """Return the values of a response, without those that the server generated."""
    row: Body = json.loads(content)
    moments = {name: row[name] and datetime.fromisoformat(row[name]) for name in TIMES}
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"
    assert all(row[name] is None or re.fullmatch(form, row[name]) for name in TIMES)
    hour = row["hour"] and str(time.fromisoformat(row["hour"]))
    return {name: row[name] for name in FIELDS} | {**moments, "hour": hour}


def exact(values: Body) -> dict[str, str]:
    """Return *values* as JSON, so that `1`, `1.0` and `true` differ, and the order of keys too."""
    return {name: json.dumps(value, default=str) for name, value in values.items()}


def without_server_values(content: bytes) -> bytes:
    names = rb'"(id|created_at|updated_at)":"[^"]*"'
    return re.sub(rb"^{%b,|,%b,%b}$" % (names, names, names), b"", content)


Law = Callable[..., None]


def law(examples: int) -> Callable[[Law], Law]:
    """Return settings with the same examples in each run, so that a failure is reproducible."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


@law(100)
@given(thing=THINGS)
def test_accepted_values_are_returned_byte_for_byte(shelves: list[Shelf], thing: Body) -> None:
    rows: list[bytes] = []
    for shelf in shelves:
        row = shelf.request("POST", "/things", encoded(thing))
        path = f"/things/{json.loads(row)['id']}"
        assert exact(read(row)) == exact(shown(thing))
        assert shelf.request("GET", path) == row
        assert shelf.request("GET", "/things") == b"[" + row + b"]"
        shelf.request("DELETE", path)
        rows.append(without_server_values(row))
    assert rows[0] == rows[1]


@law(60)
@given(thing=THINGS)
def test_a_put_of_the_same_row_changes_nothing(shelves: list[Shelf], thing: Body) -> None:
    for shelf in shelves:
        row = shelf.request("POST", "/things", encoded(thing))
        path = f"/things/{json.loads(row)['id']}"
        assert shelf.request("PUT", path, row) == row
        assert shelf.request("PUT", path, encoded(thing)) == row
        assert shelf.request("PATCH", path, encoded({})) == row
        assert shelf.request("GET", path) == row
        shelf.request("DELETE", path)


@law(20)
@given(thing=THINGS)
def test_a_patch_of_the_same_value_changes_nothing(shelves: list[Shelf], thing: Body) -> None:
    merged = {name: value for name, value in thing.items() if name != "document"}
    for shelf in shelves:
        row = shelf.request("POST", "/things", encoded(thing))
        path = f"/things/{json.loads(row)['id']}"
        for name in merged:
            assert shelf.request("PATCH", path, encoded({name: json.loads(row)[name]})) == row, name
        shelf.request("DELETE", path)


@law(60)
@given(thing=THINGS, name=st.sampled_from([*FIELDS]), data=st.data())
def test_a_patch_changes_one_field_only(
    shelves: list[Shelf], thing: Body, name: str, data: st.DataObject
) -> None:
    value = data.draw(FIELDS[name]) if name != "document" else None
    rows: list[bytes] = []
    for shelf in shelves:
        path = f"/things/{json.loads(shelf.request('POST', '/things', encoded(thing)))['id']}"
        row = shelf.request("PATCH", path, encoded({name: value}))
        assert exact(read(row)) == exact(shown({**thing, name: value}))
        assert shelf.request("GET", path) == row
        shelf.request("DELETE", path)
        rows.append(without_server_values(row))
    assert rows[0] == rows[1]


def test_every_field_has_a_strategy(shelves: list[Shelf]) -> None:
    document = json.loads(shelves[0].request("GET", "/openapi.json"))
    properties = document["components"]["schemas"]["ThingCreate"]["properties"]
    assert properties.keys() == FIELDS.keys()
