"""PUT with client-chosen keys: creating and replacing rows."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import pytest
from annotated_types import Len
from fastapi import APIRouter, Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import Select, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Timestamped,
    Versioned,
    crud_router,
)
from tests.support.bodies import ask, get_json, summary, version_tag
from tests.support.calls import calling
from tests.support.running import Running
from tests.support.shop import (
    Base,
    Country,
    CountryCreate,
    CountryRead,
    CountryUpdate,
    Shop,
    app_of,
)

pytestmark = pytest.mark.anyio

Body: TypeAlias = dict[str, Any]


class Color(Base, Timestamped, Versioned):
    """A color of a tenant, with a client-chosen key."""

    __tablename__ = "colors"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    note: Mapped[str | None] = mapped_column(String(20))
    uses: Mapped[int] = mapped_column(server_default="0")
    tenant: Mapped[str] = mapped_column(String(20), default="")


class Shade(Base, SoftDelete):
    """A shade of a color, with soft delete."""

    __tablename__ = "shades"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)


class ColorCreate(Schema):
    code: Annotated[str, Len(1, 10)]
    name: str
    note: str | None = None


class ColorUpdate(ColorCreate, partial=True): ...


class ColorRead(ReadSchema):
    code: str
    name: str
    note: str | None
    uses: int
    version: int


class ShadeCreate(Schema):
    code: str


class ShadeUpdate(ShadeCreate, partial=True): ...


class ShadeRead(ReadSchema):
    code: str


def current_tenant(tenant: Annotated[str, Header()] = "") -> str:
    """Return the tenant of the request."""
    return tenant


class Colors(Resource[Color]):
    """The colors of a tenant: `create` capitalises names, `update` lowers them."""

    allow_upsert = True
    tenant: Annotated[str, Depends(current_tenant)]

    @override
    def query(self) -> Select[Color]:
        return super().query().where(Color.tenant == self.tenant)

    @override
    async def create(self, row: Color, /) -> None:
        row.tenant = self.tenant
        row.name = row.name.title()
        await super().create(row)

    @override
    async def update(self, row: Color, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)
        row.name = row.name.lower()


class CarefulColors(Colors):
    require_if_match = True


class Countries(Resource[Country]):
    allow_upsert = True


class Shades(Resource[Shade]):
    allow_upsert = True


def colors(prefix: str, resource: type[Resource[Color]]) -> APIRouter:
    return crud_router(prefix, resource, read=ColorRead, create=ColorCreate, update=ColorUpdate)


ROUTERS: Final = (
    colors("/colors", Colors),
    colors("/careful", CarefulColors),
    crud_router(
        "/countries", Countries, read=CountryRead, create=CountryCreate, update=CountryUpdate
    ),
    crud_router("/shades", Shades, read=ShadeRead, create=ShadeCreate, update=ShadeUpdate),
)


def create_app(url: str) -> FastAPI:
    """Create an application of resources with upserts."""
    return app_of(Shop(url), *ROUTERS)


@pytest.fixture
async def client(running: Running, shop_url: str) -> AsyncClient:
    """Return a client of resources with upserts."""
    return await running.client(create_app, shop_url)


def red(**fields: object) -> Body:
    return {"code": "red", "name": "Red", **fields}


RED = "/colors/red"


async def test_a_put_creates_a_row_and_another_replaces_it(client: AsyncClient) -> None:
    response = await client.put(RED, json=red(note="Warm."))
    assert (response.status_code, response.headers["location"]) == (201, RED)
    row = red(note="Warm.", uses=0, version=1)
    assert (response.json(), version_tag(response)) == (row, '"1"')
    assert await get_json(client, RED) == row

    response = await client.put(RED, json=red())
    assert (response.status_code, version_tag(response)) == (200, '"2"')
    assert "location" not in response.headers
    assert response.json() == red(name="red", note=None, uses=0, version=2)
    for body in (red(name="red"), response.json()):
        again = await client.put(RED, json=body)
        assert (again.status_code, again.json()) == (200, response.json())
        assert version_tag(again) == '"2"'
    assert await get_json(client, "/colors") == [response.json()]


async def test_a_deleted_row_can_be_created_again(client: AsyncClient) -> None:
    for _ in range(2):
        assert summary(await client.put(RED, json=red())) == "201"
        assert summary(await client.put(RED, json=red())) == "200"
        assert summary(await client.delete(RED)) == "204"


async def test_an_unversioned_row_is_created_without_an_etag(client: AsyncClient) -> None:
    for status, name in ((201, "Portugal"), (200, "Portugal"), (200, "Lusitania")):
        body = {"code": "PT", "name": name}
        response = await client.put("/countries/PT", json=body)
        assert (response.status_code, response.json()) == (status, body)
        assert "etag" not in response.headers
        assert await get_json(client, "/countries/PT") == body


async def test_a_put_calls_create_or_update(
    client: AsyncClient,
) -> None:
    names = [(await client.put(RED, json=red(name="rEd"))).json()["name"] for _ in range(2)]
    assert names == ["Red", "red"]


async def test_preconditions_distinguish_creating_from_replacing(client: AsyncClient) -> None:
    for headers, answer in (
        ({"if-match": '"1"'}, "404"),
        ({"if-match": "*"}, "404"),
        ({"if-match": "*", "if-none-match": "*"}, "404"),
        ({"if-none-match": "1"}, "400 If-None-Match etag"),
        ({"if-none-match": "*"}, "201"),
    ):
        assert summary(await client.put(RED, json=red(), headers=headers)) == answer
    for headers, answer in (
        ({"if-none-match": "*"}, "412"),
        ({"if-none-match": '"1"'}, "412"),
        ({"if-match": '"7"'}, "412"),
    ):
        response = await client.put(RED, json=red(note="!"), headers=headers)
        assert (summary(response), version_tag(response)) == (answer, '"1"')
    assert (await get_json(client, RED))["note"] is None
    for headers in ({"if-match": '"1"'}, {"if-match": "*"}, {"if-none-match": '"7"'}):
        assert summary(await client.put(RED, json=red(), headers=headers)) == "200"
    headers = {"if-none-match": '"1"'}
    response = await client.put("/colors/blue", json=red(code="blue", name="B"), headers=headers)
    assert summary(response) == "201"


async def test_a_resource_may_require_preconditions_for_replacing(
    client: AsyncClient,
) -> None:
    assert summary(await client.put("/careful/red", json=red())) == "201"
    assert summary(await client.put("/careful/red", json=red())) == "428 If-Match required"
    headers = {"if-match": '"1"'}
    assert summary(await client.put("/careful/red", json=red(), headers=headers)) == "200"


async def test_the_key_in_the_body_must_match_the_path(client: AsyncClient) -> None:
    for status in ("201", "200"):
        for code in ("blue", "Red", "red "):
            response = await client.put(RED, json=red(code=code))
            assert summary(response) == "409 #/code key_differs"
        assert summary(await client.put(RED, json={"name": "Red"})) == "422 #/code missing"
        assert summary(await client.put(RED, json=red())) == status
    assert len(await get_json(client, "/colors")) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/colors/é", "é"),
        ("/colors/%C3%A9%3F%23", "é?#"),
        ("/colors/a%20b", "a b"),
        ("/colors/100%25", "100%"),
        ("/colors/%2541", "%41"),
        ("/colors/a+b", "a+b"),
        ("/colors/.a.", ".a."),
        ("/colors/batches", "batches"),
        ("/colors/red/", "red"),
    ],
)
async def test_the_location_leads_to_the_row(client: AsyncClient, path: str, code: str) -> None:
    response = await client.put(path, json=red(code=code))
    assert (response.status_code, response.json()["code"]) == (201, code)
    posted = await client.post("/countries", json={"code": code[:2].ljust(2), "name": "Posted"})
    assert posted.status_code == 201
    location = response.headers["location"]
    assert await get_json(client, location) == response.json()
    assert summary(await client.put(path, json=red(code=code))) == "200"
    if len(code) == 2:
        assert posted.headers["location"] == location.replace("colors", "countries")


@pytest.mark.parametrize("code", [".", "..", "batch", "a/b", "/"])
async def test_a_key_without_a_path_is_rejected(client: AsyncClient, code: str) -> None:
    refused = "#/code no_path"
    assert summary(await client.post("/colors", json=red(code=code))) == f"422 {refused}"
    batch = [red(), red(code=code)]
    assert summary(await client.post("/colors/batch", json=batch)) == "422 #/1/code no_path"
    assert await get_json(client, "/colors") == []


async def test_a_path_in_invalid_utf_8_is_404(client: AsyncClient) -> None:
    named = red(code="\ufffd")
    assert summary(await ask(client, "PUT", "/colors/%FF", named)) == "404"
    assert summary(await ask(client, "PUT", "/colors/%EF%BF%BD", named)) == "201"
    for target in ("/colors/%FF", "/colors/%FE", "/colors/%EF%BF"):
        assert summary(await ask(client, "GET", target)) == "404"
    assert summary(await ask(client, "GET", "/colors/%EF%BF%BD")) == "200"


async def test_an_invalid_key_creates_no_row(client: AsyncClient) -> None:
    for key, answer in {"%00": "404", "a" * 11: "404", "batch": "405"}.items():
        assert summary(await client.put(f"/colors/{key}", json=red())) == answer
    assert await get_json(client, "/colors") == []


async def test_a_rejected_put_creates_nothing(client: AsyncClient) -> None:
    assert summary(await client.put("/colors/blue", json=red(code="blue"))) == "201"
    for body, answer in (
        (red(), "409 #/name not_unique"),
        (red(name=1), "422 #/name string_type"),
        (red(zzz=1), "422 #/zzz unknown_field"),
        ({"code": "red"}, "422 #/name missing"),
    ):
        assert summary(await client.put(RED, json=body)) == answer
    assert [row["code"] for row in await get_json(client, "/colors")] == ["blue"]


async def test_a_creating_put_rejects_read_only_fields(client: AsyncClient) -> None:
    response = await client.put(RED, json=red(version=7, uses=9))
    assert summary(response) == "422 #/uses read_only, #/version read_only"
    assert await get_json(client, "/colors") == []


async def test_one_of_several_puts_creates_and_the_others_replace(
    client: AsyncClient,
) -> None:
    for number in range(3):
        path, code = f"/colors/c{number}", f"c{number}"
        puts = [
            client.put(path, json=red(code=code, name=f"{code} {index}")) for index in range(30)
        ]
        responses = await asyncio.gather(*puts)
        assert sorted(summary(response) for response in responses) == ["200"] * 29 + ["201"]
        versions = sorted(response.json()["version"] for response in responses)
        assert versions == list(range(1, 31))
        assert await get_json(client, path) == max(
            (response.json() for response in responses), key=lambda row: row["version"]
        )


async def test_one_of_several_create_only_puts_succeeds(client: AsyncClient) -> None:
    new = {"if-none-match": "*"}
    puts = [client.put(RED, json=red(note=str(number)), headers=new) for number in range(30)]
    responses = await asyncio.gather(*puts)
    assert sorted(summary(response) for response in responses) == ["201"] + ["412"] * 29
    assert (await get_json(client, RED))["version"] == 1


async def test_a_key_of_another_tenant_is_taken(shop_url: str) -> None:
    database = Shop(shop_url)
    ours, theirs = {"tenant": "ours"}, {"tenant": "theirs"}
    async with calling(app_of(database, *ROUTERS)) as client:
        assert summary(await client.put(RED, json=red(), headers=ours)) == "201"
        response = await client.put(RED, json=red(name="Other"), headers=theirs)
        assert summary(response) == "409 #/code not_unique"
        assert database.retries <= 2  # another attempt finds nothing else
        response = await client.put(RED, json=red(), headers=theirs | {"if-match": "*"})
        assert summary(response) == "404"
        assert (await client.get(RED, headers=ours)).json() == red(note=None, uses=0, version=1)
        assert summary(await client.put(RED, json=red(), headers=ours)) == "200"


class OpenColors(Resource[Color]):
    """The colors of a tenant; new colors have no tenant."""

    allow_upsert = True
    tenant: Annotated[str, Depends(current_tenant)]

    @override
    def query(self) -> Select[Color]:
        return super().query().where(Color.tenant == self.tenant)


async def test_row_created_out_of_scope_is_forbidden(shop_url: str) -> None:
    async with calling(app_of(Shop(shop_url), colors("/colors", OpenColors))) as client:
        assert summary(await client.put(RED, json=red(), headers={"tenant": "ours"})) == "403"
        assert summary(await client.put(RED, json=red())) == "201"


async def test_a_key_of_a_deleted_row_is_taken(shop_url: str) -> None:
    database = Shop(shop_url)
    path, body = "/shades/dark", {"code": "dark"}
    async with calling(app_of(database, *ROUTERS)) as client:
        assert summary(await client.put(path, json=body)) == "201"
        assert summary(await client.delete(path)) == "204"
        assert summary(await client.put(path, json=body)) == "409 #/code not_unique"
        assert database.retries <= 2
        assert summary(await client.post(f"{path}/restore")) == "200"
        assert summary(await client.put(path, json=body)) == "200"
        assert summary(await client.delete(f"{path}?purge=true")) == "204"
        assert summary(await client.put(path, json=body)) == "201"


async def test_openapi_declares_that_a_put_may_create(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    operation = paths["/colors/{id}"]["put"]
    responses = operation["responses"]
    assert "412" in responses
    headers = {item["name"] for item in operation["parameters"] if item["in"] == "header"}
    assert {"If-Match", "If-None-Match"} <= headers
    assert {"200", "201"} <= responses.keys()
    assert responses["201"]["content"] == responses["200"]["content"]
