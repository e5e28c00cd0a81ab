"""Run the service: `python -m app` migrates the database, then serves."""

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
    """Migrate and serve, or end with one line that says what is missing."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit("\n".join(_line(each) for each in error.errors()))
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
    """Return the service; what is there now stays, and is not looked through again and again."""
    app = create_app()
    gc.collect()
    gc.freeze()
    return app


def _line(error: ErrorDetails) -> str:
    """Return what is wrong with a variable of the environment."""
    name = "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg']}" if name else error["msg"]


if __name__ == "__main__":
    main()
