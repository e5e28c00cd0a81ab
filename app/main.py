"""The application."""

from typing import Final

from fastapi import FastAPI

from brickwork import Database, install

from .articles.endpoints import router as articles
from .authors.endpoints import router as authors
from .comments.endpoints import router as comments
from .pages import router as pages
from .settings import Settings

DESCRIPTION: Final = (
    "The reference service of Brickwork. Each error is a problem document (RFC 9457), and its type "
    "is the address of an explanation. The Link header of a list has the address of the next page."
)
RESOURCES: Final = [
    {"name": "authors", "description": "The people who write articles."},
    {"name": "articles", "description": "Drafts and published articles."},
    {"name": "comments", "description": "The remarks of readers on articles."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service. Without *settings*, they come from the environment."""
    settings = settings or Settings()
    database = Database(settings.database_url)
    app = FastAPI(
        title="Brickwork",
        description=DESCRIPTION,
        version="0.1.0",
        openapi_tags=RESOURCES,
        docs_url=None,  # app.pages has pages that load nothing from other hosts
        redoc_url=None,
        lifespan=database.lifespan,
    )
    install(app, cursor_keys=settings.cursor_keys, development=settings.development)
    for router in (authors, articles, comments, pages):
        app.include_router(router)
    return app
