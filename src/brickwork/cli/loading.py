"""Loading of applications and their resources by name."""

import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from brickwork.cli.errors import UsageError
from brickwork.cli.runner import JobRunner
from brickwork.database.database import Database
from brickwork.limits import Limits, current_limits
from brickwork.models.model import is_mapped
from brickwork.query.keys import BATCH
from brickwork.resource.definition import ResourceDefinition


def import_app(name: str) -> FastAPI:
    """Import the application *name*, `MODULE:NAME`, or call the function that returns it.

    The working directory is on the module path. Raises `UsageError` if *name* is neither an
    application nor a function without required arguments that returns one.
    """
    app = _import_object(name, "an application: write MODULE:NAME, as in app.main:create_app")
    app = app if isinstance(app, FastAPI) else _call_factory(name, app)
    if isinstance(app, FastAPI):
        return app
    raise UsageError(
        f"{name} is neither a FastAPI application nor a function that returns one: pass one as "
        "--app."
    )


def import_model(name: str) -> type[object]:
    """Import the mapped class *name*, `MODULE:MODEL`. Raises `UsageError` for anything else."""
    model = _import_object(name, "a model: write MODULE:MODEL, as in app.models:Product")
    if not is_mapped(model):
        raise UsageError(f"{name} is not a mapped class.")
    return model


@asynccontextmanager
async def run_lifespan(app: FastAPI) -> AsyncGenerator[Database]:
    """Run the lifespan of *app* with its limits, and yield its database.

    Statements have no time limit, because no client waits for them.
    """
    options = (middleware.kwargs.get("limits") for middleware in app.user_middleware)
    current_limits.set(next((limits for limits in options if isinstance(limits, Limits)), Limits()))
    async with app.router.lifespan_context(app) as state:
        database = (state or {}).get("database")
        if not isinstance(database, Database):
            text = "start it with FastAPI(lifespan=Database(url).lifespan)"
            raise UsageError(f"The application has no database: {text}.")
        await database.unbound()
        yield database


def job_runner(app: FastAPI, database: Database, name: str) -> JobRunner[Any]:
    """Return a runner for jobs on the resource *name* of *app*, outside of requests."""
    return JobRunner(database, *find_resource(app, name))


def find_resource(app: FastAPI, name: str) -> tuple[str, ResourceDefinition[Any]]:
    """Return the path and the definition of the resource whose path is *name* or ends with it.

    Raises `UsageError` unless exactly one resource matches.
    """
    resources = _resources_by_path(app)
    suffix = "/" + name.strip("/")
    paths = [suffix] if suffix in resources else [p for p in resources if p.endswith(suffix)]
    if not paths:
        choices = ", ".join(sorted(resources)) or "none, because no crud_router is included"
        raise UsageError(f"There is no resource {name}. The resources are: {choices}.")
    if len(paths) > 1:
        raise UsageError(f"{name} is ambiguous: write one of {', '.join(sorted(paths))}.")
    return paths[0], resources[paths[0]]


def _import_object(name: str, meaning: str) -> object:
    """Import *name* with the working directory on the module path. None if there is none."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise UsageError(f"{name} is not the name of {meaning}.")
    return getattr(_import_module(module), attribute, None)


def _import_module(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but one that it imports does not
        text = "run the command in its folder, or install it"
        raise UsageError(f"There is no module {error.name}: {text}.") from None


def _call_factory(name: str, factory: object) -> object:
    if not callable(factory):
        return None
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        text = "give its parameters defaults, or name a function that has none"
        raise UsageError(f"{name} cannot be called: {error}; {text}.") from None
    app: object = factory()
    return app


def _resources_by_path(app: FastAPI) -> Mapping[str, ResourceDefinition[Any]]:
    """Return the resources of *app* by the paths of their lists."""
    resources: dict[str, ResourceDefinition[Any]] = {}
    for route in iter_route_contexts(app.routes):
        definition = getattr(route.endpoint, "definition", None)
        path = route.path or ""
        if isinstance(definition, ResourceDefinition) and not path.endswith(f"/{BATCH}"):
            collection, *_ = path.split(definition.row_path)
            resources[collection] = definition
    return resources
