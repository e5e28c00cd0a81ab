"""`python -m app`: migrates the database and serves."""

import gc
import sys

import uvicorn
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp

from brickwork import AccessLog

from .main import create_app
from .migrations import migrate
from .settings import Settings, error_lines


def main() -> None:
    """Migrate and serve, or exit with one line that names the remedy."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(error_lines(error))
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
        f"{__package__}.__main__:frozen_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="brickwork.protocol:Protocol",
        access_log=False,  # `frozen_app` has a cheaper one
        use_colors=None if sys.stdout else False,  # uvicorn fails on a closed one
    )


def frozen_app() -> ASGIApp:
    """Return the service, with all its objects exempt from garbage collection.

    The collector would look at each of them again and again: that is a third of the CPU time under
    load. Requests leave no cycles, so a pass over young objects is rarely of use, either.
    """
    settings = Settings()
    app: ASGIApp = create_app(settings)
    if settings.access_log:
        app = AccessLog(app)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # more than the objects of 64 requests at a time
    return app


if __name__ == "__main__":
    main()
