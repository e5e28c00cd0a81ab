"""A blog of several sites, whose changes are audited and published."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, Select, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Audited,
    Database,
    JSONDocument,
    Model,
    PublishesEvents,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Timestamped,
    crud_router,
    install,
    unique_unless_deleted,
)


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Author(Base, Audited):
    """An author, whose key the client chooses."""

    __tablename__ = "authors"

    handle: Mapped[str] = mapped_column(String(5), primary_key=True)


class Comment(Base, Audited, PublishesEvents):
    """A comment, which is deleted with its article; an event does not contain its text."""

    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    article_id: Mapped[int] = mapped_column(ForeignKey("articles.id"))

    @override
    def event_data(self) -> dict[str, Any]:
        return {"article_id": self.article_id}


class Article(Base, Timestamped, SoftDelete, Audited, PublishesEvents):
    """An article of one site; its token is a secret."""

    __tablename__ = "articles"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(20))
    views: Mapped[int] = mapped_column(server_default="0")
    rating: Mapped[float | None]
    featured: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(String(9), default="draft")
    published_at: Mapped[datetime | None]
    meta: Mapped[dict[str, Any] | None]
    tags: Mapped[list[str] | None] = mapped_column(JSONDocument)
    token: Mapped[str | None] = mapped_column(String(10), info={"audit": False})
    source: Mapped[str | None] = mapped_column(String(20))
    notes: Mapped[str | None] = mapped_column(Text)
    site: Mapped[str] = mapped_column(String(10), default="")
    author_handle: Mapped[str | None] = mapped_column(
        ForeignKey(Author.handle, deferrable=True, initially="DEFERRED")
    )
    comments: Mapped[list[Comment]] = relationship(cascade="all, delete-orphan")

    __table_args__ = (unique_unless_deleted("slug"), CheckConstraint(views >= 0, name="views"))


class Tag(Base):
    """A tag, which is neither audited nor published."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class ArticleCreate(Schema):
    slug: str
    token: str | None = None
    source: str | None = None
    meta: dict[str, Any] | None = None


class ArticleUpdate(ArticleCreate, partial=True): ...


class ArticleRead(ReadSchema):
    """An article in a response, without `source`, which is write-only."""

    id: int
    slug: str
    views: int
    meta: dict[str, Any] | None
    updated_at: datetime


class AuthorCreate(Schema):
    handle: str


class AuthorUpdate(AuthorCreate, partial=True): ...


class AuthorRead(ReadSchema):
    handle: str


class TagCreate(Schema):
    name: str


class TagUpdate(TagCreate, partial=True): ...


class TagRead(ReadSchema):
    id: int
    name: str


def current_user(user: Annotated[str, Header()] = "") -> str:
    """Return the name of the user."""
    return user


def current_site(site: Annotated[str, Header()] = "") -> str:
    """Return the site that the request is for."""
    return site


class Articles(Resource[Article]):
    """The articles of one site."""

    user: Annotated[str, Depends(current_user)]
    site: Annotated[str, Depends(current_site)]

    @override
    def actor(self) -> str | None:
        return self.user or None

    @override
    def query(self) -> Select[Article]:
        return super().query().where(Article.site == self.site)

    @override
    async def create(self, row: Article, /) -> None:
        row.site, row.notes = self.site, "new"
        await super().create(row)


class Authors(Resource[Author]): ...


class Tags(Resource[Tag]): ...


articles = crud_router(
    "/articles", Articles, read=ArticleRead, create=ArticleCreate, update=ArticleUpdate
)
authors = crud_router(
    "/authors", Authors, read=AuthorRead, create=AuthorCreate, update=AuthorUpdate
)
tags = crud_router("/tags", Tags, read=TagRead, create=TagCreate, update=TagUpdate)


@articles.post("/{id}/view", response_model=ArticleRead)
async def view(id: str, rows: Annotated[Articles, Depends()]) -> Article:  # noqa: A002
    """Count a view in the database."""
    article = await rows.get(id)
    article.views = Article.views + 1
    await rows.session.flush()
    await rows.session.refresh(article)
    return article


class Blog(Database):
    """A database with the tables of the blog."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        await self.create_all(Base.metadata)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str) -> FastAPI:
    """Return the blog over the database at *url*."""
    app = FastAPI(lifespan=Blog(url).lifespan)
    install(app)
    for router in (articles, authors, tags):
        app.include_router(router)
    return app
