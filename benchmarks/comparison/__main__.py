"""`python -m benchmarks.comparison`: asks each library the same questions.

It uses a SQLite file, and the PostgreSQL of `DATABASE_URL` if there is one. It drops all tables
there before each application, so use an empty database.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import uvicorn
from httpx2 import AsyncClient, Limits
from sqlalchemy import Engine, MetaData, event
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.comparison.probes import PROBES, Subject
from brickwork import Database

CONTENDERS: Final = {
    "Brickwork": ("benchmarks.comparison.ours", "limit=2", ("brickwork",)),
    "by hand": ("benchmarks.peers.compared.by_hand", "limit=2", ("fastapi", "sqlalchemy")),
    "fastapi-restly": ("benchmarks.peers.compared.restly", "page_size=2", ("fastapi-restly",)),
    "FastCRUD": ("benchmarks.peers.compared.crud", "page=1&itemsPerPage=2", ("fastcrud",)),
    "advanced-alchemy, FastAPI": (
        "benchmarks.peers.compared.alchemy",
        "limit=2",
        ("advanced-alchemy",),
    ),
    "advanced-alchemy, Litestar": (
        "benchmarks.peers.compared.star",
        "pageSize=2",
        ("advanced-alchemy", "litestar"),
    ),
}
"""The applications: module, query of a page of two rows, packages whose versions count."""


def main() -> None:
    """Ask every contender in a process of its own, and print a table for each database."""
    if sys.argv[1:]:
        name, url = sys.argv[1:]
        print(json.dumps(asyncio.run(_ask(name, url))))
        return
    for name, (_, _, packages) in CONTENDERS.items():
        print(f"- {name}:", ", ".join(f"{package} {version(package)}" for package in packages))
    with tempfile.TemporaryDirectory() as folder:
        for kind, url in _urls(folder).items():
            answers = {
                name: _asked(name, url.replace("NAME", str(index)))
                for index, name in enumerate(CONTENDERS)
            }
            print(f"\n## {kind}\n")
            for question in PROBES:
                print(f"\n{question}:")
                for name, answer in answers.items():
                    print(f"- {name}: {answer[question]}")


def _urls(folder: str) -> dict[str, str]:
    urls = {"SQLite": f"sqlite:///{folder}/NAME.db"}
    if url := os.environ.get("DATABASE_URL"):
        urls["PostgreSQL"] = url
    return urls


def _asked(name: str, url: str) -> dict[str, str]:
    command = (sys.executable, "-m", "benchmarks.comparison", name, url)
    done = subprocess.run(  # noqa: S603 — this module
        command, stdout=subprocess.PIPE, check=True, text=True, cwd=Path(__file__).parents[2]
    )
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


async def _ask(name: str, url: str) -> dict[str, str]:
    """Return the answers of the contender *name* over an empty database at *url*."""
    logging.disable(logging.CRITICAL)
    driver_url = Database(url).url.render_as_string(hide_password=False)
    admin = create_async_engine(driver_url)
    module = import_module(CONTENDERS[name][0])
    statements: list[str] = []
    answers: dict[str, str] = {}
    if name == "Brickwork":
        app = module.create_app(url)
        await _drop_tables(admin)
    else:
        models = import_module("benchmarks.peers.compared.models")
        await _drop_tables(admin)
        async with admin.begin() as connection:
            await connection.run_sync(models.Base.metadata.create_all)
        app = module.create_app(models.connect(driver_url))
    event.listen(Engine, "before_cursor_execute", lambda *values: statements.append(str(values[2])))
    async with _served(app) as client:
        subject = Subject(client, statements, CONTENDERS[name][1], admin)
        for question, probe in PROBES.items():
            try:
                answers[question] = await probe(subject)
            except Exception as error:  # noqa: BLE001 — an application that gives no answer
                answers[question] = f"{type(error).__name__}: {error}"
    await admin.dispose()
    return answers


async def _drop_tables(admin: Any) -> None:
    """Drop the tables of both metadatas, whichever application made them."""
    async with admin.begin() as connection:
        found = MetaData()
        await connection.run_sync(found.reflect)
        await connection.run_sync(found.drop_all)


@asynccontextmanager
async def _served(app: Any) -> AsyncGenerator[AsyncClient]:
    """Serve *app* by uvicorn, in this event loop."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 — uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = Limits(max_keepalive_connections=0)  # a server may close a connection after an error
    address = f"http://127.0.0.1:{port}"
    async with AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        yield client
    server.should_exit = True
    await serving


if __name__ == "__main__":
    main()
