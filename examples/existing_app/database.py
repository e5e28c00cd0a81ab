"""The engine and the sessions of the old application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import environ
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import event
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from .models import Base

SessionLocal = async_sessionmaker(expire_on_commit=False)


def connect(url: str | None = None) -> AsyncEngine:
    """Return the engine of *url*, and let `SessionLocal` use it."""
    url = url or environ.get("DATABASE_URL", "sqlite+aiosqlite:///customers.db")
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", enforce_foreign_keys)
    SessionLocal.configure(bind=engine)
    return engine


def enforce_foreign_keys(connection: Any, _: object) -> None:
    """Let SQLite check foreign keys."""
    connection.cursor().execute("PRAGMA foreign_keys = ON")


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session for a request."""
    async with SessionLocal() as session:
        yield session


DB = Annotated[AsyncSession, Depends(get_db)]


@asynccontextmanager
async def running(engine: AsyncEngine) -> AsyncGenerator[None]:
    """Create the tables, and close the connections at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()
