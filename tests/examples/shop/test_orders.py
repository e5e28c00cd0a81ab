"""The shop: orders."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from httpx2 import AsyncClient

from tests.support.bodies import summary
from tests.support.shop_calls import add, add_product, names, order, stock

pytestmark = pytest.mark.anyio


async def test_order_keeps_the_sequence_of_lines_and_adds_up(client: AsyncClient) -> None:
    brick = await add_product(client, "brick", price="0.10")
    sand = await add_product(client, "sand", price="3.33")
    row = await add(client, "/orders", order((sand, 2), (brick, 3)))
    assert (row["total"], row["currency"], row["version"]) == ("6.96", "EUR", 1)
    assert row["lines"] == [
        {"product_id": sand["id"], "quantity": 2, "price": "3.33"},
        {"product_id": brick["id"], "quantity": 3, "price": "0.10"},
    ]
    assert (await client.get(f"/orders/{row['id']}")).json() == row
    assert (await client.get("/orders")).json() == [row]
    assert (await stock(client, sand), await stock(client, brick)) == (3, 2)
    assert await names(client, "/orders?lines__product__sku=sand", "id") == [row["id"]]
    assert await names(client, "/orders?total__gt=6.96", "id") == []


async def test_order_can_be_replaced_changed_and_deleted(client: AsyncClient) -> None:
    brick, sand = [await add_product(client, sku) for sku in ("brick", "sand")]
    row = await add(client, "/orders", order((brick, 5)))
    path = f"/orders/{row['id']}"
    await client.patch(f"/products/{brick['id']}", json={"price": "30"})

    put = await client.put(path, json=order((brick, 5), (sand, 1)))
    assert (summary(put), put.json()["total"]) == ("200", "120.00")  # the old price of the brick
    assert (await stock(client, brick), await stock(client, sand)) == (0, 4)
    patch = await client.patch(path, json={"lines": [{"product_id": sand["id"], "quantity": 5}]})
    assert (summary(patch), patch.json()["total"], patch.json()["version"]) == ("200", "100.00", 3)
    assert (await stock(client, brick), await stock(client, sand)) == (5, 0)
    much = {"lines": [{"product_id": sand["id"], "quantity": 6}]}
    assert summary(await client.patch(path, json=much)) == "409 #/lines/0/quantity out_of_stock"
    renamed = await client.patch(path, json={"customer": "bob"})
    assert (summary(renamed), renamed.json()["total"]) == ("200", "100.00")
    assert summary(await client.delete(path)) == "204"
    assert await stock(client, sand) == 5


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([("brick", 6)], "409 #/lines/0/quantity out_of_stock"),
        ([("brick", 3), ("brick", 3)], "409 #/lines/0/quantity out_of_stock"),
        ([("brick", 1), ("dollar", 1)], "422 #/lines/1/product_id other_currency"),
        ([("brick", 1), ("missing", 1)], "422 #/lines/1/product_id reference_not_found"),
        ([("brick", 1), ("deleted", 1)], "422 #/lines/1/product_id reference_not_found"),
        ([("brick", 0)], "422 #/lines/0/quantity greater_than"),
        ([], "422 #/lines too_short"),
    ],
)
async def test_wrong_order_is_rejected_and_takes_nothing(
    client: AsyncClient, lines: list[tuple[str, int]], expected: str
) -> None:
    products: dict[str, Any] = {
        "brick": await add_product(client, "brick"),
        "dollar": await add_product(client, "dollar", currency="USD"),
        "deleted": await add_product(client, "deleted"),
    }
    await client.delete(f"/products/{products['deleted']['id']}")
    products["missing"] = await add(client, "/tags", {"name": "no product"})
    body = order(*((products[name], quantity) for name, quantity in lines))
    assert summary(await client.post("/orders", json=body)) == expected
    batch = await client.post("/orders/batch", json=[order((products["brick"], 1)), body])
    assert summary(batch) == expected.replace("#", "#/1")
    assert await stock(client, products["brick"]) == 5
    assert (await client.get("/orders")).json() == []


async def test_batch_of_orders_is_all_or_nothing(client: AsyncClient) -> None:
    brick = await add_product(client, "brick")
    orders = [order((brick, 2)), order((brick, 3), customer="bob")]
    response = await client.post("/orders/batch", json=orders)
    assert (summary(response), [row["total"] for row in response.json()]) == (
        "201",
        ["40.00", "60.00"],
    )
    assert await stock(client, brick) == 0


async def test_retried_order_is_stored_once(client: AsyncClient) -> None:
    brick = await add_product(client, "brick")
    headers = {"Idempotency-Key": "order-1"}
    answers = [
        await client.post("/orders", json=order((brick, 2)), headers=headers) for _ in range(3)
    ]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert await stock(client, brick) == 3
    other = await client.post("/orders", json=order((brick, 1)), headers=headers)
    assert summary(other) == "422"
    assert other.json()["type"] == "/problems/idempotency_key_reused"


async def test_last_five_pieces_are_sold_once(client: AsyncClient) -> None:
    brick = await add_product(client, "brick")
    sand = await add_product(client, "sand", stock=100)
    bodies = [order((brick, 1), (sand, 1)), order((sand, 1), (brick, 1))] * 10
    answers = await asyncio.gather(*(client.post("/orders", json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 5, 409: 15}
    assert {summary(answer)[:12] for answer in answers} == {"201", "409 #/lines/"}
    assert (await stock(client, brick), await stock(client, sand)) == (0, 95)
    assert len((await client.get("/orders")).json()) == 5


async def test_concurrent_changes_of_orders_lose_no_piece(client: AsyncClient) -> None:
    brick = await add_product(client, "brick", stock=30)
    rows = [await add(client, "/orders", order((brick, 1))) for _ in range(10)]
    paths = [f"/orders/{row['id']}" for row in rows]
    more = {"lines": [{"product_id": brick["id"], "quantity": 3}]}
    answers = await asyncio.gather(
        *(client.patch(path, json=more) for path in paths[:5]),
        *(client.delete(path) for path in paths[5:]),
        *(client.post("/orders", json=order((brick, 2))) for _ in range(5)),
        *(client.patch(f"/products/{brick['id']}", json={"name": "New"}) for _ in range(5)),
    )
    assert Counter(answer.status_code for answer in answers) == {200: 10, 204: 5, 201: 5}
    assert await stock(client, brick) == 30 - 5 * 3 - 5 * 2
    assert {row["total"] for row in (await client.get("/orders")).json()} == {"40.00", "60.00"}
