"""The shop by hand, in plain FastAPI and SQLAlchemy.

It has neither PUT, ETags, cursors, `fields=`, exports, HEAD, OPTIONS nor retries.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from os import environ
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Body, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import Select, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload, undefer
from starlette.exceptions import HTTPException as StarletteHTTPException

from .plain_models import (
    DB,
    Base,
    Category,
    Order,
    OrderLine,
    Product,
    StoredResponse,
    Tag,
    connect,
)
from .plain_schemas import (
    CategoryCreate,
    CategoryQuery,
    CategoryRead,
    CategoryUpdate,
    OrderCreate,
    OrderQuery,
    OrderRead,
    PageQuery,
    ProductCreate,
    ProductPage,
    ProductQuery,
    ProductRead,
    ProductUpdate,
    TagCreate,
    TagRead,
)

M = TypeVar("M", bound=Base)
MAX_IMAGE = 5_000_000
IMAGE_TYPES = {"image/jpeg", "image/png", "image/webp"}

router = APIRouter()


def rejected(status: int, detail: str, pointer: str, code: str) -> HTTPException:
    """Return an error of one field."""
    return HTTPException(status, {"detail": detail, "errors": [{"pointer": pointer, "code": code}]})


async def save(db: DB, row: Base) -> None:
    """Commit. Raises a 409 or a 422 if a constraint fails."""
    try:
        await db.commit()
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise HTTPException(422, "A row that is referred to does not exist.") from error
        raise HTTPException(409, "The value is taken.") from error
    await db.refresh(row)


async def find(db: DB, model: type[M], key: UUID) -> M:
    """Return the row. Raises a 404 without one."""
    if row := await db.get(model, key):
        return row
    raise HTTPException(404, f"{model.__name__} not found")


async def remove(db: DB, row: Base) -> None:
    """Delete *row*. Raises a 409 if others refer to it."""
    try:
        await db.delete(row)
        await db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "Other rows refer to this one.") from error


def page(statement: Select[M], query: PageQuery) -> Select[M]:
    """Return the statement of a page."""
    return statement.limit(query.limit).offset(query.offset)


# --- Categories and tags --------------------------------------------------------------------------

TREE = select(Category).options(selectinload(Category.parent), selectinload(Category.children))


async def find_category(db: DB, key: UUID) -> Category:
    """Return the category with its neighbours. Raises a 404 without one."""
    statement = TREE.where(Category.id == key).execution_options(populate_existing=True)
    if row := await db.scalar(statement):
        return row
    raise HTTPException(404, "Category not found")


@router.get("/categories", response_model=list[CategoryRead])
async def list_categories(db: DB, query: Annotated[CategoryQuery, Query()]) -> Sequence[Category]:
    """Return a page of the categories."""
    statement = TREE.order_by(Category.name)
    if query.parent_id:
        statement = statement.where(Category.parent_id == query.parent_id)
    if query.parent__name:
        statement = statement.where(Category.parent.has(name=query.parent__name))
    return (await db.scalars(page(statement, query))).all()


@router.post("/categories", status_code=201, response_model=CategoryRead)
async def create_category(db: DB, body: CategoryCreate) -> Category:
    """Create a category."""
    category = Category(**body.model_dump())
    db.add(category)
    await save(db, category)
    return await find_category(db, category.id)


@router.get("/categories/{key}", response_model=CategoryRead)
async def get_category(db: DB, key: UUID) -> Category:
    """Return a category."""
    return await find_category(db, key)


@router.patch("/categories/{key}", response_model=CategoryRead)
async def change_category(db: DB, key: UUID, body: CategoryUpdate) -> Category:
    """Change a category."""
    category = await find(db, Category, key)
    above = select(Category.id, Category.parent_id).where(Category.id == body.parent_id)
    tree = above.cte(recursive=True)
    columns = select(Category.id, Category.parent_id)
    tree = tree.union(columns.where(Category.id == tree.c.parent_id))
    if key in (await db.scalars(select(tree.c.id))).all():
        raise rejected(422, "The categories would be no tree.", "#/parent_id", "circular")
    for name, value in body.model_dump(exclude_unset=True).items():
        setattr(category, name, value)
    await save(db, category)
    return await find_category(db, key)


@router.delete("/categories/{key}", status_code=204)
async def delete_category(db: DB, key: UUID) -> None:
    """Delete a category."""
    await remove(db, await find(db, Category, key))


@router.get("/tags", response_model=list[TagRead])
async def list_tags(db: DB, query: Annotated[PageQuery, Query()]) -> Sequence[Tag]:
    """Return a page of the tags."""
    return (await db.scalars(page(select(Tag).order_by(Tag.name), query))).all()


@router.post("/tags", status_code=201, response_model=TagRead)
async def create_tag(db: DB, body: TagCreate) -> Tag:
    """Create a tag."""
    tag = Tag(name=body.name)
    db.add(tag)
    await save(db, tag)
    return tag


@router.patch("/tags/{key}", response_model=TagRead)
async def rename_tag(db: DB, key: UUID, body: TagCreate) -> Tag:
    """Rename a tag."""
    tag = await find(db, Tag, key)
    tag.name = body.name
    await save(db, tag)
    return tag


@router.delete("/tags/{key}", status_code=204)
async def delete_tag(db: DB, key: UUID) -> None:
    """Delete a tag."""
    await remove(db, await find(db, Tag, key))


# --- Products -------------------------------------------------------------------------------------


async def find_product(db: DB, key: UUID, *, deleted: bool = False) -> Product:
    """Return a product. Raises a 404 without one."""
    product = await find(db, Product, key)
    if (product.deleted_at is not None) is deleted:
        return product
    raise HTTPException(404, "Product not found")


async def find_tags(db: DB, keys: Sequence[UUID]) -> list[Tag]:
    """Return tags. Raises a 422 for a key of no tag."""
    tags = {tag.id: tag for tag in await db.scalars(select(Tag).where(Tag.id.in_(keys)))}
    for position, key in enumerate(keys):
        if key not in tags:
            pointer = f"#/tag_ids/{position}"
            raise rejected(422, "There is no such tag.", pointer, "reference_not_found")
    return [*tags.values()]


def filtered(query: ProductQuery) -> Select[Product]:
    """Return the products that pass the filters."""
    statement = select(Product).where(Product.deleted_at.is_(None))
    if query.sku:
        statement = statement.where(Product.sku == query.sku)
    if query.price__gte is not None:
        statement = statement.where(Product.price >= query.price__gte)
    if query.price__lte is not None:
        statement = statement.where(Product.price <= query.price__lte)
    if query.currency:
        statement = statement.where(Product.currency == query.currency)
    if query.category_id:
        statement = statement.where(Product.category_id == query.category_id)
    if query.category__name:
        statement = statement.where(Product.category.has(name=query.category__name))
    if query.tags__name:
        statement = statement.where(Product.tags.any(name=query.tags__name))
    for word in (query.q or "").split():
        columns = (Product.sku, Product.name)
        statement = statement.where(or_(*(c.icontains(word, autoescape=True) for c in columns)))
    return statement


@router.get("/products", response_model=ProductPage)
async def list_products(db: DB, query: Annotated[ProductQuery, Query()]) -> dict[str, object]:
    """Return a page of the products."""
    statement = filtered(query)
    total = await db.scalar(select(func.count()).select_from(statement.subquery()))
    name = query.sort or "created_at"
    column = getattr(Product, name.removeprefix("-"))
    column = column.desc() if name.startswith("-") else column
    rows = await db.scalars(page(statement.order_by(column, Product.id), query))
    return {"items": rows.all(), "total": total}


@router.get("/products/facets")
async def count_by_category(db: DB, query: Annotated[ProductQuery, Query()]) -> dict[str, int]:
    """Count the products of each category."""
    column = Product.category_id
    counts = filtered(query).with_only_columns(column, func.count()).group_by(column)
    return {str(key or "none"): number for key, number in await db.execute(counts)}


@router.post("/products", status_code=201, response_model=ProductRead)
async def create_product(db: DB, body: ProductCreate) -> Product:
    """Create a product."""
    product = Product(**body.model_dump(exclude={"tag_ids"}))
    product.tags = await find_tags(db, body.tag_ids)
    db.add(product)
    await save(db, product)
    return product


@router.get("/products/{key}", response_model=ProductRead)
async def get_product(db: DB, key: UUID) -> Product:
    """Return a product."""
    return await find_product(db, key)


@router.patch("/products/{key}", response_model=ProductRead)
async def change_product(db: DB, key: UUID, body: ProductUpdate) -> Product:
    """Change a product."""
    product = await find_product(db, key)
    if "tag_ids" in body.model_fields_set:
        product.tags = await find_tags(db, body.tag_ids)
    for name, value in body.model_dump(exclude_unset=True, exclude={"tag_ids"}).items():
        setattr(product, name, value)
    await save(db, product)
    return product


@router.delete("/products/{key}", status_code=204)
async def delete_product(db: DB, key: UUID) -> None:
    """Mark a product as deleted."""
    product = await find_product(db, key)
    product.deleted_at = datetime.now(UTC)
    await db.commit()


@router.post("/products/{key}/restore", response_model=ProductRead)
async def restore_product(db: DB, key: UUID) -> Product:
    """Undo a deletion."""
    product = await find_product(db, key, deleted=True)
    product.deleted_at = None
    await save(db, product)
    return product


@router.put("/products/{key}/image", status_code=204)
async def upload_image(db: DB, key: UUID, request: Request) -> None:
    """Store the image of a product."""
    media_type = request.headers.get("content-type", "")
    if media_type not in IMAGE_TYPES:
        raise HTTPException(415, f"Send one of {', '.join(sorted(IMAGE_TYPES))}.")
    product, image = await find_product(db, key), b""
    async for chunk in request.stream():
        image += chunk
        if len(image) > MAX_IMAGE:
            raise HTTPException(413, "The image is too large.")
    product.image, product.image_type = image, media_type
    await db.commit()


@router.get("/products/{key}/image")
async def download_image(db: DB, key: UUID) -> Response:
    """Return the image of a product."""
    statement = select(Product).options(undefer(Product.image))
    product = await db.scalar(statement.where(Product.id == key, Product.deleted_at.is_(None)))
    if product is None or product.image is None:
        raise HTTPException(404, "There is no such image.")
    return Response(product.image, media_type=product.image_type)


# --- Orders ---------------------------------------------------------------------------------------


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


# --- Errors and the application -------------------------------------------------------------------


def problem(status: int, members: dict[str, Any]) -> JSONResponse:
    """Return a problem (RFC 9457)."""
    document: dict[str, Any] = {"status": status} | members
    return JSONResponse(document, status, media_type="application/problem+json")


async def answer_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException`."""
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 — its handler
    detail: Any = error.detail
    return problem(error.status_code, {"detail": detail} if isinstance(detail, str) else detail)


async def answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request with 422."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — its handler
    errors = [
        {"pointer": "#/" + "/".join(map(str, one["loc"][1:])), "code": one["type"]}
        for one in error.errors()
    ]
    return problem(422, {"detail": "The request has invalid values.", "errors": errors})


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    engine = connect(url or environ.get("DATABASE_URL", "sqlite:///plain_shop.db"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Shop by hand", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    return app
