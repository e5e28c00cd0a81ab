"""The corpus of hostile requests."""

import json
import re
from asyncio import gather
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.main import create_app
from app.settings import Settings
from brickwork import Database, Model
from tests.support.bodies import JSON, MARKER, Body, create_one_of_each, summary
from tests.support.databases import Databases
from tests.support.hostile import HOST, Case, corpus, kind
from tests.support.queries import DIGITS
from tests.support.server import serving
from tests.support.wire import Wire, open_wire

pytestmark = pytest.mark.anyio

Rows = list[tuple[Any, ...]]

TABLES: Final = Model.metadata.sorted_tables
_NAMES: Final = re.compile(rb"\$(authors|articles|comments)")
OF_THE_RUN: Final = {"content-length", "date", "x-request-id"}
ESTIMATED: Final = "count=estimated"
"""The parameter whose responses differ between databases."""


@dataclass
class Service:
    """The service over one database, and a connection of the test to that database."""

    client: AsyncClient
    wire: Wire
    connection: AsyncConnection
    ids: list[str] = field(default_factory=list[str])
    seeds: dict[str, str] = field(default_factory=dict[str, str])

    async def begin(self) -> None:
        """Replace all rows by three new ones."""
        for table in reversed(TABLES):
            await self.connection.execute(table.delete())
        self.seeds = {
            path[1:]: row["id"] for path, row in (await create_one_of_each(self.client)).items()
        }
        self.ids = [*self.seeds.values()]

    async def rows(self) -> Rows:
        """Return all rows of the database, byte for byte."""
        query = _ROWS[self.connection.dialect.name]
        return [tuple(row) for row in await self.connection.exec_driver_sql(query)]

    async def send(self, case: Case) -> Response:
        """Send *case* with a hostile Host, and return the response."""
        headers = case.headers
        if not any(name == b"host" for name, _ in headers):
            headers = ((b"host", HOST.encode()), *headers)
        response = await self.wire.request(
            case.method,
            self._filled(case.target.encode()),
            headers=headers,
            content=self._filled(case.content),
        )
        if response.status_code == 201:
            self.ids.append(response.headers["location"].rpartition("/")[2])
        return response

    def same(self, answer: str) -> str:
        """Return *answer* without the values that differ between runs."""
        for number, key in enumerate(self.ids):
            answer = answer.replace(key, f"${number}")
        answer = re.sub(r"(cursor=)[\w-]+", r"\1…", answer)
        answer = re.sub(r'^"(\d+)-[0-9a-f]{20}"$', r'"\1"', answer)  # a digest has keys in it
        return re.sub(r'("(created_at|updated_at|deleted_at|instance)": ?)"[^"]*"', r"\1…", answer)

    def _filled(self, raw: bytes) -> bytes:
        return _NAMES.sub(lambda name: self.seeds[name[1].decode()].encode(), raw)


def _query(whole: str) -> str:
    """Return a query for all tables, with *whole* as the SELECT of each."""
    selects = [f"{whole} FROM {table.name}".replace("$", table.name) for table in TABLES]
    return " UNION ALL ".join(selects) + " ORDER BY 1"


def _columns(table: Table) -> str:
    return " || '|' || ".join(f"quote({column.name})" for column in table.columns)


_ROWS: Final = {
    # xmin changes with every write, even with one of the same values.
    "postgresql": _query("SELECT id::text || xmin || md5($::text)"),
    "sqlite": " UNION ALL ".join(f"SELECT {_columns(table)} FROM {table.name}" for table in TABLES),  # noqa: S608 — of our own names
}


@asynccontextmanager
async def running(url: str) -> AsyncGenerator[Service]:
    """Run the service over the database at *url*."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(serving(create_app(Settings(database_url=url))))
        wire = await stack.enter_async_context(open_wire(client.base_url))
        engine = create_async_engine(Database(url).url, isolation_level="AUTOCOMMIT")
        stack.push_async_callback(engine.dispose)
        connection = await stack.enter_async_context(engine.connect())
        yield Service(client, wire, connection)


def wrong(case: Case, response: Response, shown: str) -> Iterator[str]:
    """Yield the faults of a response on any database; *shown* is the kind of the field."""
    status = response.status_code
    if status >= 500:
        yield f"is a {status}"
    if 300 <= status < 400 and status != 304:
        yield f"is a redirect, {status}"
    if case.refused and status < 400:
        yield f"is accepted, {status}"
    if any(HOST in value for value in response.headers.values()):
        yield "has the Host in a header"
    if status >= 400:
        yield from _wrong_problem(case, response)
    elif case.field and response.content:
        yield from _wrong_value(case, response, shown)


def _wrong_problem(case: Case, response: Response) -> Iterator[str]:
    if case.method == "HEAD":
        return
    if len(response.content) > 100_000:
        yield f"has {len(response.content)} bytes"
        return
    try:
        summary(response)
    except (AssertionError, ValueError) as error:
        yield f"is no problem as it should be: {str(error)[:300]}"
        return
    problem = response.json()
    # Only `pointer` and `parameter` may repeat names that the client sent.
    faults = [{**error, "pointer": "", "parameter": ""} for error in problem.get("errors", [])]
    words = json.dumps({**problem, "errors": faults}) + str(response.headers)
    if MARKER in words or DIGITS in words:
        yield "repeats what was sent"


def _wrong_value(case: Case, response: Response, shown: str) -> Iterator[str]:
    body: Body = json.loads(case.content)
    sent, stored = body[case.field], response.json()[case.field]
    if isinstance(sent, str) and shown == "date-time":
        read = re.sub(r"(\.\d{6})\d+", r"\1", sent).upper()
        same = datetime.fromisoformat(read) == datetime.fromisoformat(stored)
        same = same and stored.endswith("Z")
    elif isinstance(sent, str) and shown == "uuid":
        same = "$" in sent or stored == sent.lower()
    elif isinstance(sent, int | float) and shown == "number":
        same = stored == float(sent)
    elif case.method == "PATCH" and isinstance(sent, dict):
        same = True  # merged with what was there
    else:
        same = json.dumps(stored) == json.dumps(sent)
    if not same:
        yield f"shows {str(stored)[:80]!r}"


def differences(
    services: list[Service], responses: list[Response], ignored: Collection[str] = OF_THE_RUN
) -> Iterator[str]:
    """Yield the differences between the responses of both databases, without *ignored* headers."""
    answers = [
        {
            "status": str(response.status_code),
            "body": service.same(response.text),
            **{
                name: service.same(value)
                for name, value in response.headers.items()
                if name not in ignored
            },
        }
        for service, response in zip(services, responses, strict=True)
    ]
    one, other = answers
    for name in one.keys() | other.keys():
        if one.get(name) != other.get(name):
            left, right = (str(answer.get(name))[:200] for answer in answers)
            yield f"differs in {name}: {left} and {right}"


async def found(services: list[Service], cases: list[Case], kinds: dict[str, str]) -> list[str]:
    """Return the faults of the responses to *cases*, and of the stored rows."""
    complaints: list[str] = []
    for service in services:
        await service.begin()
    before = await gather(*(service.rows() for service in services))
    for case in cases:
        responses = await gather(*(service.send(case) for service in services))
        for response in responses:
            faults = wrong(case, response, kinds.get(case.field, ""))
            complaints += [f"{case.name}: {fault}" for fault in faults]
        ignored = {*OF_THE_RUN, *(["x-total-count"] if ESTIMATED in case.target else [])}
        complaints += [
            f"{case.name}: {fault}" for fault in differences(services, responses, ignored)
        ]
        after = await gather(*(service.rows() for service in services))
        for response, old, new in zip(responses, before, after, strict=True):
            if old != new and (response.status_code >= 400 or case.method in {"GET", "HEAD"}):
                complaints.append(f"{case.name}: leaves a change")
        before = after
    for path in ("/authors", "/articles", "/comments"):
        lists = [await service.client.get(f"{path}?limit=100") for service in services]
        complaints += [f"list: {fault}" for fault in differences(services, lists)]
        complaints += [
            f"list: {response.status_code}" for response in lists if response.status_code != 200
        ]
    return complaints


async def test_hostile_requests_are_rejected_equally_and_change_nothing(
    databases: Databases, record_property: Callable[[str, object], None]
) -> None:
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(running(databases.migrated(backend)))
            for backend in ("sqlite", "postgresql")
        ]
        openapi = (await services[0].client.get("/openapi.json")).json()
        kinds = {
            name: kind(schema)
            for model in openapi["components"]["schemas"].values()
            for name, schema in model.get("properties", {}).items()
        }
        complaints: list[str] = []
        groups = corpus(openapi)
        for name, cases in groups.items():
            complaints += [
                f"{name}: {complaint}" for complaint in await found(services, cases, kinds)
            ]
    number = sum(map(len, groups.values()))
    record_property("hostile requests", number)
    assert number >= 500
    assert not complaints, f"{len(complaints)} faults:\n" + "\n".join(complaints[:100])


async def test_the_corpus_covers_every_field_and_parameter(databases: Databases) -> None:
    async with running(databases.migrated("sqlite")) as service:
        openapi = (await service.client.get("/openapi.json")).json()
    groups = corpus(openapi)
    targets = {case.target for cases in groups.values() for case in cases}
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            names = [
                parameter["name"]
                for parameter in operation["parameters"]
                if parameter["in"] == "query"
            ]
            assert all(any(f"?{name}=" in target for target in targets) for name in names)
            reference = (
                operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
            )
            if schema := reference.get("$ref", "").rpartition("/")[2]:
                for field_name in openapi["components"]["schemas"][schema]["properties"]:
                    assert f"{method.upper()} {path} {field_name}" in groups
