"""Steps 4 to 8: the five operations."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status
from sqlalchemy import select

from brickwork import (
    ListQuery,
    SessionDep,
    StrictRoute,
    apply_changes,
    get_or_404,
    item_path,
    link_header,
    paginate,
)
from examples.by_hand.models import Article
from examples.by_hand.schemas import ArticleCreate, ArticleResponse, ArticleUpdate

router = APIRouter(prefix="/articles", tags=["articles"], route_class=StrictRoute)


@router.post("", response_model=ArticleResponse, status_code=status.HTTP_201_CREATED)
async def create_article(
    body: ArticleCreate, db: SessionDep, request: Request, response: Response
) -> Article:
    """Create an article."""
    article = Article(**body.model_dump())
    db.add(article)
    await db.flush()
    response.headers["Location"] = item_path(request, article.id)
    return article


@router.get("", response_model=list[ArticleResponse])
async def list_articles(
    params: Annotated[ListQuery[Article], Query()],
    db: SessionDep,
    request: Request,
    response: Response,
) -> Sequence[Article]:
    """List articles, a page at a time."""
    page = await paginate(db, select(Article), params)
    response.headers["Link"] = link_header(request, page)
    return page.items


@router.get("/{article_id}", response_model=ArticleResponse)
async def get_article(article_id: str, db: SessionDep) -> Article:
    """Get one article."""
    return await get_or_404(db, Article, article_id)


@router.patch("/{article_id}", response_model=ArticleResponse)
async def update_article(article_id: str, body: ArticleUpdate, db: SessionDep) -> Article:
    """Change the sent fields."""
    article = await get_or_404(db, Article, article_id)
    apply_changes(article, body)
    await db.flush()
    return article


@router.delete("/{article_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_article(article_id: str, db: SessionDep) -> None:
    """Delete an article."""
    await db.delete(await get_or_404(db, Article, article_id))
