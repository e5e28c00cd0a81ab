"""Requests to `examples/shop`, in Brickwork and by hand."""

from typing import Any

from httpx2 import AsyncClient

from tests.support.bodies import Body, summary


async def add(client: AsyncClient, path: str, body: Body) -> dict[str, Any]:
    """Create a row, and return it."""
    response = await client.post(path, json=body)
    assert summary(response) == "201", response.text
    row: dict[str, Any] = response.json()
    return row


async def add_product(client: AsyncClient, sku: str, **values: Any) -> dict[str, Any]:
    """Create a product of 20.00 with 5 pieces, unless *values* differ."""
    body = {"sku": sku, "name": sku.title(), "price": "20.00", "stock": 5}
    return await add(client, "/products", body | values)


def order(*lines: tuple[dict[str, Any], int], customer: str = "ada") -> dict[str, Any]:
    """Return the body of an order of products and their pieces."""
    items = [{"product_id": product["id"], "quantity": quantity} for product, quantity in lines]
    return {"customer": customer, "lines": items}


async def stock(client: AsyncClient, product: dict[str, Any]) -> int:
    """Return the stored pieces of a product."""
    number: int = (await client.get(f"/products/{product['id']}")).json()["stock"]
    return number


async def names(client: AsyncClient, path: str, field: str = "sku") -> list[str]:
    """Return a field of the rows of a list."""
    response = await client.get(path)
    assert summary(response) == "200", response.text
    body = response.json()
    rows: list[dict[str, Any]] = (
        body if path.startswith(("/orders", "/categories")) else body["items"]
    )
    return [row[field] for row in rows]
