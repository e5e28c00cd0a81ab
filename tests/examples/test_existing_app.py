"""The old application, and each step of its adoption."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select

from brickwork import Database
from brickwork.testing.databases import empty_tables
from examples.existing_app import plain, step_0, step_1, step_2, step_3
from examples.existing_app.models import Customer, Order
from tests.support.bodies import summary
from tests.support.calls import CreateApp, calling
from tests.support.example_lines import shown_and_counted

pytestmark = pytest.mark.anyio

Start = Callable[[CreateApp], Any]

ADA: Final[Mapping[str, Any]] = {"name": "Ada", "email": "ada@example.org", "credit": "5.00"}
MIB: Final = 1_048_576


@pytest.fixture(scope="module")
def create_app() -> CreateApp:
    return step_3.create_app


@pytest.fixture
def start(database_url: str, database: Database) -> Start:
    """Return a function that starts a step on a database without rows, and yields a client."""

    @asynccontextmanager
    async def start(create_app: CreateApp) -> AsyncGenerator[AsyncClient]:
        await empty_tables(database)
        async with calling(create_app(database_url)) as client:
            yield client

    return start


# --- Old routes -----------------------------------------------------------------------------------

OLD: Final[Sequence[tuple[str, str, Mapping[str, Any]]]] = [
    ("GET", "/customers/", {}),
    ("POST", "/customers/", {"json": ADA}),
    ("POST", "/customers/", {"json": ADA}),
    ("POST", "/customers/", {"json": {"name": "Bob", "email": "bob@example.org"}}),
    ("POST", "/customers/", {"json": {"name": 5, "credit": "1.234", "other": 1}}),
    ("POST", "/customers/", {"content": b"{"}),
    ("POST", "/customers/", {"content": b'{"name": "', "headers": {"content-type": "text/plain"}}),
    ("POST", "/customers/", {"json": {**ADA, "name": "x" * 2 * MIB}}),
    ("POST", "/customers", {"json": ADA}),
    ("GET", "/customers", {}),
    ("GET", "/customers/?page=2&size=1", {}),
    ("GET", "/customers/?page=0&other=1", {}),
    ("GET", f"/customers/?other={'x' * 9_000}", {}),
    ("GET", "/customers/1", {}),
    ("GET", "/customers/1/", {}),
    ("GET", "/customers/9", {}),
    ("GET", "/customers/x", {}),
    ("GET", "/customers/1", {"headers": {"accept": "text/html"}}),
    ("HEAD", "/customers/1", {}),
    ("OPTIONS", "/customers/", {}),
    ("PATCH", "/customers/1", {"json": {"name": "Eve"}}),
    ("PUT", "/customers/1", {"json": {**ADA, "name": "Ada L."}}),
    ("PUT", "/customers/2", {"json": ADA}),
    ("PUT", "/customers/9", {"json": ADA}),
    ("DELETE", "/customers/2", {}),
    ("DELETE", "/customers/2", {}),
    ("GET", "/nowhere", {}),
    ("POST", "/nowhere", {}),
    ("GET", "/docs", {}),
]


async def old_answers(client: AsyncClient, *, without: str = "") -> list[object]:
    """Return the answers to the requests of old clients, to the byte but without times."""
    return [describe(await client.request(m, path, **more), without) for m, path, more in OLD]


def describe(response: Response, without: str) -> object:
    content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+", b"TIME", response.content)
    headers = [(name, value) for name, value in response.headers.multi_items() if name != without]
    return response.status_code, headers, content


async def test_sub_application_changes_no_old_answer(start: Start) -> None:
    async with start(step_0.create_app) as client:
        before = await old_answers(client)
    async with start(step_1.create_app) as client:
        assert await old_answers(client) == before


async def test_install_adds_only_a_request_id_to_old_answers(start: Start) -> None:
    async with start(step_0.create_app) as client:
        before = await old_answers(client)
    async with start(step_2.create_app) as client:
        assert await old_answers(client, without="x-request-id") == before
        assert "x-request-id" in (await client.get("/customers/")).headers


@pytest.mark.parametrize("step", [step_1, step_2], ids=["step 1", "step 2"])
async def test_old_routes_keep_their_openapi(step: Any, start: Start) -> None:
    async with start(step_0.create_app) as client:
        before = (await client.get("/openapi.json")).json()
    async with start(step.create_app) as client:
        after = (await client.get("/openapi.json")).json()
    for path, item in before["paths"].items():
        assert after["paths"][path] == item


INSTALLED: Final[Sequence[tuple[str, str, Mapping[str, Any], int, int]]] = [
    ("GET", "/problems", {}, 404, 200),
    ("GET", f"/nowhere?x={'x' * 9_000}", {}, 404, 414),
    ("POST", "/nowhere", {"content": b"x" * 2 * MIB}, 404, 404),
    ("GET", "/customers/", {"headers": {"host": "a, b"}}, 200, 400),
    ("GET", "/customers/", {"headers": {"cookie": "a=" + "\\" * 1_001}}, 200, 431),
]


@pytest.mark.parametrize(("method", "path", "options", "before", "after"), INSTALLED)
async def test_install_changes_these_answers(  # noqa: PLR0913, PLR0917 — a row of the table
    start: Start, method: str, path: str, options: Mapping[str, Any], before: int, after: int
) -> None:
    for step, status in ((step_1, before), (step_2, after)):
        async with start(step.create_app) as client:
            response = await client.request(method, path, **options)
            assert response.status_code == status


# --- The resource on sessions of the application --------------------------------------------------


async def create_customer(client: AsyncClient) -> int:
    """Create Ada, whichever step it is, and return her key."""
    response = await client.post("/customers/", json=ADA)
    assert response.status_code == 201, response.text
    document = response.json()
    key: int = document.get("data", document)["id"]
    return key


@pytest.mark.parametrize(
    ("create_app", "mount"),
    [(step_1.create_app, "/api"), (step_2.create_app, ""), (step_3.create_app, "")],
    ids=["step 1", "step 2", "step 3"],
    scope="module",
)
async def test_orders_use_the_sessions_of_the_application(
    client: AsyncClient, database: Database, mount: str
) -> None:
    ada = await create_customer(client)
    order = {"customer_id": ada, "total": "9.50"}
    headers = {"idempotency-key": "one"}
    for replayed in (None, "true"):
        response = await client.post("/api/orders", json=order, headers=headers)
        assert summary(response) == "201"
        assert response.headers["location"] == "/api/orders/1"
        assert response.headers.get("idempotency-replayed") == replayed
    async with database.session(readonly=True) as session:
        stored = (await session.scalars(select(Order))).one()
        assert (stored.customer_id, stored.total) == (ada, Decimal("9.50"))
    for request, answer in [
        (
            client.post("/api/orders", json=order | {"customer_id": 9}),
            "422 #/customer_id reference_not_found",
        ),
        (
            client.post("/api/orders", json=order | {"total": "1.234"}),
            "422 #/total decimal_max_places",
        ),
        (
            client.post("/api/orders", json=order | {"total": "-1"}),
            "422 #/total greater_than_equal",
        ),
        (
            client.post("/api/orders/batch", json=[order, order | {"customer_id": 9}]),
            "422 #/1/customer_id reference_not_found",
        ),
        (
            client.patch("/api/orders/1", json={"customer_id": 9}),
            "422 #/customer_id reference_not_found",
        ),
        (client.patch("/api/orders/1", json={"total": "10"}), "200"),
        (client.get("/api/orders/9"), "404"),
        (client.get("/api/orders?placed__gte=2020-01-01"), "422 ?placed__gte datetime_parsing"),
        (client.get("/api/orders?placed__gte=2020-01-01T00:00:00Z&sort=-total"), "200"),
        (client.get("/api/orders", headers={"accept": "application/x-ndjson"}), "200"),
    ]:
        assert summary(await request, root_path=mount) == answer
    async with database.session(readonly=True) as session:
        assert await session.scalar(select(func.count()).select_from(Order)) == 1
    assert (await client.delete(f"/customers/{ada}")).status_code == 409
    assert summary(await client.delete("/api/orders/1")) == "204"
    assert (await client.delete(f"/customers/{ada}")).status_code == 204


# --- The resource instead of the handlers ---------------------------------------------------------

REPLACED: Final[Sequence[tuple[str, str, Mapping[str, Any], str, str]]] = [
    ("GET", "/customers", {}, "307", "200"),
    ("GET", "/customers/x", {}, "400", "404"),
    ("GET", "/customers/?page=1", {}, "200", "422 ?page unknown_parameter"),
    ("POST", "/customers/", {"json": ADA}, "409", "409 #/email not_unique"),
    ("POST", "/customers/", {"json": {**ADA, "name": 5}}, "400", "422 #/name string_type"),
    ("POST", "/customers/", {"json": {**ADA, "x": 5}}, "409", "422 #/x unknown_field"),
    ("PATCH", "/customers/1", {"json": {"name": "Eve"}}, "405", "200"),
    ("HEAD", "/customers/1", {}, "405", "200"),
    ("DELETE", "/customers/1", {}, "204", "204"),
]


@pytest.mark.parametrize(("method", "path", "options", "before", "after"), REPLACED)
async def test_resource_changes_these_answers(  # noqa: PLR0913, PLR0917 — a row of the table
    start: Start, method: str, path: str, options: Mapping[str, Any], before: str, after: str
) -> None:
    async with start(step_2.create_app) as client:
        await create_customer(client)
        response = await client.request(method, path, **options)
        assert str(response.status_code) == before
    async with start(step_3.create_app) as client:
        await create_customer(client)
        assert summary(await client.request(method, path, **options)) == after


async def test_resource_reads_the_rows_of_the_handlers(
    database_url: str, client: AsyncClient
) -> None:
    async with calling(step_0.create_app(database_url)) as handlers:
        await create_customer(handlers)
        old = (await handlers.get("/customers/1")).json()["data"]
    new = (await client.get("/customers/1")).json()
    assert new == old | {"created": old["created"] + "Z"}


# --- By hand --------------------------------------------------------------------------------------

SHARED: Final[Sequence[tuple[str, str, Mapping[str, Any]]]] = [
    ("POST", "/customers", {"json": ADA}),
    ("POST", "/customers", {"json": ADA}),
    ("POST", "/customers", {"json": {"name": "Bob", "email": "bob@example.org"}}),
    ("POST", "/customers", {"json": {"name": "Bob", "x": 1}}),
    ("GET", "/customers?sort=-name&count=exact", {}),
    ("GET", "/customers?q=ADA example", {}),
    ("GET", "/customers?email=bob@example.org", {}),
    ("GET", "/customers?limit=0", {}),
    ("GET", "/customers?other=1", {}),
    ("PATCH", "/customers/2", {"json": {"credit": "7"}}),
    ("PUT", "/customers/2", {"json": {"name": "Rob", "email": "rob@example.org"}}),
    ("PUT", "/customers/9", {"json": ADA}),
    ("POST", "/api/orders", {"json": {"customer_id": 1, "total": "9.5"}}),
    ("POST", "/api/orders", {"json": {"customer_id": 9, "total": "9.5"}}),
    ("GET", "/api/orders?total__gte=9&placed__gte=2020-01-01T00:00:00Z&sort=total", {}),
    ("GET", "/api/orders?customer_id=2", {}),
    ("DELETE", "/customers/1", {}),
    ("DELETE", "/api/orders/1", {}),
    ("DELETE", "/api/orders/1", {}),
    ("DELETE", "/customers/1", {}),
]


async def shared_answers(client: AsyncClient) -> list[object]:
    answers: list[object] = []
    for method, path, options in SHARED:
        response = await client.request(method, path, **options)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", response.text)
        headers = [response.headers.get(name) for name in ("location", "x-total-count")]
        answers.append((response.status_code, headers, text if response.is_success else ""))
    return answers


async def test_code_by_hand_answers_the_same(start: Start) -> None:
    async with start(step_3.create_app) as client:
        declared = await shared_answers(client)
    async with start(plain.create_app) as client:
        assert await shared_answers(client) == declared


def test_page_shows_the_lines_of_code() -> None:
    shown, counted = shown_and_counted("existing_app")
    assert shown == counted
    assert len(shown) == 2


def test_models_are_those_of_the_old_application() -> None:
    columns = [column.name for column in Customer.__table__.columns]
    assert columns == ["customer_id", "cust_name", "email_addr", "credit_limit", "created_on"]
