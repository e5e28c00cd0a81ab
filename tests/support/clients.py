"""Clients of one application on all databases and paths."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter
from httpx2 import AsyncClient
from sqlalchemy import MetaData

from brickwork import Database
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.shop import app_of


class Clients:
    """Applications of *routers* with the tables of *metadata*, started at their first use."""

    def __init__(
        self,
        databases: Databases,
        stack: AsyncExitStack,
        metadata: Sequence[MetaData],
        routers: Sequence[APIRouter],
    ) -> None:
        """Start nothing yet; *stack* ends the applications."""
        self._databases = databases
        self._stack = stack
        self._metadata = metadata
        self._routers = routers
        self._known: dict[tuple[str, bool], AsyncClient] = {}

    async def of(self, backend: str, *, fast: bool) -> AsyncClient:
        """Return the client of the application over *backend*."""
        if (backend, fast) not in self._known:
            database = Database(self._databases.empty(backend), fast_path=fast)
            for metadata in self._metadata:
                await database.create_all(metadata)
            client = calling(app_of(database, *self._routers))
            self._known[backend, fast] = await self._stack.enter_async_context(client)
        return self._known[backend, fast]


@asynccontextmanager
async def clients_of(
    templates: Databases, metadata: Sequence[MetaData], routers: Sequence[APIRouter]
) -> AsyncGenerator[Clients]:
    """Yield the clients of *routers*. The applications and their databases end with the block."""
    databases = templates.another()
    async with AsyncExitStack() as stack:
        yield Clients(databases, stack, metadata, routers)
    databases.drop()


async def remove_all(client: AsyncClient, path: str, *, key: str = "id") -> None:
    """Delete the rows at *path*, at most a hundred."""
    rows = (await client.get(path, params={"limit": 100})).json()
    if rows:
        response = await client.delete(f"{path}/batch", params={"id": [row[key] for row in rows]})
        assert response.status_code == 204, response.text
