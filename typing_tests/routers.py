"""The types of a declaration: accepted and rejected calls."""

# ruff: noqa: D101, D103 — assert_type says it

from typing import Annotated, assert_type

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, Field

from app.articles.models import Article
from app.articles.schemas import (
    ArticleCreate as Create,
    ArticleRead as Read,
    ArticleUpdate as Update,
)
from app.comments.models import Comment
from brickwork import Limits, ListQuery, Resource, crud_router, install


class Articles(Resource[Article]): ...


class ArticleQuery(ListQuery[Article]):
    status: str | None = None


class CommentQuery(ListQuery[Comment]): ...


class Plain(BaseModel):
    title: str


router = crud_router(
    "/articles",
    Articles,
    read=Plain,
    create=Create,
    update=Update,
    query=ArticleQuery,
    omit={"delete", "replace"},
)
assert_type(router, APIRouter)

crud_router("/a", Articles, read=Read, create=Create, update=Update)
crud_router("/a", Articles, read=Read, create=Create, update=Update, query=CommentQuery)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
crud_router("/a", Articles, read=Read, create=Plain, update=Update)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
crud_router("/a", Articles, read=Article, create=Create, update=Update)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
crud_router("/a", Article, read=Read, create=Create, update=Update)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
crud_router("/a", Articles, read=Read, create=Create, update=Update, omit={"remove"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
crud_router("/a", Articles, read=Read, create=Create, update=Update, tags=["a"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
crud_router("/a", Articles, read=Read)
crud_router("/a", Articles, read=Read | Plain)
crud_router("/a", Articles, read=Annotated[Read | Plain, Field(discriminator="title")])
crud_router("/a", Articles, read=Read | Article)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
crud_router("/a", Articles, create=Create, update=Update)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
crud_router("/a", Articles, Read, create=Create, update=Update)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@router.get("/{key}/title")
async def title(key: str, articles: Annotated[Articles, Depends()]) -> str:
    article = await articles.get(key)
    assert_type(article, Article)
    return article.title


def partial_schemas() -> None:
    update = Update.model_validate({"title": "a"})
    assert_type(update, Update)
    assert_type(update.title, str)
    assert_type(update.model_fields_set, set[str])
    # A checker knows the inherited fields, but not that they are optional.
    Update(title="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


install(FastAPI())
install(FastAPI(), limits=Limits(body=100))
install(FastAPI(), Limits())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Limits(100)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Limits(bodies=100)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
