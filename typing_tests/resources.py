"""The types of a resource."""

# ruff: noqa: D101, D102, D103 — assert_type says it

from typing import Annotated, assert_type
from uuid import UUID

from fastapi import Depends
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from app.articles.models import Article
from app.articles.schemas import ArticleCreate
from app.comments.models import Comment
from brickwork import (
    Database,
    ListQuery,
    Page,
    Resource,
    SessionDep,
    apply_changes,
    get_or_404,
    merge_patch,
    paginate,
)


class User:
    id: UUID


def current_user() -> User:
    raise NotImplementedError


CurrentUser = Annotated[User, Depends(current_user)]


class Articles(Resource[Article]):
    user: CurrentUser

    @override
    def query(self) -> Select[Article]:
        assert_type(self.user, User)
        assert_type(self.session, AsyncSession)
        return super().query().where(Article.author_id == self.user.id)

    @override
    async def create(self, row: Article, /) -> None:
        row.author_id = self.user.id
        assert_type(self.validated_data(row, ArticleCreate), ArticleCreate | None)
        await super().create(row)

    async def publish(self, key: UUID) -> Article:
        article = await self.get(key)
        await self.update(article, {"status": "published"})
        return article


class Comments(Resource[Comment]):
    @override
    async def get(self, key: object, /) -> Article:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotImplementedError

    @override
    async def list(self) -> None:  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
        """There is no such step."""


async def steps(session: SessionDep, user: User) -> None:
    assert_type(session, AsyncSession)
    articles = Articles(session=session, user=user)
    assert_type(articles.model, type[Article])
    assert_type(articles.query(), Select[Article])
    assert_type(await articles.get("a"), Article)
    assert_type(await articles.page(ListQuery[Article]()), Page[Article])
    assert_type((await articles.page(ListQuery())).items[0], Article)
    await articles.create(Article())
    await articles.delete(await articles.get("a"))
    await articles.page(ListQuery[Comment]())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await articles.create(Comment())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await articles.delete("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await articles.create(row=Article())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def fields_are_keywords(session: AsyncSession, user: User) -> None:
    Comments(session=session)
    Articles(session=session, user=user)
    Articles(session, user)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Articles(session=session)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Articles(session=session, user="me")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Articles(session=session, user=user, more=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def helpers(session: AsyncSession, article: Article) -> None:
    assert_type(await get_or_404(session, Article, "a"), Article)
    assert_type(await get_or_404(session, select(Article), "a"), Article)
    page = await paginate(session, select(Article), ListQuery(limit=5))
    assert_type(page, Page[Article])
    assert_type(page.total, int | None)
    apply_changes(article, {"title": "a"})
    await get_or_404(session, "articles", "a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await paginate(session, select(Article), 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    apply_changes(article, "title")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    merge_patch(article, {"title": "a"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def script(database: Database) -> None:
    async with database.session(readonly=True) as session:
        assert_type(session, AsyncSession)
        assert_type(await Comments(session=session).page(ListQuery()), Page[Comment])


def model_of(resource: type[Resource[Article]]) -> None:
    assert_type(resource.model, type[Article])
