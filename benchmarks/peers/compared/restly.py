"""fastapi-restly."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

import fastapi_restly as fr
from fastapi import Depends, FastAPI, Header
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.peers.compared.models import Article, Comment, Note, Order, Task


class ArticleSchema(fr.BaseSchema):
    """An article."""

    id: fr.ReadOnly[UUID]
    slug: str
    title: str
    views: int = 0
    rating: float | None = None
    author_id: UUID | None = None


class NoteSchema(fr.BaseSchema):
    """A note."""

    id: fr.ReadOnly[UUID]
    text: str


class CommentSchema(fr.BaseSchema):
    """A comment, whose note has to exist."""

    id: fr.ReadOnly[UUID]
    note_id: fr.MustExist[UUID, Note]


class LineSchema(fr.BaseSchema):
    """A line of an order."""

    text: str


class OrderSchema(fr.BaseSchema):
    """An order with its lines."""

    id: fr.ReadOnly[UUID]
    number: str
    lines: list[LineSchema] = Field(default_factory=list)


class TaskSchema(fr.BaseSchema):
    """A task."""

    id: fr.ReadOnly[UUID]
    owner: str


class Current(fr.ContextNamespace):
    """The caller."""

    user: fr.ContextParam[str]


class TaskClauses(fr.ClauseNamespace):
    """The tasks of the caller."""

    model = Task
    default_scope = fr.where_clause(Task.owner == Current.user)


async def bind_user(x_user: Annotated[str, Header()]) -> AsyncGenerator[None]:
    """Name the caller while the request runs."""
    with Current.bind(user=x_user):
        yield


def create_app(engine: AsyncEngine) -> FastAPI:
    """Return the application."""
    app = FastAPI()
    fr.configure(app, async_engine=engine)
    for path, model, schema in (
        ("articles", Article, ArticleSchema),
        ("notes", Note, NoteSchema),
        ("comments", Comment, CommentSchema),
        ("orders", Order, OrderSchema),
    ):
        members = {"prefix": f"/{path}", "model": model, "schema": schema}
        fr.include_view(app)(type(f"{model.__name__}s", (fr.AsyncRestView,), members))
    members = {
        "prefix": "/tasks",
        "model": Task,
        "schema": TaskSchema,
        "dependencies": [Depends(bind_user)],
    }
    fr.include_view(app)(type("Tasks", (fr.AsyncRestView,), members))
    return app
