"""The handlers of products and their images."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import undefer

from .models import (
    DB,
    Product,
    Tag,
)
from .rows import find, page, rejected, save
from .schemas import (
    ProductCreate,
    ProductPage,
    ProductQuery,
    ProductRead,
    ProductUpdate,
)

MAX_IMAGE = 5_000_000
IMAGE_TYPES = {"image/jpeg", "image/png", "image/webp"}

router = APIRouter()


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
