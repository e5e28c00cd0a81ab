"""The application, and its errors."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import environ
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.exceptions import HTTPException

from .handlers import router
from .models import Base
from .rows import SessionLocal


def problem(status: int, members: dict[str, Any], headers: Any = None) -> JSONResponse:
    """Return a problem (RFC 9457)."""
    document: dict[str, Any] = {"status": status} | members
    return JSONResponse(document, status, headers, media_type="application/problem+json")


async def answer_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException`."""
    assert isinstance(error, HTTPException)  # noqa: S101 — its handler
    detail: Any = error.detail
    members: Any = {"detail": detail} if isinstance(detail, str) else detail
    return problem(error.status_code, members, error.headers)


async def answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request with 422, and an impossible key with 404."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — its handler
    if any(one["loc"][0] == "path" for one in error.errors()):
        return problem(404, {"detail": "Not found"})
    errors = [
        {"pointer": "#/" + "/".join(map(str, one["loc"][1:])), "code": one["type"]}
        for one in error.errors()
    ]
    return problem(422, {"detail": "The request has invalid values.", "errors": errors})


def enforce_foreign_keys(connection: Any, _: object) -> None:
    """Let SQLite check foreign keys."""
    connection.cursor().execute("PRAGMA foreign_keys = ON")


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    url = url or environ.get("DATABASE_URL", "sqlite+aiosqlite:///clinic.db")
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", enforce_foreign_keys)
    SessionLocal.configure(bind=engine)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Clinic", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    return app
