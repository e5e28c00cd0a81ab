"""The pipeline: dependencies and the response, as FastAPI has them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brickwork import Database, Resource, StrictRoute
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.notes import Note, NoteCreate, notes, notes_app
from tests.support.recording import path_taken

pytestmark = [pytest.mark.anyio, sqlite_only]


async def test_headers_of_an_operation_come_before_those_of_a_dependency(notes_url: str) -> None:
    async def set_headers(response: Response) -> None:
        response.headers["etag"] = '"odd"'
        response.headers["location"] = "/odd"
        response.headers["vary"] = "Cookie"
        response.set_cookie("seen", "yes")
        response.status_code = 203

    class Marking(Resource[Note]):
        given: Annotated[None, Depends(set_headers)]

    async with calling(notes_app(Database(notes_url), notes(Marking))) as client:
        created = await client.post("/notes", json={"owner": "ada", "text": "new"})
        listed = await client.get("/notes")
        deleted = await client.delete("/notes/1")
    assert created.headers.get_list("location") == [f"/notes/{created.json()['id']}"]
    assert listed.headers.get_list("vary") == ["Accept", "Cookie"]
    assert [answer.status_code for answer in (created, listed, deleted)] == [203, 203, 204]
    assert {answer.headers["set-cookie"][:8] for answer in (created, listed, deleted)} == {
        "seen=yes"
    }


async def test_function_dependency_ends_before_the_commit(notes_url: str) -> None:
    async def name() -> AsyncIterator[str]:
        yield "ada"

    class Naming(Resource[Note]):
        given: Annotated[str, Depends(name, scope="function")]

    async with calling(notes_app(Database(notes_url), notes(Naming))) as client:
        assert await path_taken(client.get("/notes/1")) == "200 ORM"


async def test_dependency_may_stream_the_body(notes_url: str) -> None:
    read: list[bytes] = []

    async def stream(request: Request) -> None:
        read.append(b"".join([chunk async for chunk in request.stream()]))

    class Streaming(Resource[Note]):
        given: Annotated[None, Depends(stream)]

    async with calling(notes_app(Database(notes_url), notes(Streaming))) as client:
        row = (await client.get("/notes/1")).json()
        changed = await client.put("/notes/1", json=row | {"text": "new"})
        patched = await client.patch("/notes/1", json={"text": "newer"})
    assert [summary(changed), summary(patched)] == ["200", "200"]
    assert patched.json()["text"] == "newer"
    assert read[-1] == b'{"text":"newer"}'


async def test_middleware_may_send_a_failed_request_to_another_path(notes_url: str) -> None:
    class Fallback:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await self._app(scope, receive, send)
                return
            statuses: list[int] = []

            async def record(message: Message) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            await self._app(scope, receive, record)
            if statuses == [404]:
                scope["path"] = "/notes/1"
            await self._app(scope, receive, send)

    class AllNotes(Resource[Note]):
        """The notes of all users."""

    app = notes_app(Database(notes_url), notes(AllNotes))
    app.add_middleware(Fallback)
    async with calling(app) as client:
        assert (await client.get("/notes/99")).json()["id"] == 1


async def test_hand_written_route_shares_response_and_tasks_with_dependencies(
    notes_url: str,
) -> None:
    ran: list[str] = []

    async def prepare(response: Response, tasks: BackgroundTasks) -> None:
        response.headers["x-dependency"] = "yes"
        response.status_code = 202
        tasks.add_task(ran.append, "dependency")

    router = APIRouter(route_class=StrictRoute, dependencies=[Depends(prepare)])

    @router.post("/notes/copy")
    async def copy(
        note: NoteCreate, response: Response, tasks: BackgroundTasks, times: int = 1
    ) -> dict[str, Any]:
        response.headers["x-endpoint"] = "yes"
        tasks.add_task(ran.append, "endpoint")
        return {"text": note.text * times}

    async with calling(notes_app(Database(notes_url), router)) as client:
        answer = await client.post("/notes/copy?times=2", json={"owner": "ada", "text": "ab"})
        repeated = await client.post(
            "/notes/copy?times=2&times=3", json={"owner": "ada", "text": 1}
        )
    assert (answer.status_code, answer.json()) == (202, {"text": "abab"})
    assert (answer.headers["x-dependency"], answer.headers["x-endpoint"]) == ("yes", "yes")
    assert ran == ["dependency", "endpoint"]
    assert summary(repeated) == "422 #/text string_type, ?times repeated"
