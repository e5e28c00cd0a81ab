"""Step 1: a resource in a sub-application."""

from fastapi import FastAPI

from brickwork import install

from .database import connect, running
from .handlers import add_old_routes
from .orders import orders


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    engine = connect(url)
    app = FastAPI(title="Customers", lifespan=lambda _: running(engine))
    add_old_routes(app)
    api = FastAPI(title="Orders")
    install(api)
    api.include_router(orders())
    app.mount("/api", api)
    return app
