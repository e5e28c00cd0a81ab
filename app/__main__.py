"""Run the service: `python -m app` migrates the database, then serves."""

import gc

import uvicorn

from .main import create_app
from .migrations import migrate
from .settings import Settings

settings = Settings()
migrate(settings.database_url)
app = create_app(settings)
gc.collect()
gc.freeze()  # what is there now stays: looking through it again and again is a pause for all
uvicorn.run(app, host=settings.host, port=settings.port, http="brickwork.protocol:Protocol")
