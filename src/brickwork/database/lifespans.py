"""Why an application has no database."""

import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from weakref import WeakValueDictionary

from starlette.routing import Router
from starlette.types import Scope

from brickwork.request_internals import is_mounted

_TEST_CLIENT: Final = "testclient"
"""The host of requests of Starlette's `TestClient`."""

_TRANSPORT: Final = ("127.0.0.1", 123)
"""The address of requests of httpx's `ASGITransport`."""

_watched: Final = WeakValueDictionary[int, Router]()
"""The routers whose lifespans are watched, by their id: a router has no hash."""

_running: Final[list[list[Router]]] = []
"""The watched routers whose lifespans run."""


def watch_lifespan(router: Router) -> None:
    """Note from now on whether the lifespan of *router* runs."""
    lifespan = router.lifespan_context

    @asynccontextmanager
    async def watched(app: Any) -> AsyncGenerator[Mapping[str, Any] | None]:
        async with lifespan(app) as state:
            entry = [router]
            _running.append(entry)
            try:
                yield state
            finally:
                _running[:] = [other for other in _running if other is not entry]

    router.lifespan_context = cast("Any", watched)
    _watched[id(router)] = router


def explain_absence(scope: Scope, count: int) -> str:
    """Return why the request of *scope* has no database, with the remedy.

    *count* is how many databases the lifespan of its application has started.
    """
    router: Router = scope["app"].router
    if count:
        return _SEVERAL if count > 1 else _NOT_YIELDED
    if is_mounted(scope):
        return _MOUNTED
    if not any(map(_is_own, _parts(router.lifespan_context))):
        return _NO_LIFESPAN
    return _explain_lifespan(scope, router)


def _explain_lifespan(scope: Scope, router: Router) -> str:
    """Return why the lifespan of *router* has started no database."""
    if id(router) not in _watched:
        return f"{_NOT_YIELDED} {_EITHER}"
    if any(running is router for (running,) in _running):
        return _NOT_ENTERED
    match scope.get("client"):
        case [host, _] if host == _TEST_CLIENT:
            return _WITHOUT_WITH
        case [host, port] if (host, port) == _TRANSPORT:
            return _NO_TRANSPORT_LIFESPAN
        case _:
            return _NOT_RUN


def _parts(lifespan: Callable[..., Any]) -> Iterator[object]:
    """Yield the lifespans that *lifespan* combines, of any author."""
    # A method, such as Database.lifespan, has the attributes of its function.
    function: Any = lifespan if inspect.ismethod(lifespan) else inspect.unwrap(lifespan)
    yield function
    if _module(function) in _COMBINING:
        for cell in getattr(function, "__closure__", None) or ():
            if callable(cell.cell_contents):
                yield from _parts(cell.cell_contents)


def _is_own(lifespan: object) -> bool:
    """Return whether *lifespan* is of the author, or of a `Database`."""
    known = ("fastapi.", "starlette.", "brickwork.")
    is_method = inspect.ismethod(lifespan)
    return is_method or not f"{_module(lifespan)}.".startswith(known)


def _module(lifespan: object) -> str:
    return str(getattr(lifespan, "__module__", ""))


_COMBINING: Final = {"fastapi.routing", "brickwork.app", __name__}
"""The modules of functions that combine lifespans."""

_ENTER: Final = "`async with database.lifespan(app) as state: yield state`"

_NO_LIFESPAN: Final = (
    "The application has no database: FastAPI() has no lifespan. Write "
    "FastAPI(lifespan=Database(url).lifespan)."
)

_NOT_ENTERED: Final = (
    "The application has no database: its lifespan runs, and enters the lifespan of no Database "
    f"for this application. Write {_ENTER}."
)

_NOT_YIELDED: Final = (
    "The application has no database in its state: its lifespan does not yield the state of "
    f"Database.lifespan. Write {_ENTER}, or call brickwork.install(app)."
)

_EITHER: Final = (
    "If it does, the lifespan did not run: write `with TestClient(app) as client:` in a test, and "
    "`async with app.router.lifespan_context(app):` around an ASGITransport."
)

_WITHOUT_WITH: Final = (
    "The application has no database: the lifespan did not run, because TestClient runs it in a "
    "`with` statement only. In the test, write `with TestClient(app) as client:`."
)

_NO_TRANSPORT_LIFESPAN: Final = (
    "The application has no database: the lifespan did not run, because ASGITransport does not run "
    "it. Write `async with app.router.lifespan_context(app):` around the requests, or use the "
    "fixture `client` of brickwork.testing."
)

_NOT_RUN: Final = (
    "The application has no database: the lifespan did not run. Start the server with its "
    "lifespan, `uvicorn --lifespan on` for example, which prints why it fails."
)

_MOUNTED: Final = (
    "The application has no database. It is mounted, and the lifespan of a mounted application "
    "does not run: give FastAPI(lifespan=Database(url).lifespan) to the outer application."
)

_SEVERAL: Final = (
    "The application has several databases. Let its lifespan yield the state of one of them: "
    "`async with first.lifespan(app) as state, second.lifespan(app): yield state`."
)
