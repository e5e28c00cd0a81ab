"""The application with a database for each tenant."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from fastapi import Depends, FastAPI, Request

from brickwork import Database, Forbidden, install

from .auth import CurrentCaller
from .models import Base
from .routers import router


def create_app(urls: Mapping[UUID, str]) -> FastAPI:
    """Return the application with a database for each tenant of *urls*."""
    databases = {tenant: Database(url) for tenant, url in urls.items()}

    async def use_database(request: Request, caller: CurrentCaller) -> None:
        """Use the database of the caller's tenant."""
        if caller.tenant_id not in databases:
            raise Forbidden("The tenant has no database.")
        await databases[caller.tenant_id].use(request)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for database in databases.values():
                await database.create_all(Base.metadata)
                await stack.enter_async_context(database.lifespan(app))
            yield

    app = FastAPI(title="Tenancy", lifespan=lifespan)
    install(app)
    app.include_router(router, dependencies=[Depends(use_database)])
    return app
