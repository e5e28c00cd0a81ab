"""The types of a list query."""

# ruff: noqa: D101, D103 — assert_type says it

from datetime import datetime
from typing import Annotated, Literal, assert_type
from uuid import UUID

from sqlalchemy import Select
from typing_extensions import override

from app.articles.models import Article
from brickwork import Fields, Filter, ListQuery, OneOf, Operators, SortBy, SortKey

Status = Literal["draft", "published"]


class ArticleQuery(ListQuery[Article], envelope=True):
    title: Filter[str] = None
    title__in: OneOf[str] | None = None
    status: Annotated[Filter[Status], Operators("eq", "in")] = None
    author_id: Filter[UUID] = None
    created_at: Annotated[Filter[datetime], Operators("gte", "lt")] = None
    fields: Fields = None
    sort: SortBy[Literal["title", "views"]] = None

    @override
    def filter(self, statement: Select[Article]) -> Select[Article]:
        assert_type(self.title, str | None)
        assert_type(self.title__in, tuple[str, ...] | None)
        assert_type(self.status, Status | None)
        assert_type(self.author_id, UUID | None)
        assert_type(self.created_at, datetime | None)
        assert_type(self.fields, tuple[str, ...] | None)
        assert_type(self.sort, tuple[SortKey[Literal["title", "views"]], ...] | None)
        return super().filter(statement)


def queries() -> None:
    ArticleQuery()
    ArticleQuery(title="A", title__in=("A", "B"), status="draft", fields=("id",), limit=3)
    ArticleQuery(title=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ArticleQuery(status="gone")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
