"""Overridden methods and scopes of resources."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated, Any, Generic, TypeVar

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import Select, func, select, text
from typing_extensions import override

from brickwork import (
    Conflict,
    CustomFilter,
    ListQuery,
    Model,
    NotFound,
    Page,
    Resource,
    ServiceUnavailable,
    SortKey,
    UnprocessableContent,
    crud_router,
    get_or_404,
    install,
)
from brickwork.testing import sign_in
from tests.support import shop
from tests.support.annotated_late import PrefixedCities
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.running import Running
from tests.support.shop import City, CityCreate, CityRead, CityUpdate, Shop

pytestmark = pytest.mark.anyio

M = TypeVar("M", bound=Model)

OURS, THEIRS = {"tenant": "ours"}, {"tenant": "theirs"}


@pytest.fixture
async def client(running: Running, shop_url: str) -> AsyncClient:
    return await running.client(shop.create_app, shop_url)


def created(response: Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    return row


def names(response: Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [row["name"] for row in response.json()]


async def test_an_override_applies_to_every_route(client: AsyncClient) -> None:
    city = created(await client.post("/cities", json={"name": "new york"}))
    assert city["name"] == "New York"

    patched = await client.patch("/cities/1", json={"name": "los angeles"})
    assert patched.json()["name"] == "Los Angeles"

    replaced = await client.put("/cities/1", json={"name": "san josé"})
    assert replaced.json()["name"] == "San José"


async def test_a_row_out_of_scope_looks_like_a_missing_row(
    client: AsyncClient,
) -> None:
    created(await client.post("/cities", json={"name": "Rome"}, headers=OURS))

    requests: list[tuple[str, str, object]] = [
        ("GET", "", None),
        ("HEAD", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("PUT", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("DELETE", "?allow_missing=true", None),
        ("POST", "/visit", None),
    ]
    for method, suffix, body in requests:
        hidden, missing = [
            await client.request(method, f"/cities/{key}{suffix}", json=body, headers=THEIRS)
            for key in (1, 999)
        ]
        assert hidden.status_code == missing.status_code == (204 if "?" in suffix else 404)
        differing = {"instance", "content-length"}
        assert without(hidden, differing) == without(missing, differing)

    assert names(await client.get("/cities", headers=THEIRS)) == []
    assert names(await client.get("/cities", headers=OURS)) == ["Rome"]


def without(response: Response, members: set[str]) -> dict[str, Any]:
    body: dict[str, Any] = response.json() if response.content else {}
    return {name: value for name, value in body.items() if name not in members}


async def test_the_database_generates_integer_keys(client: AsyncClient) -> None:
    rows = [created(await client.post("/cities", json={"name": name})) for name in ("A", "B")]

    assert [row["id"] for row in rows] == [1, 2]
    assert (await client.get("/cities/2")).json() == rows[1]


@pytest.mark.parametrize(
    "key", ["01", "+1", "1.0", "1e0", "-0", " 1", "x", "1" * 5000, "\N{FULLWIDTH DIGIT TWO}", "%00"]
)
async def test_a_key_that_is_no_integer_is_not_found(client: AsyncClient, key: str) -> None:
    created(await client.post("/cities", json={"name": "Rome"}))

    response = await client.get(f"/cities/{key}")

    assert (response.status_code, response.json()["detail"]) == (404, "City not found")


async def test_the_client_chooses_a_unique_text_key(client: AsyncClient) -> None:
    portugal = {"code": "PT", "name": "Portugal"}
    response = await client.post("/countries", json=portugal)
    assert response.headers["location"] == "/countries/PT"

    again = await client.post("/countries", json=portugal | {"name": "Other"})

    assert again.status_code == 409
    assert again.json()["errors"][0]["pointer"] == "#/code"
    for key in ("pt", "PTT", "%00", "P%2FT", "%ED%A0%80"):
        assert (await client.get(f"/countries/{key}")).status_code == 404


async def test_a_key_is_quoted_in_the_location(client: AsyncClient) -> None:
    response = await client.post("/countries", json={"code": "é?", "name": "Odd"})

    assert response.headers["location"] == "/countries/%C3%A9%3F"
    assert (await client.get(response.headers["location"])).json()["code"] == "é?"


async def test_a_change_of_the_key_is_rejected(client: AsyncClient) -> None:
    await client.post("/countries", json={"code": "PT", "name": "Portugal"})

    for response in (
        await client.patch("/countries/PT", json={"code": "XX"}),
        await client.put("/countries/PT", json={"code": "XX", "name": "X"}),
    ):
        assert response.status_code == 409
        assert response.json()["errors"][0] | {"detail": ""} == {
            "pointer": "#/code",
            "code": "key_differs",
            "detail": "",
        }
    same = await client.put("/countries/PT", json={"code": "PT", "name": "Portugal!"})
    assert same.json() == {"code": "PT", "name": "Portugal!"}


async def test_a_database_default_is_in_the_response(client: AsyncClient) -> None:
    assert created(await client.post("/cities", json={"name": "Rome"}))["visits"] == 0


async def test_a_field_has_the_bounds_of_its_column(client: AsyncClient) -> None:
    table = {
        "name": ("x" * 20, "x" * 21, "string_too_long"),
        "people": (2**31 - 1, 2**31, "less_than_equal"),
    }
    for field, (fits, exceeds, code) in table.items():
        body = {"name": "Rome", field: fits}
        assert created(await client.post("/cities", json=body))
        refused = await client.post("/cities", json=body | {field: exceeds})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["code"] == code
    document = (await client.get("/openapi.json")).json()
    for name in ("CityCreate", "CityUpdate", "CityReplace"):
        fields = document["components"]["schemas"][name]["properties"]
        assert fields["name"]["maxLength"] == 20
        assert fields["people"]["maximum"] == 2**31 - 1


async def test_a_violated_check_constraint_is_a_422(client: AsyncClient) -> None:
    response = await client.post("/cities", json={"name": "Rome", "people": -1})

    assert response.status_code == 422
    assert response.json()["detail"] == "The values do not fit together, or with this resource."


async def test_a_dependency_can_be_overridden_in_tests(shop_url: str) -> None:
    app = shop.create_app(shop_url)
    async with calling(app) as client:
        with sign_in(app, shop.current_tenant, "ours"):
            created(await client.post("/cities", json={"name": "Rome"}, headers=THEIRS))

            assert names(await client.get("/cities")) == ["Rome"]


async def test_a_resource_can_have_string_annotations(shop_url: str) -> None:
    app = shop.create_app(shop_url)
    app.include_router(
        crud_router("/named", PrefixedCities, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    async with calling(app) as client:
        for name in ("Rome", "Riga", "Oslo"):
            created(await client.post("/cities", json={"name": name}))

        assert names(await client.get("/named", headers={"prefix": "R"})) == ["Rome", "Riga"]


class CityQuery(ListQuery[City]):
    name: str | None = None
    longer_than: Annotated[int | None, CustomFilter] = None

    @override
    def filter(self, statement: Select[City]) -> Select[City]:
        longer = func.length(City.name) > (self.longer_than or 0)
        return super().filter(statement).where(longer)

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return [SortKey("name")]


class VisibleCities(Resource[City]):
    @override
    async def page(self, at: ListQuery[City], /) -> Page[City]:
        page = await super().page(at)
        return replace(page, items=[row for row in page.items if row.name != "Hidden"])


async def test_a_list_has_the_parameters_and_order_of_its_query(
    shop_url: str,
) -> None:
    app = FastAPI(lifespan=Shop(shop_url).lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/cities",
            VisibleCities,
            read=CityRead,
            create=CityCreate,
            update=CityUpdate,
            query=CityQuery,
        )
    )
    async with calling(app) as client:
        for name in ("Rome", "Oslo", "Hidden", "Rome", "Ys"):
            created(await client.post("/cities", json={"name": name}))

        assert names(await client.get("/cities")) == ["Oslo", "Rome", "Rome", "Ys"]
        assert names(await client.get("/cities?longer_than=2")) == ["Oslo", "Rome", "Rome"]
        response = await client.get("/cities?name=Rome&limit=1&offset=0")
        assert names(response) == ["Rome"]
        assert '</cities?name=Rome&limit=1&offset=1>; rel="next"' in response.headers["link"]
        assert (await client.get("/cities?names=Rome")).status_code == 422
        refused = await client.get("/cities?name=%00")
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "null_character")


async def test_an_overridden_page_can_return_other_objects(shop_url: str) -> None:
    class UppercaseCities(Resource[City]):
        @override
        async def page(self, at: ListQuery[City], /) -> Page[City]:
            page = await super().page(at)
            loud: Any = [
                SimpleNamespace(**vars(row) | {"name": row.name.upper()}) for row in page.items
            ]
            return replace(page, items=loud)

    app = FastAPI(lifespan=Shop(shop_url).lifespan)
    install(app)
    app.include_router(
        crud_router("/cities", UppercaseCities, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    async with calling(app) as client:
        created(await client.post("/cities", json={"name": "Rome"}))
        assert names(await client.get("/cities")) == ["ROME"]


async def test_an_override_can_raise_a_problem(shop_url: str) -> None:
    class Capitals(Resource[City]):
        @override
        async def create(self, row: City, /) -> None:
            if row.people == 0:
                raise UnprocessableContent("A capital has people.")
            await super().create(row)

        @override
        async def delete(self, row: City, /) -> None:
            raise Conflict("A capital stays.")

    app = FastAPI(lifespan=Shop(shop_url).lifespan)
    install(app)
    app.include_router(
        crud_router("/capitals", Capitals, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    async with calling(app) as client:
        assert (await client.post("/capitals", json={"name": "Rome"})).status_code == 422
        created(await client.post("/capitals", json={"name": "Rome", "people": 3}))
        refused = await client.delete("/capitals/1")
        assert (refused.status_code, refused.json()["detail"]) == (409, "A capital stays.")


async def test_a_resource_without_a_model_names_the_remedy() -> None:
    class Nameless(Resource[M], Generic[M]): ...

    with pytest.raises(TypeError, match=r"Resource\[YourModel\]"):
        getattr(Nameless, "model")  # noqa: B009 — as an attribute its type is unknown


async def test_a_generic_base_class_gives_resources_their_model() -> None:
    class Base(Resource[M], Generic[M]): ...

    class Towns(Base[City]): ...

    class Villages(Towns): ...

    assert Towns.model is Villages.model is City


async def test_get_or_404_accepts_a_model_or_a_select(databases: Databases) -> None:
    database = Shop(databases.empty("sqlite"))
    async with database.lifespan(None):
        async with database.session() as session:
            session.add(City(name="Rome"))
        async with database.session(readonly=True) as session:
            rome = await get_or_404(session, City, 1)
            assert rome is await get_or_404(session, select(City), "1")


async def test_an_overridden_get_applies_to_each_row_of_a_batch(shop_url: str) -> None:
    class Cities(Resource[City]):
        @override
        async def get(self, key: object, /) -> City:
            city = await super().get(key)
            if city.name == "Atlantis":
                raise NotFound("City not found")
            return city

    app = FastAPI(lifespan=Shop(shop_url).lifespan)
    install(app)
    app.include_router(
        crud_router("/cities", Cities, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    async with calling(app) as client:
        for name in ("Rome", "Atlantis"):
            created(await client.post("/cities", json={"name": name}))
        changes = [{"id": key, "people": 1} for key in (1, 2, 3)]
        assert summary(await client.patch("/cities/batch", json=changes)) == (
            "404 #/1/id not_found, #/2/id not_found"
        )
        assert summary(await client.patch("/cities/batch", json=changes[:1])) == "200"
        assert summary(await client.delete("/cities/batch?id=1&id=2")) == "404 ?id not_found"


@pytest.mark.parametrize("when", ["together", "alone"])
@pytest.mark.parametrize("failure", ["503", "500"], ids=["an outage", "a bug"])
async def test_an_error_of_a_batch_names_no_item(shop_url: str, when: str, failure: str) -> None:
    class Cities(Resource[City]):
        @override
        async def update(self, row: City, /, changes: Mapping[str, Any]) -> None:
            calls.append(row.name)
            if when == "together" or len(calls) > len(items):
                if failure == "503":
                    raise ServiceUnavailable("The database is away.")
                await self.session.execute(text("SELECT nothing FROM nowhere"))
            await super().update(row, changes)

    calls: list[str] = []
    items = [{"id": key, "people": -1} for key in (1, 2)]  # rejected by the database
    app = FastAPI(lifespan=Shop(shop_url).lifespan)
    install(app)
    app.include_router(
        crud_router("/cities", Cities, read=CityRead, create=CityCreate, update=CityUpdate)
    )
    async with calling(app) as client:
        for name in ("Rome", "Oslo"):
            created(await client.post("/cities", json={"name": name}))
        assert summary(await client.patch("/cities/batch", json=items)) == failure


async def test_restore_without_soft_delete_does_nothing(shop_url: str) -> None:
    database = Shop(shop_url)
    async with database.lifespan(None), database.session() as session:
        cities = shop.Cities(session=session, tenant="")
        city = City(name="Rome")
        await cities.create(city)
        await cities.restore(city)
        await session.flush()
        await cities.delete(city)
