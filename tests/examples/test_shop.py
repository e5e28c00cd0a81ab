"""The shop: products, images, categories and orders."""

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, update

from brickwork import Database, ListQuery, SortBy, crud_router
from examples.shop.main import create_app
from examples.shop.models import Base, Category, Product
from examples.shop.resources import Products
from examples.shop.routers import MAX_IMAGE
from examples.shop.schemas import ProductCreate, ProductRead
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.shop_calls import add, add_product, order, stock
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8_000  # 2 MB


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without rows."""
    create_app("sqlite:///unused.db")  # its routers complete the tables
    return await tables.of(Base.metadata, backend)


@pytest.fixture
def app(url: str) -> FastAPI:
    """Return the application."""
    return create_app(url)


@pytest.fixture
async def client(app: FastAPI) -> AsyncGenerator[AsyncClient]:
    """Yield a client of the application."""
    async with calling(app) as client:
        yield client


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    """Yield the database, with connections that no application uses."""
    database = Database(url)
    yield database
    await database.dispose()


async def names(client: AsyncClient, path: str, field: str = "sku") -> list[str]:
    """Return a field of the rows of a list."""
    response = await client.get(path)
    assert summary(response) == "200", response.text
    body = response.json()
    rows: list[dict[str, Any]] = (
        body if path.startswith(("/orders", "/categories")) else body["items"]
    )
    return [row[field] for row in rows]


# --- Products -------------------------------------------------------------------------------------


async def test_price_is_exact_and_can_be_filtered_and_sorted(client: AsyncClient) -> None:
    for sku, price in (("b", "0.10"), ("a", "0.20"), ("c", "99999999.99")):
        row = await add_product(client, sku, price=price)
        assert row["price"] == price
    assert await names(client, "/products?sort=-price") == ["c", "a", "b"]
    assert await names(client, "/products?price__gte=0.2&price__lt=1") == ["a"]
    assert await names(client, "/products?price=0.1") == ["b"]
    wrong = {"sku": "d", "name": "D", "price": "0.001"}
    assert summary(await client.post("/products", json=wrong)) == "422 #/price decimal_max_places"


async def test_currency_is_an_enumeration(client: AsyncClient) -> None:
    await add_product(client, "a")
    await add_product(client, "b", currency="USD")
    assert await names(client, "/products?currency=USD") == ["b"]
    assert await names(client, "/products?currency__in=EUR,USD&sort=name") == ["a", "b"]
    wrong = {"sku": "c", "name": "C", "price": "1", "currency": "XXX"}
    assert summary(await client.post("/products", json=wrong)) == "422 #/currency enum"


async def test_stock_below_zero_names_the_field(client: AsyncClient) -> None:
    wrong = {"sku": "a", "name": "A", "price": "1", "stock": -1}
    assert summary(await client.post("/products", json=wrong)) == "422 #/stock check_failed"
    row = await add_product(client, "a")
    response = await client.patch(f"/products/{row['id']}", json={"stock": -1})
    assert summary(response) == "422 #/stock check_failed"


async def test_sku_is_unique_among_products_that_are_not_deleted(client: AsyncClient) -> None:
    row = await add_product(client, "a")
    again = {"sku": "a", "name": "Again", "price": "1"}
    assert summary(await client.post("/products", json=again)) == "409 #/sku not_unique"

    assert summary(await client.delete(f"/products/{row['id']}")) == "204"
    assert summary(await client.get(f"/products/{row['id']}")) == "404"
    assert await names(client, "/products") == []
    assert await names(client, "/products?deleted=only") == ["a"]
    other = await add_product(client, "a")
    restore = f"/products/{row['id']}/restore"
    assert summary(await client.post(restore)) == "409 #/sku not_unique"
    assert summary(await client.delete(f"/products/{other['id']}?purge=true")) == "204"
    assert summary(await client.post(restore)) == "200"


async def test_tags_are_written_by_key_and_shown_as_rows(client: AsyncClient) -> None:
    red, new, old = [await add(client, "/tags", {"name": name}) for name in ("red", "new", "old")]
    row = await add_product(client, "a", tag_ids=[red["id"], new["id"]])
    assert row["tags"] == [new, red]  # by name
    await add_product(client, "b", tag_ids=[old["id"]])
    await add_product(client, "c")
    assert await names(client, "/products?tags__name=red") == ["a"]
    assert await names(client, "/products?tags__name__in=red,new,old&sort=name") == ["a", "b"]
    assert await names(client, "/products?tags__name__ne=red&sort=name") == ["b", "c"]

    path = f"/products/{row['id']}"
    changed = await client.patch(path, json={"tag_ids": [old["id"]]})
    assert (summary(changed), changed.json()["tags"]) == ("200", [old])
    assert summary(await client.patch(path, json={"name": "B"})) == "200"
    same = await client.put(path, json=(await client.get(path)).json())
    assert (summary(same), same.json()["tags"]) == ("200", [old])
    wrong = await client.patch(path, json={"tag_ids": [red["id"], row["id"]]})
    assert summary(wrong) == "422 #/tag_ids/1 reference_not_found"


async def test_envelope_has_the_total_and_the_chosen_fields(client: AsyncClient) -> None:
    for sku in "abc":
        await add_product(client, sku)
    first = await client.get("/products?fields=sku,tags&limit=2&count=exact&sort=name")
    assert first.json() | {"next": ""} == {
        "items": [{"sku": "a", "tags": []}, {"sku": "b", "tags": []}],
        "total": 3,
        "next": "",
        "prev": None,
    }
    second = (await client.get(first.json()["next"])).json()
    assert (second["items"], second["next"]) == ([{"sku": "c", "tags": []}], None)
    assert summary(await client.get("/products?fields=image")).startswith("422 ?fields")


async def test_facets_count_the_products_of_each_category(client: AsyncClient) -> None:
    toys = await add(client, "/categories", {"name": "Toys"})
    await add_product(client, "a", category_id=toys["id"])
    await add_product(client, "b", category_id=toys["id"])
    row = await add_product(client, "c")
    assert (await client.get("/products/facets")).json() == {toys["id"]: 2, "none": 1}
    assert (await client.get("/products/facets?sku__in=a,c")).json() == {toys["id"]: 1, "none": 1}
    assert (await client.get("/products/facets?q=b")).json() == {toys["id"]: 1}
    await client.delete(f"/products/{row['id']}")
    assert (await client.get("/products/facets")).json() == {toys["id"]: 2}


def test_sort_by_an_enumeration_is_refused() -> None:
    def declare() -> type[ListQuery[Product]]:
        class Query(ListQuery[Product]):
            sort: SortBy[Literal["currency"]] = None

        return Query

    text = "SQLite and PostgreSQL sort Product.currency differently. Remove it from the names."
    with pytest.raises(TypeError, match=text):
        declare()


def test_deferred_image_in_a_body_is_refused() -> None:
    class Create(ProductCreate):
        image: bytes | None = None

    text = "Clients cannot set Product.image: it is deferred, .* Remove image from Create."
    with pytest.raises(TypeError, match=text):
        crud_router("/products", Products, read=ProductRead, create=Create)


# --- Images ---------------------------------------------------------------------------------------


async def test_image_is_stored_and_returned_to_the_byte(
    client: AsyncClient, database: Database
) -> None:
    row = await add_product(client, "a")
    path = f"/products/{row['id']}"
    assert summary(await client.get(f"{path}/image")) == "404"
    headers = {"content-type": "image/png"}
    response = await client.put(f"{path}/image", content=PNG, headers=headers)
    assert summary(response) == "204"
    image = await client.get(f"{path}/image", headers={"accept": "image/png"})
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    assert image.content == PNG
    async with database.session(readonly=True) as session:
        assert await session.scalar(select(Product.image)) == PNG
    after = (await client.get(path)).json()
    assert (after["image_type"], after["version"]) == ("image/png", 2)
    assert summary(await client.patch(path, json={"name": "B"})) == "200"
    assert (await client.get(f"{path}/image")).content == PNG


@pytest.mark.parametrize(
    ("size", "media_type", "expected"),
    [(MAX_IMAGE, "image/webp", "204"), (MAX_IMAGE + 1, "image/webp", "413"), (9, "x/y", "415")],
)
async def test_upload_has_a_limit_of_its_own(
    client: AsyncClient, size: int, media_type: str, expected: str
) -> None:
    row = await add_product(client, "a")
    headers = {"content-type": media_type}
    path = f"/products/{row['id']}/image"
    response = await client.put(path, content=bytes(size), headers=headers)
    assert summary(response) == expected
    large = {"sku": "b", "name": "x" * 1_048_576, "price": "1"}
    assert summary(await client.post("/products", json=large)) == "413"


async def test_thumbnail_is_base64_in_bodies_and_bytes_in_its_column(
    client: AsyncClient, database: Database
) -> None:
    row = await add_product(client, "a", thumbnail=b64encode(PNG[:99]).decode())
    assert row["thumbnail"] == b64encode(PNG[:99]).decode()
    path = f"/products/{row['id']}"
    changed = await client.patch(path, json={"thumbnail": b64encode(PNG[:9]).decode()})
    assert summary(changed) == "200"
    async with database.session(readonly=True) as session:
        assert await session.scalar(select(Product.thumbnail)) == PNG[:9]


# --- Categories -----------------------------------------------------------------------------------


async def test_categories_are_a_tree(client: AsyncClient) -> None:
    root = await add(client, "/categories", {"name": "Toys"})
    twigs = [
        await add(client, "/categories", {"name": name, "parent_id": root["id"]})
        for name in ("Dolls", "Bricks")
    ]
    assert twigs[0]["parent"] == {"id": root["id"], "name": "Toys"}
    shown = (await client.get(f"/categories/{root['id']}")).json()
    assert [child["name"] for child in shown["children"]] == ["Bricks", "Dolls"]
    assert await names(client, "/categories?parent__name=Toys&sort=name", "name") == [
        "Bricks",
        "Dolls",
    ]
    assert await names(client, "/categories?parent_id__isnull=true", "name") == ["Toys"]
    for parent in (root, twigs[0]):  # itself, and its child
        response = await client.patch(f"/categories/{root['id']}", json={"parent_id": parent["id"]})
        assert summary(response) == "422 #/parent_id circular"
    assert summary(await client.delete(f"/categories/{root['id']}")) == "409"
    for row in (*twigs, root):
        assert summary(await client.delete(f"/categories/{row['id']}")) == "204"


async def test_category_that_is_its_own_parent_can_be_deleted(
    client: AsyncClient, database: Database
) -> None:
    row = await add(client, "/categories", {"name": "Loop"})
    async with database.session() as session:
        await session.execute(update(Category).values(parent_id=Category.id))
    assert (await client.get(f"/categories/{row['id']}")).json()["parent"]["name"] == "Loop"
    assert summary(await client.delete(f"/categories/{row['id']}")) == "204"


# --- Orders ---------------------------------------------------------------------------------------


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
