"""The application."""

from os import environ

from fastapi import FastAPI

from brickwork import install

from .database import CreatedDatabase
from .routers import articles


def create_app(database_url: str | None = None) -> FastAPI:
    """Return the application over *database_url*, else over `DATABASE_URL`, else a file."""
    url = database_url or environ.get("DATABASE_URL", "sqlite+aiosqlite:///by_hand.db")
    app = FastAPI(title="Articles by hand", lifespan=CreatedDatabase(url).lifespan)
    install(app)
    app.include_router(articles.router)
    return app
