"""The handlers of categories and tags."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from .models import (
    DB,
    Category,
    Tag,
)
from .rows import find, page, rejected, remove, save
from .schemas import (
    CategoryCreate,
    CategoryQuery,
    CategoryRead,
    CategoryUpdate,
    PageQuery,
    TagCreate,
    TagRead,
)

router = APIRouter()

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
