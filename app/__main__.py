"""Run the service: `python -m app` migrates the database, then serves."""

import gc
import sys

import uvicorn
from sqlalchemy.exc import DBAPIError

from .main import create_app
from .migrations import migrate
from .settings import Settings

settings = Settings()
try:
    migrate(settings.database_url)
except (OSError, DBAPIError) as error:
    if isinstance(error, DBAPIError) and error.statement:  # a migration failed
        raise
    cause = error.orig if isinstance(error, DBAPIError) else error
    sys.exit(
        f"The database cannot be reached: {cause}. Start or create it, or correct DATABASE_URL."
    )
app = create_app(settings)
gc.collect()
gc.freeze()  # what is there now stays: looking through it again and again is a pause for all
uvicorn.run(app, host=settings.host, port=settings.port, http="brickwork.protocol:Protocol")
