"""One application over either database, by the fast path and by the ORM path."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient

from brickwork import Database, install
from tests.support.calls import calling

FAST = {"fast": True, "ORM": False}
"""The paths of a request, by the names that tests show."""


@asynccontextmanager
async def serving_routers(database: Database, *routers: APIRouter) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application that has *routers*; an error of it is an answer."""
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    for each in routers:
        app.include_router(each)
    async with calling(app) as client:
        yield client
