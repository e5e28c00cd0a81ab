"""Applications of single routers, on both paths."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient

from brickwork import Database, install
from tests.support.calls import CreateApp, calling

FAST = {"fast": True, "ORM": False}
"""The values of `fast_path`, by the names in test ids."""


def apps_of(*routers: APIRouter) -> Mapping[bool, CreateApp]:
    """Return functions that create an application with *routers*, by the value of `fast_path`."""

    def create_app(url: str, *, fast: bool) -> FastAPI:
        return _app_of(Database(url, fast_path=fast), *routers)

    return {fast: partial(create_app, fast=fast) for fast in FAST.values()}


def _app_of(database: Database, *routers: APIRouter) -> FastAPI:
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    for router in routers:
        app.include_router(router)
    return app


@asynccontextmanager
async def serving_routers(database: Database, *routers: APIRouter) -> AsyncGenerator[AsyncClient]:
    """Yield a client of an application with *routers*. An error of it is a 500."""
    async with calling(_app_of(database, *routers)) as client:
        yield client
