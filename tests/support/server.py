"""A real server, in the event loop of the test."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from httpx2 import AsyncClient, Limits

HTTP = "brickwork.protocol:Protocol"


@asynccontextmanager
async def serving(app: FastAPI, *, root_path: str = "") -> AsyncGenerator[AsyncClient]:
    """Serve *app* on a free port of the loopback, and yield a client of it.

    `caplog` receives the errors that the server logs.
    """
    config = uvicorn.Config(
        app,
        port=0,
        root_path=root_path,
        log_config=None,
        log_level="error",
        lifespan="on",
        ws="none",
        http=HTTP,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    if server.should_exit:
        raise RuntimeError("The application did not start.")
    await server.on_tick(0)  # sets the headers of every response
    port = server.servers[0].sockets[0].getsockname()[1]
    url, limits = f"http://127.0.0.1:{port}", Limits(max_connections=100)
    try:
        # There is no timeout, for busy machines.
        async with AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            yield client
    finally:
        # server.shutdown() would sleep 0.1 s in each of a thousand tests.
        for listener in server.servers:
            listener.close()
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await server.lifespan.shutdown()


@asynccontextmanager
async def serving_process(target: str) -> AsyncGenerator[AsyncClient]:
    """Serve *target*, of the current folder, in a process on a free port; yield a client of it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "uvicorn", target, "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    log = ""
    try:
        while not (found := re.search(r"running on (http://\S+)", log)):
            line = (await process.stdout.readline()).decode()
            assert line, f"{target} does not start:\n{log}"
            log += line
        async with AsyncClient(base_url=found[1], timeout=60) as client:
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
