"""Number of workers, and cursor keys for several."""

import multiprocessing
import sys
from collections.abc import MutableMapping
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from uvicorn._subprocess import get_subprocess
from uvicorn.config import Config

from app.main import create_app
from app.settings import Settings
from brickwork import Database, install
from brickwork.http.workers import count_workers
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.journal import Log
from tests.support.paging import INVALID, create_articles, cursor
from tests.support.services import Service

pytestmark = pytest.mark.anyio

KEY = "a secret of some thirty characters"


@pytest.fixture(autouse=True)
def no_server_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings of servers from the environment."""
    for name in ("WEB_CONCURRENCY", "GRANIAN_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log of the service."""
    return Log(caplog)


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("pytest -w 4", 1),
        ("/srv/uvicorn/manage.py --workers 4", 1),
        ("/bin/uvicorn main:app", 1),
        ("/bin/uvicorn main:app --workers 4", 4),
        ("/lib/uvicorn/__main__.py main:app --workers=4", 4),
        ("/bin/fastapi run --workers 3", 3),
        ("/bin/gunicorn -w 2 -k uvicorn_worker.UvicornWorker main:app", 2),
        ("/bin/gunicorn -w2 main:app", 2),
        ("/bin/hypercorn main:app -w 5", 5),
        ("/bin/granian --workers 6 main:app", 6),
        ("/bin/uvicorn main:app --workers", 1),
        ("C:/Scripts/uvicorn.exe main:app --workers 4", 4),
    ],
)
def test_command_line_has_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, command: str, count: int
) -> None:
    monkeypatch.setattr(sys, "argv", command.split())
    assert count_workers() == count


@pytest.mark.parametrize(
    ("command", "name", "count"),
    [
        ("/bin/gunicorn main:app", "WEB_CONCURRENCY", 3),
        ("/bin/granian main:app", "GRANIAN_WORKERS", 3),
        ("/bin/gunicorn main:app", "GRANIAN_WORKERS", 1),
        ("/usr/bin/pytest", "WEB_CONCURRENCY", 1),
        ("/bin/gunicorn -w 1 main:app", "WEB_CONCURRENCY", 1),
    ],
)
def test_environment_has_the_number_of_workers(
    monkeypatch: pytest.MonkeyPatch, command: str, name: str, count: int
) -> None:
    monkeypatch.setattr(sys, "argv", command.split())
    monkeypatch.setenv(name, "3")
    assert count_workers() == count


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (SimpleNamespace(workers=4), 4),
        (SimpleNamespace(workers=1), 1),
        (SimpleNamespace(workers=4, reload=True), 1),
        (SimpleNamespace(workers=4, use_reloader=True), 1),
    ],
)
def test_worker_process_has_the_settings_of_its_server(
    monkeypatch: pytest.MonkeyPatch, settings: Any, count: int
) -> None:
    process = SimpleNamespace(_args=("x",), _kwargs={"config": settings, "sockets": []})
    monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
    monkeypatch.setattr(multiprocessing, "parent_process", SimpleNamespace)
    monkeypatch.setattr(sys, "argv", ["/bin/uvicorn", "--workers", "9"])
    assert count_workers() == count


def report_workers(pipe: Any, _settings: object = None) -> None:
    """Send the number of workers from a process."""
    sys.argv = ["/bin/uvicorn", "--workers", "9"]
    pipe.send(count_workers())


@pytest.mark.parametrize("by_name", [False, True])
def test_process_has_the_arguments_that_started_it(*, by_name: bool) -> None:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    settings = SimpleNamespace(workers=4)
    process = (
        context.Process(target=report_workers, args=(sending,), kwargs={"_settings": settings})
        if by_name
        else context.Process(target=report_workers, args=(sending, settings))
    )
    process.start()
    assert receiving.poll(60)
    assert receiving.recv() == 4
    process.join()


def test_process_of_uvicorn_gets_its_configuration() -> None:
    config = Config("app.main:app", workers=4)
    process = get_subprocess(config, report_workers, [])
    started: Any = vars(process)
    assert config in (*started["_args"], *started["_kwargs"].values())


def test_first_process_has_no_settings() -> None:
    assert multiprocessing.parent_process() is None
    assert count_workers() == 1


# --- The start ------------------------------------------------------------------------------------


@pytest.fixture
def four_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the command line of one of four workers."""
    monkeypatch.setattr(sys, "argv", ["/bin/uvicorn", "--workers", "4"])


def app_with(url: str, **options: Any) -> FastAPI:
    """Return an application that is installed with *options*."""
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app, **options)
    return app


async def start_app(app: FastAPI) -> MutableMapping[str, Any]:
    """Start *app*, and return its first lifespan message."""
    messages: list[MutableMapping[str, Any]] = []
    kinds = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": next(kinds)}

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return messages[0]


@sqlite_only
@pytest.mark.usefixtures("four_workers")
async def test_several_workers_do_not_start_without_keys(service_url: str) -> None:
    message = (
        "4 processes serve the application, and each has a cursor key of its own: they would "
        "reject the cursors of each other. Share the keys, install(app, cursor_keys=[…])."
    )
    failed = {"type": "lifespan.startup.failed", "message": message}
    assert await start_app(app_with(service_url)) == failed


@sqlite_only
@pytest.mark.usefixtures("four_workers")
@pytest.mark.parametrize("options", [{"cursor_keys": [KEY]}, {"development": True}])
async def test_several_workers_start_with_keys_or_in_development(
    service_url: str, options: dict[str, Any]
) -> None:
    assert await start_app(app_with(service_url, **options)) == {
        "type": "lifespan.startup.complete"
    }


def test_settings_of_several_workers_need_keys() -> None:
    with pytest.raises(ValidationError, match="Several WORKERS need CURSOR_KEYS"):
        Settings(workers=2)
    assert Settings(workers=2, cursor_keys=[KEY]).workers == 2
    assert Settings(workers=2, development=True).workers == 2


# --- Cursors of other processes -------------------------------------------------------------------


async def test_cursor_of_another_process_is_logged_once(service: Service, log: Log) -> None:
    other = create_app(Settings(database_url=service.url))
    async with service.client() as client, calling(other) as second:
        await create_articles(client, 3)
        text = await cursor(client, "/articles?limit=1")
        for _ in range(2):
            assert summary(await second.get("/articles", params={"cursor": text})) == INVALID
    remedy = "give all processes the same keys, install(app, cursor_keys=[…])."
    may = "It may be of another process or of an earlier start"
    assert log.take() == [f"WARNING A cursor was rejected. {may}: {remedy}"]


async def test_malformed_cursor_is_not_logged(service: Service, log: Log) -> None:
    other = create_app(Settings(database_url=service.url))
    async with calling(other) as client:
        assert summary(await client.get("/articles?cursor=words")) == INVALID
    assert log.take() == []


async def test_invalid_cursor_with_configured_keys_is_not_logged(
    service: Service, log: Log
) -> None:
    app = create_app(Settings(database_url=service.url, cursor_keys=[KEY]))
    async with service.client() as client, calling(app) as other:
        await create_articles(client, 3)
        text = await cursor(client, "/articles?limit=1")
        assert summary(await other.get("/articles", params={"cursor": text})) == INVALID
    assert log.take() == []
