"""Bounds on the work for a body."""

from functools import partial
from typing import Annotated, Final

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import AfterValidator

from brickwork import Database, Limits
from brickwork.http import body
from brickwork.schemas import strict_json
from tests.support import heavy
from tests.support.bodies import JSON, send, summary
from tests.support.both import FAST
from tests.support.calls import calling
from tests.support.notes import NoteCreate, calling_notes, notes, notes_app
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

ADA, NOBODY = {"authorization": "ada"}, {"authorization": "nobody"}
GOOD = {"owner": "ada", "text": "new"}


@pytest.fixture(params=["fast", "ORM"])
def path(request: pytest.FixtureRequest) -> str:
    """Return the path of requests."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that records the parsed bodies."""
    found: list[bytes] = []
    parse = strict_json.parse_json

    def record(raw: bytes) -> object:
        found.append(raw)
        return parse(raw)

    monkeypatch.setattr(body, "parse_json", record)
    return found


# --- Before the sender is known -------------------------------------------------------------------


@pytest.mark.parametrize("raw", ['{"owner": "ada", "text": "new"}', "{", '{"zzz": 1}'])
async def test_body_of_an_unauthenticated_request_is_not_parsed(
    notes_url: str, path: str, parsed: list[bytes], raw: str
) -> None:
    headers = {**NOBODY, "content-type": JSON}
    async with calling_notes(Database(notes_url, fast_path=path == "fast")) as client:
        for method, target, content in (
            ("POST", "/notes", raw),
            ("PATCH", "/notes/1", raw),
            ("PUT", "/notes/1", raw),
            ("POST", "/notes/batch", f"[{raw}]"),
            ("PATCH", "/notes/batch", f"[{raw}]"),
        ):
            response = await client.request(method, target, content=content, headers=headers)
            assert summary(response) == "401"
    assert parsed == []


async def test_body_is_parsed_and_validated_once(
    notes_url: str, path: str, parsed: list[bytes]
) -> None:
    validated: list[str] = []

    def record(text: str) -> str:
        validated.append(text)
        return text

    class Create(NoteCreate):
        text: Annotated[str, AfterValidator(record)]

    class Update(Create, partial=True): ...

    app = notes_app(
        Database(notes_url, fast_path=path == "fast"), notes(create=Create, update=Update)
    )
    async with calling(app) as client:
        for method, target, body, answer in (
            ("POST", "/notes", GOOD, "201"),
            ("POST", "/notes", {**GOOD, "zzz": 1}, "422 #/zzz unknown_field"),
            ("PATCH", "/notes/1", {"text": "other"}, "200"),
            ("PATCH", "/notes/1", {"text": "other", "rank": ""}, "422 #/rank int_type"),
            ("PATCH", "/notes/2", {"text": "other"}, "404"),
            ("POST", "/notes/batch", [GOOD], "201"),
            ("POST", "/notes/batch", [{**GOOD, "zzz": 1}], "422 #/0/zzz unknown_field"),
        ):
            parsed.clear()
            validated.clear()
            response = await client.request(method, target, json=body, headers=ADA)
            assert (summary(response), len(parsed), len(validated)) == (answer, 1, 1), body


# --- Faults ---------------------------------------------------------------------------------------


def create_records_app(url: str, *, fast: bool) -> FastAPI:
    return heavy.create_app(Database(url, fast_path=fast))


RECORDS: Final = {name: partial(create_records_app, fast=fast) for name, fast in FAST.items()}


@pytest.fixture
async def records(running: Running, tables: Tables, backend: str, path: str) -> AsyncClient:
    """Return a client of the records."""
    return await running.client(RECORDS[path], await tables.of(heavy.Base.metadata, backend))


TEN_THOUSAND = 10_000


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (heavy.meta(heavy.array(heavy.NULL, most=TEN_THOUSAND)), "#/meta/a/0 null_character"),
        (heavy.meta(heavy.array("1e999", most=TEN_THOUSAND)), "#/meta/a/0 finite_number"),
        (heavy.members('"k{}":1', most=TEN_THOUSAND), "#/k0 unknown_field"),
        (heavy.field("numbers", heavy.array('""', most=TEN_THOUSAND)), "#/numbers/0 float_type"),
        (heavy.field("points", heavy.array("[true]", most=4_000)), "#/points/0/0 int_type"),
        (heavy.field("lines", heavy.array("{}", most=TEN_THOUSAND)), "#/lines/0/count missing"),
        (heavy.field("any", heavy.array(heavy.NULL, most=4_000)), "#/any/0 null_character"),
    ],
    ids=["null characters", "numbers", "fields", "types", "points", "missing", "JsonValue"],
)
async def test_response_has_at_most_a_hundred_errors(
    records: AsyncClient, body: str, first: str
) -> None:
    for method, target, content in (
        ("POST", "/records", body),
        ("PATCH", "/records/1", body),
        ("PUT", "/records/1", body),
    ):
        answer = summary(await send(records, method, target, content))
        assert answer.startswith("422 #/")
        assert first in answer
        assert answer.count(",") == 99


async def test_batch_response_has_at_most_a_hundred_errors(records: AsyncClient) -> None:
    rows = heavy.array(heavy.field("numbers", heavy.array('""', most=90)), most=100)
    response = await send(records, "POST", "/records/batch", rows)
    places = [error["pointer"] for error in response.json()["errors"]]
    assert places == [f"#/0/numbers/{n}" for n in range(90)] + [
        f"#/1/numbers/{n}" for n in range(10)
    ]


async def test_long_name_truncates_the_pointer(records: AsyncClient) -> None:
    body = heavy.meta(heavy.field("k" * 1_000, heavy.array(heavy.NULL, most=200)))
    assert summary(await send(records, "POST", "/records", body)) == "422 #/meta/a null_character"


async def test_response_to_deep_errors_is_short(records: AsyncClient) -> None:
    document = heavy.array(heavy.NULL, most=200)
    for _ in range(60):
        document = heavy.field("\N{BRICK}" * 16, document)
    response = await send(records, "POST", "/records", heavy.field("meta", document))
    assert len(response.content) < 5_000
    assert summary(response).startswith("422 #/meta/%F0%9F%A7%B1")


# --- Values ---------------------------------------------------------------------------------------


async def test_number_of_values_in_a_document_is_limited(
    tables: Tables, backend: str, path: str
) -> None:
    database = Database(await tables.of(heavy.Base.metadata, backend), fast_path=path == "fast")
    app = heavy.create_app(database, Limits(values=10, depth=4))
    async with calling(app) as client:
        for meta, answer in (
            ("[1,2,3,4,5,6,7]", "201"),
            ("[1,2,3,4,5,6,7,8]", "413"),
            ('[{},[],"[,{,",null,true,5,6]', "201"),
            ('[{},[],"[,{,",null,true,5,6,7]', "413"),
            ("[1,2,3,4,5,6,7,8", "413"),
            ("[[[1,2,3,4,5,6,7,8]]]", "422 # too_deep"),
        ):
            assert summary(await send(client, "POST", "/records", heavy.meta(meta))) == answer
        batch = "[" + ",".join([heavy.meta("1")] * 3) + "]"
        assert summary(await send(client, "POST", "/records/batch", batch)) == "201"
        batch = "[" + ",".join([heavy.meta("1")] * 4) + "]"
        assert summary(await send(client, "POST", "/records/batch", batch)) == "413"
