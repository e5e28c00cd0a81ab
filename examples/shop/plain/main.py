"""The application by hand."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import environ
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from . import categories, orders, products
from .models import (
    Base,
    connect,
)


def problem(status: int, members: dict[str, Any]) -> JSONResponse:
    """Return a problem (RFC 9457)."""
    document: dict[str, Any] = {"status": status} | members
    return JSONResponse(document, status, media_type="application/problem+json")


async def answer_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException`."""
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 — its handler
    detail: Any = error.detail
    return problem(error.status_code, {"detail": detail} if isinstance(detail, str) else detail)


async def answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request with 422."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — its handler
    errors = [
        {"pointer": "#/" + "/".join(map(str, one["loc"][1:])), "code": one["type"]}
        for one in error.errors()
    ]
    return problem(422, {"detail": "The request has invalid values.", "errors": errors})


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    engine = connect(url or environ.get("DATABASE_URL", "sqlite:///plain_shop.db"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(title="Shop by hand", lifespan=lifespan)
    for part in (categories, products, orders):
        app.include_router(part.router)
    app.add_exception_handler(StarletteHTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    return app
