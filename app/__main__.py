"""Run the service: `python -m app` migrates the database, then serves."""

import uvicorn

from .main import create_app
from .migrations import migrate
from .settings import Settings

settings = Settings()
migrate(settings.database_url)
uvicorn.run(
    create_app(settings),
    host=settings.host,
    port=settings.port,
    http="brickwork.protocol:Protocol",
)
