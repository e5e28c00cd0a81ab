"""Applications that run for all tests of a worker, over databases that are emptied for each."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import MetaData, delete, text

from app.main import create_app
from app.models import Model
from app.settings import Settings
from brickwork import Database
from examples.by_hand import main as by_hand
from examples.by_hand.database import Base
from tests.support.calls import client_of
from tests.support.databases import Databases

Name: TypeAlias = Literal["declared", "by hand"]


@dataclass(frozen=True)
class Service:
    """An application that runs, and its database."""

    url: str
    app: FastAPI
    state: Mapping[str, Any] | None
    database: Database
    metadata: MetaData

    def client(self) -> AsyncClient:
        """Return a new client."""
        return client_of(self.app, self.state)

    async def empty(self) -> None:
        """Remove every row."""
        tables = [*reversed(self.metadata.sorted_tables)]
        async with self.database.writer.begin() as connection:
            if connection.dialect.name == "postgresql":  # whose DELETE leaves the files as long
                names = ", ".join(table.name for table in tables)
                await connection.execute(text(f"TRUNCATE {names}"))
            else:
                for table in tables:
                    await connection.execute(delete(table))


class Services:
    """The reference service and the example by hand, each started when a test first wants it."""

    def __init__(self, databases: Databases, stack: AsyncExitStack) -> None:
        """Start nothing yet; what is started ends with *stack*."""
        self._databases = databases
        self._stack = stack
        self._started: dict[tuple[str, Name], Service] = {}

    async def emptied(self, backend: str, name: Name = "declared") -> Service:
        """Return an application whose database has no row."""
        if (backend, name) not in self._started:
            self._started[backend, name] = await self._start(backend, name)
        await self._started[backend, name].empty()
        return self._started[backend, name]

    async def _start(self, backend: str, name: Name) -> Service:
        if name == "declared":
            url = self._databases.migrated(backend)
            app, metadata = create_app(Settings(database_url=url)), Model.metadata
        else:
            url = self._databases.empty(backend)
            app, metadata = by_hand.create_app(url), Base.metadata
        database = Database(url)
        self._stack.push_async_callback(database.dispose)
        state = await self._stack.enter_async_context(app.router.lifespan_context(app))
        return Service(url, app, state, database, metadata)
