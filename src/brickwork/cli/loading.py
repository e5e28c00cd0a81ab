"""Applications by name, as a command line has it: `app.main:create_app`, and what is in them."""

import importlib
import inspect
import re
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from brickwork.cli.errors import UsageError
from brickwork.cli.runner import JobRunner
from brickwork.database.database import Database
from brickwork.limits import Limits, current_limits
from brickwork.query.keys import BATCH
from brickwork.resource.definition import ResourceDefinition

_ITEM_SUFFIX: Final = re.compile(r"/\{id:key\}.*")


def import_app(name: str) -> FastAPI:
    """Return the application that *name* says, `MODULE:NAME`, or what makes it.

    Modules are looked for in the working directory, too. Raises `UsageError` for what is no
    application, and no function without required arguments that returns one.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise UsageError(
            f"{name} names no application: write MODULE:NAME, as in app.main:create_app."
        )
    app = getattr(_import_module(module), attribute, None)
    app = app if isinstance(app, FastAPI) else _call_factory(name, app)
    if isinstance(app, FastAPI):
        return app
    raise UsageError(f"{name} is no FastAPI application, and no function that returns one.")


@asynccontextmanager
async def run_lifespan(app: FastAPI) -> AsyncGenerator[Database]:
    """Start *app* as a server would, and yield its database; its limits are in force.

    Statements may take as long as they do, since no client waits for them.
    """
    found = (each.kwargs.get("limits") for each in app.user_middleware)
    current_limits.set(next((each for each in found if isinstance(each, Limits)), Limits()))
    async with app.router.lifespan_context(app) as state:
        database = (state or {}).get("database")
        if not isinstance(database, Database):
            text = "start it with FastAPI(lifespan=Database(url).lifespan)"
            raise UsageError(f"The application has no database: {text}.")
        await database.unbound()
        yield database


def job_runner(app: FastAPI, database: Database, name: str) -> JobRunner[Any]:
    """Return the resource of *app* that *name* means, to work without a request."""
    return JobRunner(database, *find_resource(app, name))


def find_resource(app: FastAPI, name: str) -> tuple[str, ResourceDefinition[Any]]:
    """Return path and shape of the resource of *app* whose path is *name* or ends with it.

    Raises `UsageError` if that is none, or several.
    """
    known = _resources_by_path(app)
    wanted = "/" + name.strip("/")
    found = [wanted] if wanted in known else [each for each in known if each.endswith(wanted)]
    if len(found) != 1:
        paths = ", ".join(sorted(found or known)) or "none, as no crud_router is included"
        raise UsageError(
            f"{name} names {'several resources' if found else 'no resource'}: {paths}."
        )
    return found[0], known[found[0]]


def _import_module(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # it is there, and what it imports is not
        text = "start in the folder that it is in, or install it"
        raise UsageError(f"There is no module {error.name}: {text}.") from None


def _call_factory(name: str, factory: object) -> object:
    if not callable(factory):
        return None
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        text = "give its parameters defaults, or name a function that has none"
        raise UsageError(f"{name} cannot be called: {error}; {text}.") from None
    made: object = factory()
    return made


def _resources_by_path(app: FastAPI) -> Mapping[str, ResourceDefinition[Any]]:
    """Return the resources of *app* by the paths of their lists."""
    found: dict[str, ResourceDefinition[Any]] = {}
    for route in iter_route_contexts(app.routes):
        shape = getattr(route.endpoint, "shape", None)
        path = route.path or ""
        if isinstance(shape, ResourceDefinition) and not path.endswith(f"/{BATCH}"):
            found[_ITEM_SUFFIX.sub("", path)] = shape
    return found
