"""Applications are found by name, and their resources by path; what is wrong is said."""

import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from app.main import create_app
from brickwork import Limits
from brickwork.applications import load, running, unattended
from brickwork.limits import current
from brickwork.misuse import Misuse
from tests.support import depot
from tests.support.depot import Depot

pytestmark = pytest.mark.anyio


def test_an_application_is_found_by_its_name() -> None:
    assert load("tests.support.depot:empty") is depot.empty


def test_a_function_that_makes_an_application_is_called() -> None:
    assert load("app.main:create_app").title == "Brickwork"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("app.main", "app.main names no application: write MODULE:NAME"),
        (":create_app", "names no application"),
        ("app.main:", "names no application"),
        ("nowhere.main:app", "There is no module nowhere: start in the folder"),
        ("app.nowhere:app", r"There is no module app\.nowhere"),
        ("app.main:nothing", "is no FastAPI application"),
        ("app.main:__doc__", "is no FastAPI application"),
        ("app.settings:Settings", "is no FastAPI application"),
        (
            "tests.support.depot:needs_a_url",
            "cannot be called: missing a required argument: 'url'; give",
        ),
    ],
)
def test_a_name_of_no_application_says_what_is_wrong(name: str, error: str) -> None:
    with pytest.raises(Misuse, match=error):
        load(name)


def test_what_a_module_of_the_application_lacks_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        load("lacking:app")


@pytest.mark.parametrize("name", ["parts", "/parts", "parts/", "/parts/"])
def test_a_resource_is_found_by_its_path(name: str) -> None:
    database = Depot("sqlite:///x.db")
    found = unattended(depot.create_app("sqlite:///x.db"), database, name)

    assert (found.path, found.shape.model, found.database) == ("/parts", depot.Part, database)


@pytest.mark.parametrize("name", ["articles", "comments", "authors"])
def test_the_resources_of_the_service_are_found(name: str) -> None:
    assert unattended(create_app(), Depot("sqlite:///x.db"), name).path == f"/{name}"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("bolts", "bolts names no resource: /parts, /shelves, /v1/private, /v2/private"),
        ("arts", "no resource"),
        ("", "no resource"),
        ("private", "private names several resources: /v1/private, /v2/private"),
    ],
)
def test_a_name_of_no_resource_tells_those_there_are(name: str, error: str) -> None:
    with pytest.raises(Misuse, match=error):
        unattended(depot.create_app("sqlite:///x.db"), Depot("sqlite:///x.db"), name)


def test_an_application_without_a_resource_says_so() -> None:
    with pytest.raises(Misuse, match="none, as no crud_router is included"):
        unattended(depot.empty, Depot("sqlite:///x.db"), "parts")


async def test_an_application_that_runs_has_its_database_and_its_limits(empty_url: str) -> None:
    before = current.set(Limits())
    app = depot.create_app(empty_url)
    app.add_middleware(GZipMiddleware)
    async with running(app) as database:
        assert isinstance(database, Depot)
        assert current.get().body == 2_000
    current.reset(before)


@pytest.mark.parametrize("app", [depot.empty, FastAPI()])
async def test_an_application_without_a_database_says_how_to_get_one(app: FastAPI) -> None:
    with pytest.raises(Misuse, match=r"no database: start it with FastAPI\(lifespan="):
        async with running(app):
            pass
