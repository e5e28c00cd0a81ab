"""The lookup of applications and resources by name."""

import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from sqlalchemy import text

from app.main import create_app
from brickwork import Database, Limits
from brickwork.cli.errors import UsageError
from brickwork.cli.loading import import_app, job_runner, run_lifespan
from brickwork.limits import current_limits
from tests.support import blog_imports
from tests.support.blog import Article, Blog


def test_application_is_found_by_its_name() -> None:
    assert import_app("tests.support.blog_imports:empty") is blog_imports.empty


def test_application_factory_is_called() -> None:
    assert import_app("app.main:create_app").title == "Brickwork"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("app.main", "app.main is not the name of an application: write MODULE:NAME"),
        (":create_app", "is not the name of an application"),
        ("app.main:", "is not the name of an application"),
        ("nowhere.main:app", "There is no module nowhere: run the command in its folder"),
        ("app.nowhere:app", r"There is no module app\.nowhere"),
        ("app.main:nothing", "is neither a FastAPI application nor"),
        ("app.main:__doc__", "is neither a FastAPI application nor"),
        ("app.settings:Settings", "is neither a FastAPI application nor"),
        (
            "tests.support.blog_imports:create_app_at",
            "cannot be called: missing a required argument: 'url'; give",
        ),
    ],
)
def test_invalid_application_name_is_rejected_with_the_remedy(name: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        import_app(name)


def test_import_error_of_an_application_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        import_app("lacking:app")


@pytest.mark.parametrize("name", ["articles", "/articles", "articles/", "/articles/"])
def test_resource_is_found_by_its_path(name: str) -> None:
    database = Blog("sqlite:///x.db")
    found = job_runner(blog_imports.create_app("sqlite:///x.db"), database, name)

    assert (found.path, found.definition.model, found.database) == ("/articles", Article, database)


@pytest.mark.parametrize("name", ["articles", "comments", "authors"])
def test_resource_of_the_service_is_found(name: str) -> None:
    assert job_runner(create_app(), Blog("sqlite:///x.db"), name).path == f"/{name}"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "tags",
            "There is no resource tags. The resources are: /articles, /authors, /v1/own, /v2/own",
        ),
        ("arts", "no resource"),
        ("", "no resource"),
        ("own", "own is ambiguous: write one of /v1/own, /v2/own"),
    ],
)
def test_unknown_resource_is_rejected_with_the_known_paths(name: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        job_runner(blog_imports.create_app("sqlite:///x.db"), Blog("sqlite:///x.db"), name)


def test_application_without_a_resource_is_rejected() -> None:
    with pytest.raises(UsageError, match="none, because no crud_router is included"):
        job_runner(blog_imports.empty, Blog("sqlite:///x.db"), "articles")


async def test_running_application_has_its_database_and_its_limits(empty_url: str) -> None:
    before = current_limits.set(Limits())
    app = blog_imports.create_app(empty_url)
    app.add_middleware(GZipMiddleware)
    async with run_lifespan(app) as database:
        assert isinstance(database, Blog)
        assert current_limits.get().body == 2_000
    current_limits.reset(before)


@pytest.mark.parametrize("app", [blog_imports.empty, FastAPI()])
async def test_application_without_a_database_is_rejected_with_the_remedy(app: FastAPI) -> None:
    with pytest.raises(UsageError, match=r"no database: start it with FastAPI\(lifespan="):
        async with run_lifespan(app):
            pass


async def test_statements_of_a_command_have_no_deadline(empty_url: str) -> None:
    app = FastAPI(lifespan=Database(empty_url, pool_timeout=0.2).lifespan)
    count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000000)"
    async with run_lifespan(app) as database, database.session() as session:
        slow = "SELECT pg_sleep(0.5)"
        if database.writers.is_sqlite:
            slow = f"{count} SELECT count(*) FROM c"  # noqa: S608 — ours
        await session.execute(text(slow))
