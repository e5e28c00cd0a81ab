"""Sparse fieldsets: clients choose the fields of a list."""

from collections.abc import AsyncGenerator
from itertools import combinations
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from httpx2 import AsyncClient
from pydantic import ConfigDict, Field, computed_field, model_serializer, model_validator
from pydantic.alias_generators import to_camel
from typing_extensions import override

from brickwork import (
    Database,
    Fields,
    Filter,
    Limit,
    ListQuery,
    Page,
    ReadSchema,
    Resource,
    SortBy,
    crud_router,
)
from brickwork.http.negotiation import NDJSON
from tests.support.bodies import get_json
from tests.support.both import serving_routers
from tests.support.calls import calling
from tests.support.notes import Base as NoteBase, Note, notes, notes_app
from tests.support.orders import (
    ROWS,
    Base,
    CustomerBrief,
    Line,
    LineBrief,
    Order,
    OrderRead,
    Orders,
)
from tests.support.recording import path_taken, statements
from tests.support.rows import pages
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Rows, Tables

pytestmark = pytest.mark.anyio


class AliasedRead(ReadSchema):
    """An order with embedded rows, and other names in responses."""

    id: int
    number: str
    priority: int = Field(serialization_alias="Priority")
    customer: CustomerBrief | None
    customer_id: int | None = Field(alias="customerId")
    lines: Annotated[list[LineBrief], Limit(2)] = Field(serialization_alias="first-lines")
    version: int


class CodedRead(ReadSchema):
    """An order whose schema has code that reads several fields."""

    number: str
    priority: int
    label: str
    secret: str = Field("s", exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def title(self) -> str:
        return f"{self.number}, {self.priority}"

    @model_validator(mode="after")
    def check(self) -> "CodedRead":
        assert self.number
        assert self.priority >= 0
        return self


class LabelRead(ReadSchema):
    """An order with a property of the row."""

    number: str
    label: str


class CamelRead(ReadSchema):
    """A line with generated names."""

    model_config = ConfigDict(alias_generator=to_camel)
    line_quantity: int = Field(validation_alias="quantity")


class OrderList(ListQuery[Order]):
    number: Filter[str] = None
    tags__name: Filter[str] = None
    fields: Fields = None
    sort: SortBy[Literal["number", "priority"]] = None


class OrderPages(OrderList, envelope=True):
    """A list with an envelope and fields."""


class LineList(ListQuery[Line]):
    fields: Fields = None


class Lines(Resource[Line]): ...


class ReadingOrders(Resource[Order]):
    """Orders with code that reads rows of pages."""

    @override
    async def page(self, params: ListQuery[Order], /) -> Page[Order]:
        page = await super().page(params)
        assert all(order.number and order.customer_id != -1 for order in page.items)
        return page

    @override
    async def export(self, params: ListQuery[Order], /) -> AsyncGenerator[Order]:
        async for order in super().export(params):
            assert order.customer is None or order.customer.name
            yield order


ROUTES: dict[str, dict[str, Any]] = {
    "/whole": {"read": AliasedRead},
    "/some": {"read": AliasedRead, "query": OrderList},
    "/pages": {"read": AliasedRead, "query": OrderPages},
    "/coded": {"read": CodedRead, "query": OrderList},
    "/labels": {"read": LabelRead, "query": OrderList},
}


own = APIRouter(prefix="/own", default_response_class=JSONResponse)
own.include_router(crud_router("/some", Orders, read=AliasedRead, query=OrderList))
ROUTERS = [
    *(crud_router(path, Orders, **schemas) for path, schemas in ROUTES.items()),
    crud_router("/reading", ReadingOrders, read=AliasedRead, query=OrderList),
    crud_router("/lines", Lines, read=LineBrief, query=LineList),
    crud_router("/camel-lines", Lines, read=CamelRead, query=LineList),
    own,
]


def create_app(url: str) -> FastAPI:
    """Create an application of lists with fields."""
    return app_of(Database(url), *ROUTERS)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    """Return a client of lists with fields."""
    return await running.client(create_app, await tables.of(Base.metadata, backend, ROWS))


NAMES = ("id", "number", "Priority", "customer", "customerId", "first-lines", "version")


def chosen(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the members *names* of *rows*, in their order."""
    return [{name: row[name] for name in row if name in names} for row in rows]


@pytest.mark.parametrize("path", ["/some", "/reading", "/own/some"])
async def test_rows_have_the_chosen_fields_alone(client: AsyncClient, path: str) -> None:
    whole = await get_json(client, "/whole")
    subsets = [names for size in (1, 2, 7) for names in combinations(NAMES, size)]
    for names in subsets:
        response = await client.get(f"{path}?fields={','.join(reversed(names))}")
        assert response.json() == chosen(whole, names), names
        assert [[*row] for row in response.json()] == [[*row] for row in chosen(whole, names)]


async def test_export_has_the_chosen_fields_alone(client: AsyncClient) -> None:
    whole = await get_json(client, "/whole")
    for path in ("/some", "/reading"):
        for names in combinations(NAMES, 2):
            url = f"{path}?fields={','.join(names)}"
            response = await client.get(url, headers={"Accept": NDJSON})
            expected = chosen(whole, names)
            lines = response.text.splitlines()
            assert len(lines) == len(expected)
            assert await get_json(client, url) == expected
            assert all(f'"{name}":' in line for name in names for line in lines)


async def test_no_fields_means_all_fields(client: AsyncClient) -> None:
    assert await get_json(client, "/some") == await get_json(client, "/whole")


async def test_columns_left_out_are_not_selected(client: AsyncClient) -> None:
    with statements() as sent:
        assert await get_json(client, "/some?fields=number")
    (statement,) = sent
    for name in ("priority", "customer", "lines", "version"):
        assert name not in statement
    with statements() as sent:
        assert await get_json(client, "/some?fields=customer&sort=-priority")
    (statement,) = sent
    assert "version" not in statement
    assert "JOIN customers" in statement
    with statements() as sent:
        assert await get_json(client, "/some?fields=first-lines")
    assert len(sent) == 2


async def test_pages_are_sorted_by_a_field_left_out(client: AsyncClient) -> None:
    url = "/some?fields=id&sort=-priority,number&limit=2"
    forward = [page.json() async for page in pages(client, url, "next")]
    assert [row for page in forward for row in page] == [{"id": key} for key in (4, 2, 1, 3, 5, 6)]


async def test_cursor_is_not_bound_to_the_fields(client: AsyncClient) -> None:
    first = await client.get("/some?limit=1&fields=id")
    link = first.links["next"]["url"]
    assert "fields=id" in link
    for other in (link.replace("fields=id", "fields=number"), link.replace("fields=id&", "")):
        (row,) = (await client.get(other)).json()
        assert row["number"] == "A-2"
    rejected = await client.get(link + "&number=A-2")
    assert rejected.json()["type"] == "/problems/invalid_cursor"


async def test_fields_filters_and_counts_mix(client: AsyncClient) -> None:
    response = await client.get("/pages?fields=number&tags__name=red&count=exact")
    assert response.json() == {
        "items": [{"number": "A-1"}, {"number": "A-2"}],
        "total": 2,
        "next": None,
        "prev": None,
    }


async def test_code_of_a_schema_gets_whole_rows(client: AsyncClient) -> None:
    assert (await get_json(client, "/coded?fields=title&limit=1")) == [{"title": "A-1, 1"}]
    assert (await get_json(client, "/coded?fields=label,number&limit=1")) == [
        {"number": "A-1", "label": "A-1/1"}
    ]
    assert (await get_json(client, "/labels?fields=label&limit=1")) == [{"label": "A-1/1"}]
    assert (await client.get("/coded?fields=secret")).status_code == 422


async def test_deleted_rows_show_their_deletion(client: AsyncClient) -> None:
    (line,) = await get_json(client, "/lines?deleted=only&fields=quantity")
    assert line == {"quantity": 5, "deleted_at": "2020-01-01T00:00:00Z"}
    (line,) = await get_json(client, "/camel-lines?deleted=only&fields=lineQuantity")
    assert line == {"lineQuantity": 5, "deletedAt": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "value", ["near", "", "id,near", "priority", "id,", "*", "lines", "customer.id"]
)
async def test_unknown_field_is_rejected(client: AsyncClient, value: str) -> None:
    response = await client.get("/some", params={"fields": value})
    assert response.status_code == 422
    assert {error["parameter"] for error in response.json()["errors"]} == {"fields"}
    assert response.json()["errors"][0]["allowed"] == [*NAMES]


async def test_fields_must_be_declared(client: AsyncClient) -> None:
    for path in ("/whole?fields=id", "/some/1?fields=id", "/some?fields=id&fields=number"):
        response = await client.get(path)
        assert response.status_code == 422
        assert response.json()["errors"][0]["parameter"] == "fields"


async def test_head_has_the_length_of_the_chosen_fields(client: AsyncClient) -> None:
    got, headed = [await client.request(method, "/some?fields=id") for method in ("GET", "HEAD")]
    assert headed.headers["content-length"] == str(len(got.content))


def test_openapi_lists_the_fields() -> None:
    document: Any = create_app("sqlite:///unused.db").openapi()
    operation = document["paths"]["/some"]["get"]
    (parameter,) = [item for item in operation["parameters"] if item["name"] == "fields"]
    assert parameter["schema"]["items"]["enum"] == [*NAMES]
    assert parameter["schema"]["maxItems"] == 100
    assert (parameter["style"], parameter["explode"]) == ("form", False)
    reference = {"$ref": "#/components/schemas/AliasedFields"}
    content = operation["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["items"] == reference
    assert content[NDJSON]["schema"] == {"type": "array", "items": reference}
    schemas = document["components"]["schemas"]
    assert "required" not in schemas["AliasedFields"]
    assert schemas["AliasedFields"]["properties"] == schemas["AliasedRead"]["properties"]
    assert schemas["AliasedPage"]["properties"]["items"]["items"] == reference
    assert schemas["AliasedRead"]["required"] == [*NAMES]


class SelfSerialised(OrderRead):
    @model_serializer
    def serialise(self) -> dict[str, Any]:
        return {"a": 1}


def test_schema_that_serialises_itself_has_no_fieldsets() -> None:
    with pytest.raises(TypeError, match=r"serialises itself, .* Leave out the fields parameter"):
        crud_router("/orders", Orders, read=SelfSerialised, query=OrderList)


def test_parameter_of_fields_has_that_name() -> None:
    with pytest.raises(TypeError, match=r"Only\.only is of the type Fields: call it fields"):

        class Only(ListQuery[Order]):  # pyright: ignore[reportUnusedClass]
            only: Fields = None


def test_fields_of_a_query_without_a_router_are_any_names() -> None:
    assert OrderList.model_validate({"fields": "a,b"}).fields == ("a", "b")


@pytest.mark.both_paths
async def test_request_without_fields_takes_the_fast_path(tables: Tables, backend: str) -> None:
    url = await tables.of(Base.metadata, backend, ROWS)
    router = crud_router("/orders", Orders, read=OrderRead, query=OrderList)
    async with serving_routers(Database(url, fast_path=True), router) as client:
        assert await path_taken(client.get("/orders?limit=1")) == "200 fast"
        assert await path_taken(client.get("/orders?fields=id")) == "200 ORM"


class CamelNote(ReadSchema):
    model_config = ConfigDict(alias_generator=to_camel)

    id: int
    text: str


class CamelQuery(ListQuery[Note]):
    fields: Fields = None


class CamelNotes(Resource[Note]): ...


async def test_deletion_has_its_alias_beside_chosen_fields(tables: Tables, backend: str) -> None:
    rows: Rows = {Note: [{"owner": "ada", "text": "a"}, {"owner": "ada", "text": "b"}]}
    database = Database(await tables.of(NoteBase.metadata, backend, rows))
    router = notes(CamelNotes, read=CamelNote, query=CamelQuery)
    async with calling(notes_app(database, router)) as client:
        assert (await client.delete("/notes/1")).status_code == 204
        found = (await client.get("/notes?deleted=include&fields=text")).json()
    assert [{*row} for row in found] == [{"text", "deletedAt"}] * 2
    assert [row["deletedAt"] is None for row in found] == [False, True]
