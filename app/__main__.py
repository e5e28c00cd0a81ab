"""`python -m app`: migrates the database and serves."""

import gc
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError

from .main import create_app
from .migrations import migrate
from .settings import Settings


def main() -> None:
    """Migrate and serve, or exit with one line that names the remedy."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit("\n".join(_line(detail) for detail in error.errors()))
    try:
        migrate(settings.database_url)
    except (OSError, DBAPIError) as error:
        if isinstance(error, DBAPIError) and error.statement:  # a migration failed
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error
        sys.exit(
            f"The database cannot be reached: {cause}. Start or create it, or correct DATABASE_URL."
        )
    uvicorn.run(
        "app.__main__:frozen_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="brickwork.protocol:Protocol",
    )


def frozen_app() -> FastAPI:
    """Return the service, with all its objects exempt from garbage collection."""
    app = create_app()
    gc.collect()
    gc.freeze()
    return app


def _line(error: ErrorDetails) -> str:
    """Return one line about an invalid environment variable."""
    name = "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg']}" if name else error["msg"]


if __name__ == "__main__":
    main()
