"""The access log."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from brickwork import AccessLog, install
from tests.support.processes import running_service
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio

ID = "01a222df-ef28-73d9-a14f-26e52c6f9276"
LINE = re.compile(r"(?P<request>\S+ \S+) (?P<status>\d+|-) \d+\.\d ms (?P<rest>.+)")


class Reader:
    """The lines on standard output."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def take(self) -> list[str]:
        """Return the new lines without their times."""
        lines = self._capture.readouterr().out.splitlines()
        matches = [LINE.fullmatch(line) for line in lines]
        return [" ".join(match.groups()) if match else f"no line: {match}" for match in matches]


@pytest.fixture
def reader(capfd: pytest.CaptureFixture[str]) -> Reader:
    return Reader(capfd)


def create_app() -> FastAPI:
    app = FastAPI()
    install(app)

    @app.get("/notes/{key}")
    async def read(key: str) -> str:
        return key

    @app.get("/bug")
    async def fail() -> None:
        raise RuntimeError

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "first"
            await asyncio.sleep(0.2)
            yield "last"

        return StreamingResponse(parts())

    return app


async def call(app: FastAPI, *paths: str, method: str = "GET") -> None:
    """Send requests to *app* inside an access log, and end it."""
    logged = AccessLog(app)
    transport = httpx2.ASGITransport(app=logged, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in paths:
            await client.request(method, path, headers={"X-Request-Id": ID})
    await end(logged)


async def end(logged: AccessLog) -> None:
    """End *logged* as a server does."""
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(_: Message) -> None: ...

    await logged({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


async def test_a_line_has_method_path_status_time_and_request_id(reader: Reader) -> None:
    await call(create_app(), "/notes/1?b=2&a=%20", "/nowhere")
    assert reader.take() == [f"GET /notes/1?b=2&a=%20 200 {ID}", f"GET /nowhere 404 {ID}"]


async def test_a_head_request_is_logged_as_head(reader: Reader) -> None:
    await call(create_app(), "/notes/1", method="HEAD")
    assert reader.take() == [f"HEAD /notes/1 200 {ID}"]


async def test_an_unhandled_error_is_logged_as_500(reader: Reader) -> None:
    await call(create_app(), "/bug")
    assert reader.take() == [f"GET /bug 500 {ID}"]


async def test_a_stream_has_its_line_when_it_ends(capfd: pytest.CaptureFixture[str]) -> None:
    await call(create_app(), "/stream")
    (milliseconds,) = re.findall(r"200 ([\d.]+) ms", capfd.readouterr().out)
    assert float(milliseconds) > 199


# --- Applications that break the rules ------------------------------------------------------------


async def run(
    reader: Reader, *messages: Message, error: BaseException | None = None, **scope: object
) -> list[str]:
    """Run an application that sends *messages* and raises *error*. Return the lines."""

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})
            return
        for message in messages:
            await send(message)
        if error:
            raise error

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None: ...

    logged = AccessLog(app)
    request = {"type": "http", "method": "GET", "path": "/", "query_string": b"", **scope}
    with pytest.raises(type(error)) if error else nullcontext():
        await logged(request, receive, send)
    await end(logged)
    return reader.take()


START: Message = {"type": "http.response.start", "status": 201, "headers": []}
END: Message = {"type": "http.response.body", "body": b""}


async def test_a_response_without_its_end_is_incomplete(reader: Reader) -> None:
    part = {**END, "more_body": True}
    assert await run(reader, START, part) == ["GET / 201 - incomplete"]
    lines = await run(reader, START, part, error=RuntimeError())
    assert lines == ["GET / 201 - incomplete"]


async def test_a_request_without_a_response_has_no_status(reader: Reader) -> None:
    assert await run(reader) == ["GET / - -"]


@pytest.mark.parametrize("error", [RuntimeError(), asyncio.CancelledError()])
async def test_an_error_before_the_response_is_logged_as_500(
    reader: Reader, error: BaseException
) -> None:
    assert await run(reader, error=error) == ["GET / 500 -"]


async def test_an_error_after_the_response_has_no_second_line(reader: Reader) -> None:
    assert await run(reader, START, END, error=RuntimeError()) == ["GET / 201 -"]


async def test_messages_around_a_response_do_not_end_it(reader: Reader) -> None:
    hint: Message = {"type": "http.response.early_hint", "links": []}
    trailers: Message = {"type": "http.response.trailers", "headers": []}
    assert await run(reader, hint, START, END, trailers) == ["GET / 201 -"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (b"/a\nGET /b 200 1.0 ms x", "/a%0AGET%20/b%20200%201.0%20ms%20x"),
        (b"/a\x1b[31m\x00\x7f", "/a%1B[31m%00%7F"),
        (b"/\xc3\xa9\x85\xff", "/%C3%A9%85%FF"),
        (b"/%0A%1b", "/%0A%1b"),
        (b"/'\"\\<>", "/'\"\\<>"),
    ],
)
async def test_a_path_cannot_forge_a_line(reader: Reader, path: bytes, line: str) -> None:
    assert await run(reader, START, END, raw_path=path) == [f"GET {line} 201 -"]
    decoded = path.decode("latin-1").encode("latin-1").decode(errors="replace")
    assert len(await run(reader, START, END, path=decoded)) == 1
    lines = await run(reader, START, END, query_string=path)
    assert lines == [f"GET /?{line} 201 -"]


async def test_an_undecodable_path_has_a_line(reader: Reader) -> None:
    assert await run(reader, START, END, path="/\ud800") == ["GET /%ED%A0%80 201 -"]


async def test_a_long_path_is_cut(reader: Reader) -> None:
    (line,) = await run(reader, START, END, raw_path=b"/" + b"\n" * 60_000)
    assert line.endswith("... 201 -")
    assert len(line) < 2_100


async def test_a_websocket_has_no_line(reader: Reader) -> None:
    assert await run(reader, type="websocket") == []


# --- The service ----------------------------------------------------------------------------------


def test_the_service_writes_lines_soon_and_at_shutdown(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    database = f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"
    with file.open("wb") as output, running_service(output=output, DATABASE_URL=database) as url:
        response = httpx2.get(f"{url}/authors?limit=1")
        deadline = time.monotonic() + DEADLINE
        while "/authors" not in file.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        (line,) = [line for line in file.read_text().splitlines() if "/authors" in line]
        for number in range(50):
            httpx2.get(f"{url}/authors/{number}")
    assert line.startswith("GET /authors?limit=1 200 ")
    assert line.endswith(f" ms {response.headers['x-request-id']}")
    paths = [line.split()[1] for line in file.read_text().splitlines() if "/authors/" in line]
    assert paths == [f"/authors/{number}" for number in range(50)]


def test_the_service_can_run_without_an_access_log(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    database = f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"
    with (
        file.open("wb") as output,
        running_service(output=output, DATABASE_URL=database, ACCESS_LOG="off") as url,
    ):
        assert httpx2.get(f"{url}/authors").status_code == 200
    assert file.read_bytes() == b""
