"""The handlers of orders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, HTTPException, Query, Response
from sqlalchemy import select

from .models import (
    DB,
    Order,
    OrderLine,
    Product,
    StoredResponse,
)
from .rows import find, page, rejected, remove, save
from .schemas import (
    OrderCreate,
    OrderQuery,
    OrderRead,
)

router = APIRouter()


async def lock_products(db: DB, keys: set[UUID]) -> Mapping[UUID, Product]:
    """Lock products until the commit, in the order of their keys."""
    statement = select(Product).where(Product.id.in_(keys)).order_by(Product.id).with_for_update()
    rows = await db.scalars(statement.execution_options(populate_existing=True))
    return {product.id: product for product in rows}


async def place(db: DB, bodies: Sequence[OrderCreate]) -> Sequence[Order]:
    """Add orders, and take the stock of their lines."""
    products = await lock_products(db, {line.product_id for one in bodies for line in one.lines})
    batch = [
        (one, f"#/{position}" if len(bodies) > 1 else "#") for position, one in enumerate(bodies)
    ]
    return [place_one(db, one, products, pointer) for one, pointer in batch]


def place_one(db: DB, body: OrderCreate, products: Mapping[UUID, Product], pointer: str) -> Order:
    """Add an order, and take the stock of its lines."""
    order = Order(customer=body.customer, total=Decimal(0))
    for position, line in enumerate(body.lines):
        place, product = f"{pointer}/lines/{position}", products.get(line.product_id)
        if product is None or product.deleted_at is not None:
            raise rejected(
                422, "There is no such product.", f"{place}/product_id", "reference_not_found"
            )
        if order.lines and product.currency is not order.currency:
            raise rejected(
                422, "An order has one currency.", f"{place}/product_id", "other_currency"
            )
        if product.stock < line.quantity:
            raise rejected(409, "There are not so many.", f"{place}/quantity", "out_of_stock")
        product.stock -= line.quantity
        order.currency = product.currency
        order.total += line.quantity * product.price
        order.lines.append(OrderLine(position=position, price=product.price, **line.model_dump()))
    db.add(order)
    return order


@router.get("/orders", response_model=list[OrderRead])
async def list_orders(db: DB, query: Annotated[OrderQuery, Query()]) -> Sequence[Order]:
    """Return a page of the orders."""
    statement = select(Order).order_by(Order.created_at, Order.id)
    if query.customer:
        statement = statement.where(Order.customer == query.customer)
    if query.total__gte is not None:
        statement = statement.where(Order.total >= query.total__gte)
    return (await db.scalars(page(statement, query))).all()


@router.post("/orders", status_code=201, response_model=OrderRead)
async def create_order(
    db: DB,
    body: OrderCreate,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Create an order. A request with the key of a former one gets the same response."""
    digest = sha256(body.model_dump_json().encode()).hexdigest()
    stored = select(StoredResponse).where(StoredResponse.key == idempotency_key)
    if idempotency_key and (former := await db.scalar(stored)):
        if former.request != digest:
            raise HTTPException(422, "The Idempotency-Key belongs to another request.")
        return Response(former.response, 201, media_type="application/json")
    (order,) = await place(db, [body])
    await db.flush()
    await db.refresh(order)
    text = OrderRead.model_validate(order).model_dump_json()
    if idempotency_key:
        db.add(StoredResponse(key=idempotency_key, request=digest, response=text))
    await save(db, order)
    return Response(text, 201, media_type="application/json")


@router.post("/orders/batch", status_code=201, response_model=list[OrderRead])
async def create_orders(
    db: DB, bodies: Annotated[list[OrderCreate], Body(min_length=1, max_length=100)]
) -> Sequence[Order]:
    """Create all orders or none."""
    orders = await place(db, bodies)
    await db.commit()
    for order in orders:
        await db.refresh(order)
    return orders


@router.get("/orders/{key}", response_model=OrderRead)
async def get_order(db: DB, key: UUID) -> Order:
    """Return an order."""
    return await find(db, Order, key)


@router.delete("/orders/{key}", status_code=204)
async def delete_order(db: DB, key: UUID) -> None:
    """Delete an order, and return its pieces to the stock."""
    order = await find(db, Order, key)
    pieces = Counter[UUID]()
    for line in order.lines:
        pieces[line.product_id] += line.quantity
    for product in (await lock_products(db, {*pieces})).values():
        product.stock += pieces[product.id]
    await remove(db, order)
