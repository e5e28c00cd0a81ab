"""Routers of random applications: prefixes, mounts, routes, settings."""

from collections.abc import Callable
from typing import Any, Final, cast
from unittest.mock import patch

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from starlette.routing import Route
from typing_extensions import override

from brickwork import ReadSchema, Resource, Schema, crud_router, install
from tests.support.applications.context import ASKING, masked
from tests.support.applications.draft import Change, Draft, Run, of, part, subclass

_FILLED: Final = {"{lang}": "en", "{tenant}": "bob", "{nested}": "n"}


def application(draft: Draft) -> FastAPI:
    """Build the application of *draft*; raise `TypeError` if Brickwork rejects a part."""
    prefix: str = draft.pick("/items", "/things", "/v1/items")
    router = crud_router(
        prefix,
        draft.resource,
        read=draft.read,
        create=draft.create,
        update=draft.update,
        query=draft.query,
        omit=draft.options.get("crud_router", {}).get("omit", ()),
    )
    for add in draft.own_routes:
        add(router)
    app = FastAPI(
        openapi_url=None,
        dependencies=draft.dependencies.get("application"),
        **draft.options.get("application", {}),
    )
    late = draft.chance(0.5)
    if not late:
        _install(app)
    _include(draft, app, router, prefix)
    if draft.chance(0.3):
        app.include_router(_groups(draft))
    if late:
        _install(app)
    for change in draft.installs:
        change(app)
    return app


def _install(app: FastAPI) -> None:
    install(app, cursor_keys=["a secret that is known to these tests alone"])


def _include(draft: Draft, app: FastAPI, router: APIRouter, path: str) -> None:
    """Include *router*, with its list at *path*, once or twice; record the paths for requests."""
    own = draft.options.get("include_router", {})
    options: dict[str, Any] = {"dependencies": draft.dependencies.get("router"), **own}
    if draft.chance(0.2):
        nested: str = draft.pick("/nested", "/{nested}")
        outer = APIRouter(prefix=nested)
        outer.include_router(router, **options)
        router, options, path = outer, {}, nested + path
    prefixes = draft.random.sample(["", "/outer", "/{lang}", "/tenants/{tenant}"], draft.pick(1, 2))
    if mounted := draft.chance(0.15):
        outer_app = app
        app = FastAPI(openapi_url=None, dependencies=draft.dependencies.get("application"))
        _install(app)
        outer_app.mount("/mounted", app)
    for prefix in prefixes:
        app.include_router(router, prefix=prefix, **options)
        place = f"{'/mounted' if mounted else ''}{prefix}{path}"
        for name, value in _FILLED.items():
            place = place.replace(name, value)
        draft.paths.append(place)
    if draft.chance(0.2):
        draft.root_path = "/root"


def _groups(draft: Draft) -> APIRouter:
    """Return plain routes of the groups."""
    resource = subclass(of(Resource, draft.group), called="Groups")
    create = subclass(Schema, called="GroupCreate", fields={"name": str})
    update = subclass(create, called="GroupUpdate", options={"partial": True})
    fields = {"id": int, "name": str, "tenant": str}
    read = subclass(ReadSchema, called="GroupRead", fields=fields)
    return crud_router("/groups", resource, read=read, create=create, update=update)


# --- Routes ---------------------------------------------------------------------------------------


async def _own_answer(request: Request) -> dict[str, str]:
    return {"own": request.url.path, "tenant": ASKING.get()}


_OWN_PATHS: Final = ("/{id}/own", "/counts", "/{id}", "", "/{rest:path}", "/{id:key}/restore")


@part("router")
def own_route_of_the_router(draft: Draft) -> str:
    path, method = draft.pick(*_OWN_PATHS), draft.pick("GET", "POST", "PATCH", "DELETE")
    first = draft.chance(0.3)

    def add(router: APIRouter) -> None:
        router.add_api_route(path, _own_answer, methods=[method])
        if first:
            router.routes.insert(0, router.routes.pop())

    draft.own_routes.append(add)
    return f"{method} {path}{', first' if first else ''}"


@part("router")
def route_while_it_runs(draft: Draft) -> str:
    """Put a route before all others while the application runs."""
    path = draft.pick("/items/{name}", "/{rest:path}", "/outer/items", "/things/{a}")

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"own": request.url.path})

    def make(run: Run) -> Callable[[], object]:
        route = Route(path, answer, methods=["GET", "DELETE"])
        run.app.router.routes.insert(0, route)
        return lambda: run.app.router.routes.remove(route)

    start, end = draft.time()
    draft.changes.append(Change("route", make, start, end))
    return f"{path} from request {start} to {end}"


@part("router")
def operations_that_are_left_out(draft: Draft) -> str:
    names = ["list", "create", "create_batch", "update_batch", "delete_batch", "get", "update"]
    omit = draft.random.sample([*names, "replace", "delete"], 2)
    draft.options["crud_router"] = {"omit": omit}
    return str(omit)


# --- Settings -------------------------------------------------------------------------------------


class Wrapped(JSONResponse):
    """A response with a wrapped body."""

    @override
    def render(self, content: Any) -> bytes:
        """Wrap *content*."""
        return super().render({"data": content, "asking": ASKING.get()})


@part("router")
def class_of_responses(draft: Draft) -> str:
    place = draft.pick("application", "include_router")
    own = draft.options.setdefault(place, {})
    own["default_response_class"] = draft.pick(Wrapped, JSONResponse)
    return f"{own['default_response_class'].__name__} {place}"


@part("router")
def limit_of_bodies(draft: Draft) -> None:
    draft.options.setdefault("include_router", {})["max_body_size"] = 60


@part("router")
def database(draft: Draft) -> str:
    option: dict[str, Any] = draft.pick(
        {"isolation_level": "serializable"},
        {"isolation_level": "repeatable read"},
        {"pool_size": 2},
        {"explained": True},
        {"sessions": True},
    )
    draft.options["database"] = option
    return str(option)


@part("router", backend="postgresql")
def execution_option(draft: Draft) -> str:
    """Set an execution option that selects another schema while the application runs."""

    def make(run: Run) -> Callable[[], object]:
        undo = [
            _translated(engine.sync_engine) for engine in (run.database.reader, run.database.writer)
        ]
        return lambda: [restore() for restore in undo]

    start, end = draft.time()
    draft.changes.append(Change("option", make, start, end))
    return f"from request {start} to {end}"


def _translated(engine: Any) -> Callable[[], object]:
    before = engine._execution_options  # noqa: SLF001 — there is no way to remove an option
    engine.update_execution_options(schema_translate_map={None: "other"})

    def undo() -> None:
        engine._execution_options = before  # noqa: SLF001 — as above

    return undo


@part("router")
def patched_method(draft: Draft) -> str:
    """Replace a method of the resource, or of the library, while the application runs."""
    base, usual = draft.resource, cast("Any", Resource)

    async def get(self: Any, key: object) -> Any:
        row = await base.__dict__.get("get", usual.get)(self, key)
        row.name = masked(row.name)
        self.session.expunge(row)
        return row

    async def page(self: Any, at: Any) -> Any:
        at.limit = 1
        return await usual.page(self, at)

    def query(_: Any) -> Any:
        return select(draft.model).where(draft.model.rank < 50)

    name, own = draft.pick(("get", get), ("page", page), ("query", query))

    def make(_: Run) -> Callable[[], object]:
        patched = patch.object(draft.resource, name, own)
        patched.start()
        return patched.stop

    start, end = draft.time()
    draft.changes.append(Change("patch", make, start, end))
    return f"{name} from request {start} to {end}"
