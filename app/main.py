"""The application."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

from brickwork import Database, install

from .about import DESCRIPTION, TITLE, VERSION
from .auth import protect
from .pages import router as pages
from .routers import ROUTERS
from .settings import Settings

log: Final = logging.getLogger(__name__)

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
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        docs_url=None,  # the pages load nothing from other hosts
        redoc_url=None,
        lifespan=lifespan,
    )
    install(app, cursor_keys=settings.cursor_keys, development=settings.development)
    app.include_router(pages)
    protected = protect(app, settings)
    for router in ROUTERS:
        app.include_router(router, dependencies=protected)
    return app
