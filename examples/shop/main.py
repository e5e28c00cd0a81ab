"""The application."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import environ
from typing import Any

from fastapi import FastAPI

from brickwork import Database, install

from .models import Base
from .routers import router


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    database = Database(url or environ.get("DATABASE_URL", "sqlite:///shop.db"))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        await database.create_all(Base.metadata)  # a service uses migrations instead
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(title="Shop", lifespan=lifespan)
    install(app)
    app.include_router(router)
    return app
