"""A real server for an application, in the loop of the test that talks to it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from httpx2 import AsyncClient, Limits

HTTP = "brickwork.protocol:Protocol"


@asynccontextmanager
async def serving(app: FastAPI, *, root_path: str = "") -> AsyncGenerator[AsyncClient]:
    """Serve *app* on a free port of the loopback, and yield a client that talks to it.

    The errors that the server logs reach `caplog`.
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
    await server.on_tick(0)  # sets the headers that every answer has
    port = server.servers[0].sockets[0].getsockname()[1]
    url, limits = f"http://127.0.0.1:{port}", Limits(max_connections=100)
    try:
        # It waits as long as a busy machine takes.
        async with AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            yield client
    finally:
        # Not server.shutdown(): it sleeps 0.1 s, which a thousand tests would wait for.
        for each in server.servers:
            each.close()
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await server.lifespan.shutdown()
