"""Applications that all tests of a worker share."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData

from app.main import create_app
from app.settings import Settings
from brickwork import Database, Model
from brickwork.testing.databases import empty_tables
from examples.by_hand import main as by_hand
from examples.by_hand.database import Base as ByHand
from tests.support import blog, shop
from tests.support.calls import client_of
from tests.support.databases import Databases

Name: TypeAlias = Literal["declared", "by hand", "blog", "shop"]


@dataclass(frozen=True)
class Service:
    """A running application, and its database."""

    url: str
    app: FastAPI
    state: Mapping[str, Any] | None
    database: Database
    metadata: MetaData

    @property
    def own_database(self) -> Database:
        """Return the database that the application uses, with separate connections."""
        database: Database = (self.state or {})["database"]
        return database

    def client(self) -> AsyncClient:
        """Return a new client."""
        return client_of(self.app, self.state)

    async def empty(self) -> None:
        """Delete every row."""
        await empty_tables(self.database)


class Services:
    """The applications that tests share, started at their first use."""

    def __init__(self, databases: Databases, stack: AsyncExitStack) -> None:
        """Start nothing yet; *stack* ends the applications."""
        self._databases = databases
        self._stack = stack
        self._started: dict[tuple[str, Name], Service] = {}

    async def emptied(self, backend: str, name: Name = "declared") -> Service:
        """Return an application without rows."""
        if (backend, name) not in self._started:
            self._started[backend, name] = await self._start(backend, name)
        await self._started[backend, name].empty()
        return self._started[backend, name]

    async def _start(self, backend: str, name: Name) -> Service:
        empty, migrated = self._databases.empty, self._databases.migrated
        url = migrated(backend) if name == "declared" else empty(backend)
        app, metadata = _application(name, url)
        database = Database(url)
        self._stack.push_async_callback(database.dispose)
        state = await self._stack.enter_async_context(app.router.lifespan_context(app))
        return Service(url, app, state, database, metadata)


def _application(name: Name, url: str) -> tuple[FastAPI, MetaData]:
    match name:
        case "declared":
            return create_app(Settings(database_url=url)), Model.metadata
        case "by hand":
            return by_hand.create_app(url), ByHand.metadata
        case "blog":
            return blog.create_app(url), blog.Base.metadata
        case "shop":
            return shop.create_app(url), shop.Base.metadata
