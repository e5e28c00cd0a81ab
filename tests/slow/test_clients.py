"""Generated clients in Python and TypeScript."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from brickwork import install
from tests.contract.test_typed_json import owners
from tests.support import blog, library, shop, things
from tests.support.databases import Databases
from tests.support.generators import (
    generate_python,
    generate_typescript,
    run_python,
    run_typescript,
    write_document,
)
from tests.support.processes import running_service

pytestmark = pytest.mark.both_paths

UNUSED = "sqlite:///unused.db"


def reference_service() -> FastAPI:
    return create_app(Settings(database_url=UNUSED))


def typed_json() -> FastAPI:
    app = FastAPI()
    install(app)
    app.include_router(owners)
    return app


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the Python client of the reference service."""
    folder = tmp_path_factory.mktemp("python")
    return generate_python(write_document(reference_service().openapi(), folder))


@pytest.fixture(scope="module")
def typescript_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the TypeScript client of the reference service."""
    folder = tmp_path_factory.mktemp("typescript")
    return generate_typescript(write_document(reference_service().openapi(), folder))


@pytest.fixture
def url(databases: Databases, backend: str) -> Iterator[str]:
    """Run the service in a separate process, and return its address."""
    with running_service(DATABASE_URL=databases.migrated(backend)) as url:
        yield url


def test_a_program_uses_the_python_client(python_client: Path, url: str) -> None:
    run_python(python_client, url)


def test_a_program_uses_the_typescript_client(typescript_client: Path, url: str) -> None:
    run_typescript(typescript_client, url)


APPLICATIONS = {
    "things": lambda: things.create_app(UNUSED),
    "shop": lambda: shop.create_app(UNUSED),
    "blog": lambda: blog.create_app(UNUSED),
    "library": lambda: library.create_app(UNUSED),
    "typed JSON": typed_json,
}


@pytest.mark.parametrize("generate", [generate_python, generate_typescript])
@pytest.mark.parametrize("name", APPLICATIONS)
def test_clients_of_other_applications_have_valid_types(
    tmp_path: Path, name: str, generate: Callable[[Path], Path]
) -> None:
    generate(write_document(APPLICATIONS[name]().openapi(), tmp_path))
