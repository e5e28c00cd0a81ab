"""The application."""

from fastapi import FastAPI

from brickwork import Database, install

from .articles.resource import router as articles
from .authors.resource import router as authors
from .comments.resource import router as comments
from .settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service over the database that *settings* name, the environment's unless given."""
    settings = settings or Settings()
    database = Database(settings.database_url)
    app = FastAPI(title="Brickwork", version="0.1.0", lifespan=database.lifespan)
    install(app, cursor_keys=settings.cursor_keys, development=settings.development)
    for router in (authors, articles, comments):
        app.include_router(router)
    return app
