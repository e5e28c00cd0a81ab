"""Dependencies that a test replaces."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts


@contextmanager
def sign_in(app: FastAPI, dependency: Callable[..., Any], user: object) -> Generator[None]:
    """Let *dependency* return *user* in the block, without calling it.

    It overrides the dependency, so no token is needed. Requests still take the fast path. A block
    in a block replaces the user, and the end of the inner block restores the outer user.

    ```python
    from brickwork.testing import sign_in

    async def test_reader_cannot_write(app: FastAPI, client: AsyncClient) -> None:
        with sign_in(app, current_user, User(name="ada", role="reader")):
            response = await client.post("/articles", json={"title": "Hello"})
        assert response.status_code == 403
    ```

    Args:
        app: The application that includes the routes: for a mounted one, the mounted application.
        dependency: The function in `Depends(...)`.
        user: What the dependency returns.

    Raises:
        TypeError: No route of *app* depends on *dependency*.

    """
    _require_dependency(app, dependency)

    async def signed_in() -> object:
        return user

    overrides = app.dependency_overrides
    outer = overrides.get(dependency)
    overrides[dependency] = signed_in
    try:
        yield
    finally:
        if outer is None:
            overrides.pop(dependency, None)
        else:
            overrides[dependency] = outer


def _require_dependency(app: FastAPI, dependency: Callable[..., Any]) -> None:
    """Raise `TypeError` if no route of *app* depends on *dependency*.

    An override may depend on it, too.
    """
    if app.dependency_overrides:
        return
    dependants = [
        dependant
        for route in iter_route_contexts(app.routes)
        if isinstance(dependant := getattr(route, "dependant", None), Dependant)
    ]
    if dependency not in _calls(dependants):
        name = getattr(dependency, "__name__", repr(dependency))
        raise TypeError(
            f"No route of the application depends on {name}, so nobody would be signed in. Pass "
            "the function that is in Depends(...), and for a mounted application, that application."
        )


def _calls(dependants: Sequence[Dependant]) -> Iterator[object]:
    """Yield the functions of *dependants* and of their dependencies."""
    for dependant in dependants:
        yield dependant.call
        yield from _calls(dependant.dependencies)
