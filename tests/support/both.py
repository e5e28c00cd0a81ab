"""Applications of single routers, on both paths."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient

from brickwork import Database, install
from tests.support.calls import calling

FAST = {"fast": True, "ORM": False}
"""The values of `fast_path`, by the names in test ids."""


@asynccontextmanager
async def serving_routers(database: Database, *routers: APIRouter) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application with *routers*. An error of it is a 500."""
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    for router in routers:
        app.include_router(router)
    async with calling(app) as client:
        yield client
