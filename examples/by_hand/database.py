"""Step 1: the engines and the session of a request, and a base for the models."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import MetaData
from typing_extensions import override

from brickwork import Database, Entity


class Base(Entity):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


class CreatedDatabase(Database):
    """A database that makes its tables at the start; a service has migrations for that."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        """Create the tables that are not there, then serve."""
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state
