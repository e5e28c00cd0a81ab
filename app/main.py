"""The application."""

from fastapi import FastAPI

from brickwork import Database, install

from .about import DESCRIPTION, TITLE, VERSION
from .pages import router as pages
from .routers import ROUTERS
from .settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service. Without *settings*, they come from the environment."""
    settings = settings or Settings()
    database = Database(settings.database_url)
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        docs_url=None,  # the pages load nothing from other hosts
        redoc_url=None,
        lifespan=database.lifespan,
    )
    install(app, cursor_keys=settings.cursor_keys, development=settings.development)
    for router in (*ROUTERS, pages):
        app.include_router(router)
    return app
