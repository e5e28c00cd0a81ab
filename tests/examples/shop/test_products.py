"""The shop: products, images and categories."""

from base64 import b64encode
from typing import Final, Literal

import pytest
from httpx2 import AsyncClient
from sqlalchemy import select, update

from brickwork import Database, ListQuery, SortBy
from examples.shop.models import Category, Product
from examples.shop.routers import MAX_IMAGE
from tests.support.bodies import summary
from tests.support.shop_calls import add, add_product, names

pytestmark = pytest.mark.anyio

PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8_000  # 2 MB


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
