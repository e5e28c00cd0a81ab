"""Laws of related rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias

import pytest
from httpx2 import AsyncClient
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.support.bodies import Body, get_json
from tests.support.purchases import ROWS, Base, create_app
from tests.support.running import Running
from tests.support.tables import Tables
from tests.support.values import law

pytestmark = pytest.mark.anyio

Line: TypeAlias = tuple[int | None, int, int]
"""The number of a known line, or None; its product and quantity."""

Write: TypeAlias = tuple[str, Sequence[Line] | None, Sequence[int] | None]
"""The method, the lines and the tags. None: the request does not send them."""

NUMBERS: Final = count(1)

LINES: Final = st.lists(
    st.tuples(st.none() | st.integers(0, 3), st.integers(1, 8), st.integers(1, 2)),
    max_size=4,
    unique_by=lambda line: line[1],
)
TAGS: Final = st.lists(st.integers(1, 4), max_size=4, unique=True)
WRITES: Final = st.lists(
    st.tuples(st.just("PUT"), LINES, TAGS)
    | st.tuples(st.just("PATCH"), st.none() | LINES, st.none() | TAGS),
    max_size=6,
)


@dataclass
class Order:
    """An order in plain Python: its lines with their positions, and its tags."""

    lines: list[Body] = field(default_factory=list[Body])
    tags: set[int] = field(default_factory=set[int])
    version: int = 1

    def document(self, method: str, lines: Sequence[Line]) -> list[Body]:
        """Return the JSON of *lines*. A known line keeps its product, which no other line has."""
        known: dict[int, Body] = {}
        if method == "PATCH":
            wanted = {n for n, _, _ in lines if n is not None and n < len(self.lines)}
            known = {n: self.lines[n] for n in wanted}
        taken = {line["productId"] for line in known.values()}
        items: list[Body] = []
        for number, product, quantity in lines:
            item: Body = {"position": len(items), "quantity": quantity}
            if number in known:
                own = known.pop(number)
                items.append(item | {"id": own["id"], "productId": own["productId"]})
            elif product not in taken:
                items.append(item | {"productId": product})
        return items

    def accept(self, method: str, items: Sequence[Body] | None, tags: Sequence[int] | None) -> None:
        """Replace the lines and the tags that are not None. Count a version for a change."""
        # A PATCH names the lines that stay by their keys, a PUT by their values.
        names = ("id", *VALUES) if method == "PATCH" else VALUES
        before = pick(self.lines, names), self.tags
        self.lines = self.lines if items is None else [dict(item) for item in items]
        self.tags = self.tags if tags is None else {*tags}
        if (pick(self.lines, names), self.tags) != before:
            self.version += 1


VALUES: Final = ("productId", "position", "quantity")


def pick(lines: Sequence[Body], names: Sequence[str] = VALUES) -> list[Body]:
    """Return the members *names* of *lines*."""
    return [{name: line.get(name) for name in names} for line in lines]


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of the orders."""
    return await running.client(create_app, await tables.of(Base.metadata, backend, ROWS))


@settings(law, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, tags=TAGS, writes=WRITES)
async def test_random_writes_equal_a_model(
    client: AsyncClient, lines: Sequence[Line], tags: Sequence[int], writes: Sequence[Write]
) -> None:
    order, number = Order(), str(next(NUMBERS))
    path = "/orders"
    for method, sent, keys in [("POST", lines, tags), *writes]:
        items = None if sent is None else order.document(method, sent)
        body: Body = {"number": number, "lines": items, "tag_ids": keys}
        body = {name: value for name, value in body.items() if value is not None}
        response = await client.request(method, path, json=body)
        assert response.is_success, (body, response.text)
        order.accept(method, items, keys)
        row: Body = response.json()
        if method == "POST":
            path, order.version = f"/orders/{row['id']}", 1
        assert pick(row["lines"]) == pick(order.lines)
        for own, shown in zip(order.lines, row["lines"], strict=True):
            assert own.get("id") in {None, shown["id"]}
        assert (row["tag_ids"], row["version"]) == (sorted(order.tags), order.version)
        assert await get_json(client, path) == row
        order.lines = row["lines"]
