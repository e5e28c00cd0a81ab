"""Users that a test signs in."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI

from brickwork.testing import sign_in
from tests.support.calls import calling

pytestmark = pytest.mark.anyio


async def current_user() -> str:
    return "nobody"


def other() -> str:
    return ""


def create_app() -> FastAPI:
    app, router = FastAPI(), APIRouter()

    async def named(user: Annotated[str, Depends(current_user)]) -> str:
        return user

    @router.get("/me")
    async def me(user: Annotated[str | None, Depends(named)]) -> str | None:
        return user

    app.include_router(router)
    return app


async def test_a_block_in_a_block_signs_another_user_in() -> None:
    async with calling(app := create_app()) as client:

        async def me() -> object:
            return (await client.get("/me")).json()

        with sign_in(app, current_user, "ada"):
            assert await me() == "ada"
            with sign_in(app, current_user, None):
                assert await me() is None
            assert await me() == "ada"
            with pytest.raises(ZeroDivisionError), sign_in(app, current_user, "eve"):
                _ = 1 / 0
            assert await me() == "ada"
        assert await me() == "nobody"
        assert app.dependency_overrides == {}


def test_an_unused_dependency_is_refused() -> None:
    expected = "No route of the application depends on other"
    with pytest.raises(TypeError, match=expected), sign_in(create_app(), other, ""):
        pass
