"""The shop, beside the same by hand."""

from typing import Any, Final

import pytest
from httpx2 import AsyncClient, Response

from examples.shop import main
from examples.shop.plain import main as by_hand
from tests.support.calls import CreateApp
from tests.support.example_lines import shown_and_counted
from tests.support.shop_calls import add, add_product, order, stock

pytestmark = pytest.mark.anyio

SHOPS: Final[dict[str, CreateApp]] = {
    "brickwork": main.create_app,
    "by_hand": by_hand.create_app,
}


@pytest.fixture(scope="module", params=SHOPS)
def create_app(request: pytest.FixtureRequest) -> CreateApp:
    """Return the function that creates one of the shops."""
    return SHOPS[request.param]


def short(response: Response) -> tuple[int, list[tuple[str, str]]]:
    """Return the status of an error, and its pointers and codes."""
    errors = response.json().get("errors", [])
    return response.status_code, [(error["pointer"], error["code"]) for error in errors]


async def test_order_with_lines_takes_the_stock(client: AsyncClient) -> None:
    brick, sand = [await add_product(client, sku) for sku in ("brick", "sand")]
    row = await add(client, "/orders", order((sand, 2), (brick, 3)))
    assert (row["total"], row["currency"]) == ("100.00", "EUR")
    assert [line["product_id"] for line in row["lines"]] == [sand["id"], brick["id"]]
    assert (await stock(client, sand), await stock(client, brick)) == (3, 2)
    found = (await client.get(f"/orders/{row['id']}")).json()
    assert found["lines"] == row["lines"]
    assert [one["id"] for one in (await client.get("/orders")).json()] == [row["id"]]
    assert (await client.delete(f"/orders/{row['id']}")).status_code == 204
    assert (await stock(client, sand), await stock(client, brick)) == (5, 5)


@pytest.mark.parametrize(
    ("sku", "quantity", "status", "pointer", "code"),
    [
        ("brick", 6, 409, "#/lines/1/quantity", "out_of_stock"),
        ("dollar", 1, 422, "#/lines/1/product_id", "other_currency"),
        ("missing", 1, 422, "#/lines/1/product_id", "reference_not_found"),
        ("deleted", 1, 422, "#/lines/1/product_id", "reference_not_found"),
        ("brick", 0, 422, "#/lines/1/quantity", "greater_than"),
    ],
)
async def test_wrong_orders_are_rejected(  # noqa: PLR0913, PLR0917 — five are parameters
    client: AsyncClient, sku: str, quantity: int, status: int, pointer: str, code: str
) -> None:
    sand = await add_product(client, "sand")
    products: dict[str, Any] = {
        "brick": await add_product(client, "brick"),
        "dollar": await add_product(client, "dollar", currency="USD"),
        "deleted": await add_product(client, "deleted"),
        "missing": await add(client, "/tags", {"name": "no product"}),
    }
    await client.delete(f"/products/{products['deleted']['id']}")
    body = order((sand, 1), (products[sku], quantity))
    assert short(await client.post("/orders", json=body)) == (status, [(pointer, code)])
    batch = await client.post("/orders/batch", json=[order((sand, 1)), body])
    assert short(batch) == (status, [(pointer.replace("#", "#/1"), code)])
    assert (await client.get("/orders")).json() == []
    assert await stock(client, sand) == 5


async def test_missing_rows_are_404(client: AsyncClient) -> None:
    missing = "01890000-0000-7000-8000-000000000000"
    for path in ("products", "orders", "categories"):
        assert (await client.get(f"/{path}/{missing}")).status_code == 404
    row = await add_product(client, "a")
    path = f"/products/{row['id']}"
    assert (await client.get(f"{path}/image")).status_code == 404
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    taken = await add_product(client, "a")
    assert (await client.post(f"{path}/restore")).status_code == 409
    assert (await client.delete(f"/products/{taken['id']}")).status_code == 204
    assert (await client.post(f"{path}/restore")).status_code == 200


async def test_list_has_filters_and_facets(client: AsyncClient) -> None:
    toys = await add(client, "/categories", {"name": "Toys"})
    dolls = await add(client, "/categories", {"name": "Dolls", "parent_id": toys["id"]})
    assert dolls["parent"] == {"id": toys["id"], "name": "Toys"}
    looped = await client.patch(f"/categories/{toys['id']}", json={"parent_id": dolls["id"]})
    assert short(looped) == (422, [("#/parent_id", "circular")])
    assert (await client.delete(f"/categories/{toys['id']}")).status_code == 409
    red = await add(client, "/tags", {"name": "red"})
    await add_product(client, "a", tag_ids=[red["id"]], category_id=dolls["id"], price="9")
    await add_product(client, "b")
    for query, found in {
        "sort=-name": ["b", "a"],
        "tags__name=red": ["a"],
        "category__name=Dolls": ["a"],
        "price__gte=10": ["b"],
        "q=B": ["b"],
        "limit=1&sort=price": ["a"],
    }.items():
        page = (await client.get(f"/products?{query}")).json()
        assert [row["sku"] for row in page["items"]] == found, query
    assert (await client.get("/products/facets")).json() == {dolls["id"]: 1, "none": 1}


async def test_retried_order_takes_the_stock_once(client: AsyncClient) -> None:
    brick = await add_product(client, "brick")
    headers = {"Idempotency-Key": "one"}
    answers = [
        await client.post("/orders", json=order((brick, 2)), headers=headers) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    other = await client.post("/orders", json=order((brick, 1)), headers=headers)
    assert other.status_code == 422
    assert await stock(client, brick) == 3


async def test_image_returns_to_the_byte(client: AsyncClient) -> None:
    row = await add_product(client, "a")
    path, image = f"/products/{row['id']}/image", bytes(range(256)) * 8_000
    headers = {"content-type": "image/png"}
    assert (await client.put(path, content=image, headers=headers)).status_code == 204
    assert (await client.get(path)).content == image
    large = await client.put(path, content=image * 3, headers=headers)
    assert large.status_code == 413


def test_page_shows_the_lines_of_code() -> None:
    shown, counted = shown_and_counted("shop")
    assert shown == counted
    assert len(shown) == 2
