"""The application."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import environ
from typing import Any

from fastapi import FastAPI

from brickwork import Database, install

from .database import Base
from .routers import articles


def create_app(database_url: str | None = None) -> FastAPI:
    """Return the application. *database_url* defaults to `DATABASE_URL`, or to a file."""
    database = Database(
        database_url or environ.get("DATABASE_URL", "sqlite+aiosqlite:///by_hand.db")
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        await database.create_all(Base.metadata)  # a service uses migrations instead
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(title="Articles by hand", lifespan=lifespan)
    install(app)
    app.include_router(articles.router)
    return app
