"""The routes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import func
from sqlalchemy.orm import undefer

from brickwork import NotFound, UnsupportedMediaType, crud_router, get_or_404

from .models import Product
from .resources import Categories, Orders, Products, Tags
from .schemas import (
    CategoryCreate,
    CategoryQuery,
    CategoryRead,
    CategoryUpdate,
    OrderCreate,
    OrderQuery,
    OrderRead,
    OrderUpdate,
    ProductCreate,
    ProductQuery,
    ProductRead,
    ProductUpdate,
    TagCreate,
    TagQuery,
    TagRead,
    TagUpdate,
)

MAX_IMAGE = 5_000_000
IMAGE_TYPES = {"image/jpeg", "image/png", "image/webp"}

categories = crud_router(
    "/categories",
    Categories,
    read=CategoryRead,
    create=CategoryCreate,
    update=CategoryUpdate,
    query=CategoryQuery,
)

tags = crud_router("/tags", Tags, read=TagRead, create=TagCreate, update=TagUpdate, query=TagQuery)

products = crud_router(
    "/products",
    Products,
    read=ProductRead,
    create=ProductCreate,
    update=ProductUpdate,
    query=ProductQuery,
)

orders = crud_router(
    "/orders", Orders, read=OrderRead, create=OrderCreate, update=OrderUpdate, query=OrderQuery
)


@products.get("/facets")
async def count_by_category(
    resource: Annotated[Products, Depends()], params: Annotated[ProductQuery, Query()]
) -> dict[str, int]:
    """Count the products of each category, by its key. "none" counts those without one."""
    statement = params.filter(resource.query())
    counts = statement.with_only_columns(
        Product.category_id, func.count(), maintain_column_froms=True
    ).group_by(Product.category_id)
    rows = await resource.session.execute(counts)
    return {str(key or "none"): number for key, number in rows}


@products.put("/{id}/image", status_code=204, max_body_size=MAX_IMAGE)
async def upload_image(
    id: UUID,  # noqa: A002
    request: Request,
    resource: Annotated[Products, Depends()],
) -> None:
    """Store the image of a product."""
    media_type = request.headers.get("content-type", "")
    if media_type not in IMAGE_TYPES:
        raise UnsupportedMediaType(f"Send one of {', '.join(sorted(IMAGE_TYPES))}.")
    product = await resource.get(id)
    await resource.update(product, {"image": await request.body(), "image_type": media_type})


@products.get("/{id}/image", response_class=Response)
async def download_image(
    id: UUID,  # noqa: A002
    resource: Annotated[Products, Depends()],
) -> Response:
    """Return the image of a product."""
    statement = resource.query().options(undefer(Product.image))
    product = await get_or_404(resource.session, statement, id)
    if product.image is None:
        raise NotFound("The product has no image.")
    return Response(product.image, media_type=product.image_type)


router = APIRouter()
for part in (categories, tags, products, orders):
    router.include_router(part)
