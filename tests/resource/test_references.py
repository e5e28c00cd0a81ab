"""References to rows out of scope."""

from collections.abc import AsyncGenerator
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from httpx2 import AsyncClient
from sqlalchemy import Select
from typing_extensions import override

from brickwork import (
    ReferenceScopes,
    Resource,
    StrictRoute,
    UnprocessableContent,
    crud_router,
    install,
)
from tests.support.bodies import get_json, summary
from tests.support.calls import calling
from tests.support.recording import statements
from tests.support.shop import (
    City,
    CityCreate,
    CityRead,
    CityUpdate,
    Country,
    CountryCreate,
    CountryRead,
    CountryUpdate,
    Shop,
)

pytestmark = pytest.mark.anyio

REFUSED = "422 #/country_code reference_not_found"


class Countries(Resource[Country]):
    """The countries of the caller's region: their codes begin with its name."""

    region: Annotated[str, Header()] = ""

    @override
    def query(self) -> Select[Country]:
        return super().query().where(Country.code.startswith(self.region))


class Cities(Resource[City]):
    countries: Annotated[Countries, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"country_code": self.countries.query()}


router = APIRouter(route_class=StrictRoute)


@router.post("/towns", status_code=204)
async def insert_town(rows: Annotated[Cities, Depends()], country_code: str) -> None:
    await rows.create(City(name="Town", country_code=country_code))


@pytest.fixture
async def shop(empty_url: str) -> AsyncGenerator[Shop]:
    shop = Shop(empty_url)
    async with shop.lifespan(None):
        yield shop


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[AsyncClient]:
    """Return a client from the region A, of a service with the countries AA, AB and BA."""
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/countries",
            Countries,
            read=CountryRead,
            create=CountryCreate,
            update=CountryUpdate,
        )
    )
    app.include_router(
        crud_router("/cities", Cities, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    app.include_router(router)
    async with calling(app) as client:
        for code in ("AA", "AB", "BA"):
            body = {"code": code, "name": code}
            assert summary(await client.post("/countries", json=body)) == "201"
        client.headers["region"] = "A"
        yield client


def city(code: str | None) -> dict[str, object]:
    return {"name": "City", "country_code": code}


async def test_a_reference_out_of_scope_is_rejected_on_create(client: AsyncClient) -> None:
    for code, answer in {"AA": "201", "BA": REFUSED, "ZZ": REFUSED, None: "201"}.items():
        assert summary(await client.post("/cities", json=city(code))) == answer
    codes = [row["country_code"] for row in await get_json(client, "/cities")]
    assert codes == ["AA", None]


async def test_a_reference_out_of_scope_is_rejected_on_update(client: AsyncClient) -> None:
    key = (await client.post("/cities", json=city("AA"))).json()["id"]
    for method in ("PATCH", "PUT"):
        for code, answer in {"BA": REFUSED, "AB": "200", None: "200", "AA": "200"}.items():
            response = await client.request(method, f"/cities/{key}", json=city(code))
            assert summary(response) == answer


async def test_an_unchanged_reference_is_not_checked(client: AsyncClient) -> None:
    key = (await client.post("/cities", json=city("AA"))).json()["id"]
    client.headers["region"] = "B"
    response = await client.patch(f"/cities/{key}", json={"name": "Other"})
    assert (response.status_code, response.json()["country_code"]) == (200, "AA")
    assert summary(await client.put(f"/cities/{key}", json=city("AA"))) == "200"


async def test_a_batch_names_every_reference_out_of_scope(client: AsyncClient) -> None:
    batch = [city(code) for code in ("AA", "BA", None, "ZZ")]
    faults = ", ".join(f"#/{index}/country_code reference_not_found" for index in (1, 3))
    assert summary(await client.post("/cities/batch", json=batch)) == f"422 {faults}"
    assert await get_json(client, "/cities") == []
    assert summary(await client.post("/cities/batch", json=[batch[0]] * 3)) == "201"


async def test_a_batch_checks_references_with_one_select(client: AsyncClient) -> None:
    with statements() as sent:
        batch = [city(code) for code in ("AA", "AB") * 10]
        assert summary(await client.post("/cities/batch", json=batch)) == "201"
    assert [statement.split()[0] for statement in sent if "countries" in statement] == ["SELECT"]


async def test_an_application_handler_checks_references(client: AsyncClient) -> None:
    refused = "422 ?country_code reference_not_found"
    for code, answer in {"AA": "204", "BA": refused}.items():
        assert summary(await client.post(f"/towns?country_code={code}")) == answer


async def test_a_script_checks_references(shop: Shop) -> None:
    async with shop.session() as session:
        session.add_all([Country(code="AA", name="A"), Country(code="BA", name="B")])
    with pytest.raises(UnprocessableContent) as refusal:
        await _settle(shop, "BA")
    assert [error.pointer for error in refusal.value.errors] == ["#/country_code"]
    await _settle(shop, "AA")


async def _settle(shop: Shop, code: str) -> None:
    async with shop.session() as session:
        rows = Cities(session=session, countries=Countries(session=session, region="A"))
        await rows.create(City(name="City", country_code=code))


async def test_a_read_checks_no_references(client: AsyncClient) -> None:
    with statements() as sent:
        assert await get_json(client, "/cities") == []
    assert not any("countries" in statement for statement in sent)
