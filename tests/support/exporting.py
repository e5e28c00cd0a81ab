"""Exports of the shop, message by message."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from fastapi import FastAPI
from pydantic import field_validator
from sqlalchemy import insert, text
from starlette.types import Message

from brickwork import Database, crud_router, install
from brickwork.http.negotiation import NDJSON
from tests.support import shop
from tests.support.shop import Cities, City, CityCreate, CityRead, CityUpdate
from tests.support.waiting import DEADLINE

LINES: Final = {"accept": NDJSON}
"""The header that requests an export."""

ROWS: Final = 450
"""The number of cities that `fill` makes: enough for several messages."""

STEP: Final = 50
"""The number of rows that an export reads in one step."""

BROKEN: Final = "Broken"
"""The name of a city that `/checked` cannot show."""

SPECS: Final = ("2.3", "2.4")
"""Versions of ASGI. A message to a disconnected client is lost in 2.3, and an error in 2.4."""


class CheckedCity(CityRead):
    """A city with another name than `BROKEN`."""

    @field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        """Reject the name `BROKEN`."""
        if name == BROKEN:
            raise ValueError
        return name


def app_over(database: Database | None) -> FastAPI:
    """Return the cities over *database*; `/checked` cannot show cities with the name `BROKEN`."""
    app = FastAPI(lifespan=database.lifespan if database else None)
    install(app)
    app.include_router(shop.cities)
    app.include_router(
        crud_router("/checked", Cities, read=CheckedCity, create=CityCreate, update=CityUpdate)
    )
    return app


APP: Final = app_over(None)
"""The cities, over the database in the state of a client or a `Download`."""


async def fill(database: Database) -> None:
    """Store cities with the numbers from 0 as their people."""
    rows = [{"name": f"City {n}", "people": n, "tenant": ""} for n in range(ROWS)]
    async with database.session() as session:
        await session.execute(insert(City), rows)


async def write(database: Database, *statements: str) -> None:
    """Commit *statements*."""
    async with database.session() as session:
        for statement in statements:
            await session.execute(text(statement))


def people(lines: Sequence[bytes]) -> list[int]:
    """Return the people of the cities in *lines*."""
    return [json.loads(line)["people"] for line in lines]


class Download:
    """An export that the test reads message by message; the application waits in between."""

    def __init__(
        self,
        database: Database,
        *,
        app: FastAPI = APP,
        path: str = "/cities",
        spec: str = SPECS[0],
    ) -> None:
        """Request the export at *path* from *app* over *database*, as a server of ASGI *spec*."""
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"test"), (b"accept", NDJSON.encode())],
            "state": {"database": database},
        }
        self._spec = spec
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._asked = False
        self.late: list[Message] = []
        """The messages after the client has disconnected."""
        self.task = asyncio.create_task(self._run(app))

    async def _run(self, app: FastAPI) -> None:
        await app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._gone.is_set():
            self._messages.put_nowait(message)
            await self._messages.join()
        else:
            self.late.append(message)
            if self._spec >= SPECS[1]:
                raise OSError

    async def next(self) -> Message:
        """Return the next message, and let the application make another."""
        message = asyncio.create_task(self._messages.get())
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait((message, self.task), return_when=asyncio.FIRST_COMPLETED)
        if not message.done():
            message.cancel()
            await self.task
        self._messages.task_done()
        return await message

    async def lines(self) -> list[bytes]:
        """Return the lines of the next message with lines. Empty at the end."""
        while True:
            message = await self.next()
            if message.get("body") or not message.get("more_body", True):
                body: bytes = message["body"]
                return body.splitlines()

    async def rest(self) -> list[bytes]:
        """Return all remaining lines."""
        found: list[bytes] = []
        while lines := await self.lines():
            found += lines
        await self.task
        return found

    async def leave(self) -> None:
        """Disconnect as a client does, and wait until the application has noticed."""
        self._gone.set()
        if not self._messages.empty():
            self._messages.get_nowait()
            self._messages.task_done()
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait((self.task,))
        with suppress(Exception):  # a server would log it
            await self.task
