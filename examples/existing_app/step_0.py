"""Step 0: the old application."""

from fastapi import FastAPI

from .database import connect, running
from .handlers import add_old_routes


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    engine = connect(url)
    app = FastAPI(title="Customers", lifespan=lambda _: running(engine))
    add_old_routes(app)
    return app
