"""The application."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

from brickwork import Database, install

from .articles.endpoints import router as articles
from .auth import protect
from .authors.endpoints import router as authors
from .comments.endpoints import router as comments
from .pages import router as pages
from .settings import Settings

log: Final = logging.getLogger(__name__)

DESCRIPTION: Final = (
    "The reference service of Brickwork. Each error is a problem document (RFC 9457), and its type "
    "is the address of an explanation. The Link header of a list has the address of the next page."
)
RESOURCES: Final = [
    {"name": "authors", "description": "The people who write articles."},
    {"name": "articles", "description": "Drafts and published articles."},
    {"name": "comments", "description": "The remarks of readers on articles."},
]

AUTH_IS_OFF: Final = (
    "AUTH is off: everybody may read, change and delete everything. Set AUTH=jwt, with AUTH_SECRET "
    "or AUTH_JWKS_URL."
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service. Without *settings*, they come from the environment."""
    settings = settings or Settings()
    database = Database(settings.database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        if settings.auth == "off":
            log.warning(AUTH_IS_OFF)
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(
        title="Brickwork",
        description=DESCRIPTION,
        version="0.1.0",
        openapi_tags=RESOURCES,
        docs_url=None,  # app.pages has pages that load nothing from other hosts
        redoc_url=None,
        lifespan=lifespan,
    )
    install(app, cursor_keys=settings.cursor_keys, development=settings.development)
    app.include_router(pages)
    protected = protect(app, settings)
    for router in (authors, articles, comments):
        app.include_router(router, dependencies=protected)
    return app
