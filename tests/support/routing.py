"""Random trees of routers, with resources and without."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute

from brickwork import Resource, crud_router, install
from tests.support.shop import (
    Country,
    CountryCreate,
    CountryRead,
    CountryUpdate,
    Store,
    StoreCreate,
    StoreRead,
    StoreUpdate,
)


class Countries(Resource[Country]): ...


class Stores(Resource[Store]): ...


SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Country": {
        "resource": Countries,
        "read": CountryRead,
        "create": CountryCreate,
        "update": CountryUpdate,
    },
    "Store": {
        "resource": Stores,
        "read": StoreRead,
        "create": StoreCreate,
        "update": StoreUpdate,
    },
}


@dataclass(frozen=True)
class Crud:
    """A router of `crud_router`."""

    prefix: str
    model: str


@dataclass(frozen=True)
class Own:
    """A route of the application."""

    path: str
    method: str
    name: str


@dataclass(frozen=True)
class Nested:
    """A router with routers, included under each of *prefixes*."""

    prefixes: Sequence[str]
    children: "Sequence[Node]"


@dataclass(frozen=True)
class Mounted:
    """An application that is mounted."""

    path: str
    children: "Sequence[Node]"


Node: TypeAlias = Crud | Own | Nested | Mounted


class Built:
    """An application with resources, and one with plain routes that name themselves."""

    def __init__(self, tree: Sequence[Node]) -> None:
        """Build both applications; `routers` has each router of the tree in both forms."""
        self.routers: list[tuple[APIRouter, APIRouter]] = []
        self.app, self.reference = self._apps(tree)

    def add(self, node: Node, own: APIRouter, reference: APIRouter) -> None:
        """Add *node* to a router of both applications."""
        match node:
            case Crud(prefix, model):
                router, described = _crud(prefix, model)
                own.include_router(router)
                reference.include_router(described)
            case Own(path, method, name):
                endpoint = _saying({"own": name})
                own.add_api_route(path, endpoint, methods=[method])
                methods = [method, "HEAD"] if method == "GET" else [method]
                reference.add_api_route(path, endpoint, methods=methods)
            case Nested(prefixes, children):
                pair = self._routers(children)
                for prefix in prefixes:
                    own.include_router(pair[0], prefix=prefix)
                    reference.include_router(pair[1], prefix=prefix)
            case Mounted(path, children):
                apps = self._apps(children)
                own.mount(path, apps[0])
                reference.mount(path, apps[1])

    def _apps(self, tree: Sequence[Node]) -> tuple[FastAPI, FastAPI]:
        own, reference = self._routers(tree)
        app = FastAPI(openapi_url=None)
        install(app)
        app.include_router(own)
        described = FastAPI(openapi_url=None, redirect_slashes=False)
        described.include_router(reference)
        return app, described

    def _routers(self, children: Sequence[Node]) -> tuple[APIRouter, APIRouter]:
        pair = APIRouter(), APIRouter()
        for child in children:
            self.add(child, *pair)
        self.routers.append(pair)
        return pair


@cache
def _crud(prefix: str, model: str) -> tuple[APIRouter, APIRouter]:
    router = crud_router(prefix, **SCHEMAS[model])
    return router, _described(router, model)


def _described(router: APIRouter, model: str) -> APIRouter:
    """Return a router with the paths of *router*, whose routes return their operation."""
    described = APIRouter()
    for route in router.routes:
        assert isinstance(route, APIRoute)
        operation = route.unique_id.removeprefix(f"{_name(router)}_")
        methods = [*(route.methods or ())]
        methods += ["HEAD"] if "GET" in methods else []
        for path in (route.path, f"{route.path}/"):
            endpoint = _saying({"model": model, "operation": operation})
            described.add_api_route(path, endpoint, methods=methods)
    return described


def _name(router: APIRouter) -> str:
    first = router.routes[0]
    assert isinstance(first, APIRoute)
    return first.unique_id.removesuffix("_list")


def _saying(what: dict[str, str]) -> Callable[[Request], Awaitable[dict[str, str]]]:
    async def say(request: Request) -> dict[str, str]:
        return {**what, "id": str(request.path_params.get("id"))}

    return say
