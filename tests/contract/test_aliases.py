"""Aliases: errors, filters and OpenAPI use the names of clients."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Len
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import AliasChoices, AliasGenerator, AliasPath, ConfigDict, Field
from pydantic.alias_generators import to_camel, to_pascal
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, Select, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Database,
    Entity,
    ListQuery,
    Model,
    OneOf,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    SoftDelete,
    SortBy,
    SortKey,
    Timestamped,
    Versioned,
    crud_router,
    install,
    unique_unless_deleted,
)
from brickwork.cli.files import open_row_file
from brickwork.cli.importing import import_rows
from brickwork.cli.loading import job_runner
from tests.support.bodies import MISSING, create_row, get_json, summary
from tests.support.both import FAST, apps_of
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]


class Base(Entity):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Team(Base):
    __tablename__ = "teams"

    team_name: Mapped[str] = mapped_column(String(20), unique=True)


class User(Base, Timestamped, Versioned, SoftDelete):
    __tablename__ = "users"

    first_name: Mapped[str] = mapped_column(String(20))
    user_email: Mapped[str] = mapped_column(String(50))
    user_age: Mapped[int | None]
    main_team_id: Mapped[UUID | None] = mapped_column(ForeignKey(Team.id))
    main_team: Mapped[Team | None] = relationship(viewonly=True)

    __table_args__ = (
        unique_unless_deleted("user_email"),
        CheckConstraint("user_age >= 18", name="age"),
    )


CAMEL = ConfigDict(alias_generator=to_camel)


class TeamRead(ReadSchema):
    model_config = CAMEL

    id: UUID
    team_name: str


class TeamCreate(Schema):
    model_config = CAMEL

    team_name: str


class TeamUpdate(TeamCreate, partial=True): ...


class UserRead(ReadSchema):
    model_config = CAMEL

    id: UUID
    first_name: str
    user_email: str
    user_age: int | None
    main_team_id: UUID | None
    main_team: TeamRead | None
    created_at: datetime
    updated_at: datetime
    version: int


class UserCreate(Schema):
    model_config = CAMEL

    first_name: Annotated[str, Len(1)]
    user_email: str
    user_age: int | None = None
    main_team_id: UUID | None = None


class UserUpdate(UserCreate, partial=True): ...


class UserQuery(ListQuery[User]):
    model_config = CAMEL

    first_name: str | None = None
    user_age__gte: int | None = None
    user_age__in: OneOf[int] | None = None
    main_team__team_name: str | None = None
    main_team__team_name__startswith: str | None = None
    sort: SortBy[Literal["first_name", "created_at"]] = (SortKey("first_name"),)


class Teams(Resource[Team]): ...


class Users(Resource[User]):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"main_team_id": Teams(session=self.session).query()}


class PlainUsers(Resource[User]): ...


TEAMS = crud_router("/teams", Teams, read=TeamRead, create=TeamCreate, update=TeamUpdate)
USERS = crud_router(
    "/users", PlainUsers, read=UserRead, create=UserCreate, update=UserUpdate, query=UserQuery
)
SCOPED = crud_router("/scoped", Users, read=UserRead, create=UserCreate, update=UserUpdate)


@pytest.fixture(params=FAST)
async def client(
    request: pytest.FixtureRequest, running: Running, tables: Tables, backend: str
) -> AsyncClient:
    url = await tables.of(Base.metadata, backend)
    return await running.client(APPS[FAST[request.param]], url)


def user(**fields: object) -> dict[str, object]:
    return {"firstName": "Ada", "userEmail": "ada@example.org", **fields}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, "#/firstName missing, #/userEmail missing"),
    (user(firstName=""), "#/firstName string_too_short"),
    (user(firstName="A" * 21), "#/firstName string_too_long"),
    (user(userAge="9"), "#/userAge int_type"),
    (user(userAge=9), "#/userAge check_failed"),
    (user(mainTeamId=MISSING), "#/mainTeamId reference_not_found"),
    (user(first_name="Ada"), "#/first_name unknown_field"),
    (user(createdAt="2020-01-01T00:00:00Z"), "#/createdAt read_only"),
    (user(created_at="2020-01-01T00:00:00Z"), "#/created_at unknown_field"),
]


@pytest.mark.parametrize(("body", "answer"), REFUSED)
async def test_errors_of_a_new_row_use_aliases(
    client: AsyncClient, body: dict[str, object], answer: str
) -> None:
    assert summary(await client.post("/users", json=body)) == f"422 {answer}"


@pytest.mark.parametrize(("body", "answer"), REFUSED)
async def test_errors_of_a_batch_item_use_aliases(
    client: AsyncClient, body: dict[str, object], answer: str
) -> None:
    response = await client.post("/users/batch", json=[user(userEmail="other"), body])
    assert summary(response) == f"422 {answer.replace('#', '#/1')}"


async def test_conflict_uses_the_alias(client: AsyncClient) -> None:
    await create_row(client, "/users", user())
    other = await create_row(client, "/users", user(userEmail="other"))
    taken = "409 #/userEmail not_unique"
    path = f"/users/{other['id']}"
    assert summary(await client.post("/users", json=user())) == taken
    assert summary(await client.patch(path, json={"userEmail": "ada@example.org"})) == taken
    assert summary(await client.put(path, json=user())) == taken
    batch = [user(userEmail="third"), user()]
    assert summary(await client.post("/users/batch", json=batch)) == "409 #/1/userEmail not_unique"
    batch = [{"id": other["id"], "userEmail": "ada@example.org"}]
    assert summary(await client.patch("/users/batch", json=batch)) == "409 #/0/userEmail not_unique"


async def test_conflict_of_a_restored_row_uses_the_alias(client: AsyncClient) -> None:
    path = f"/users/{(await create_row(client, '/users', user()))['id']}"
    await client.delete(path)
    await create_row(client, "/users", user())
    assert summary(await client.post(f"{path}/restore")) == "409 #/userEmail not_unique"


async def test_reference_out_of_scope_uses_the_alias(client: AsyncClient) -> None:
    response = await client.post("/scoped", json=user(mainTeamId=MISSING))
    assert summary(response) == "422 #/mainTeamId reference_not_found"
    response = await client.post("/scoped/batch", json=[user(mainTeamId=MISSING)])
    assert summary(response) == "422 #/0/mainTeamId reference_not_found"


async def test_put_of_an_unchanged_row_changes_nothing(client: AsyncClient) -> None:
    team = await create_row(client, "/teams", {"teamName": "Wall"})
    row = await create_row(client, "/users", user(mainTeamId=team["id"]))
    assert row["mainTeam"] == team
    response = await client.put(f"/users/{row['id']}", json=row)
    assert (response.status_code, response.json()) == (200, row)


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        ({"createdAt": "2020-01-01T00:00:00Z"}, "422 #/createdAt read_only"),
        ({"mainTeam": {"id": MISSING, "teamName": "A"}}, "422 #/mainTeam read_only"),
        ({"version": 7}, "422 #/version read_only"),
        ({"id": MISSING}, "409 #/id key_differs"),
    ],
)
async def test_read_only_error_of_a_put_uses_the_alias(
    client: AsyncClient, field: dict[str, object], answer: str
) -> None:
    row = await create_row(client, "/users", user())
    response = await client.put(f"/users/{row['id']}", json={**row, **field})
    assert summary(response) == answer


async def test_stale_batch_item_is_named(client: AsyncClient) -> None:
    row = await create_row(client, "/users", user())
    item = {"id": row["id"], "firstName": "Eve", "version": 7}
    assert summary(await client.patch("/users/batch", json=[item])) == "412 #/0/version stale"
    twice = [{**item, "version": 1}] * 2
    assert summary(await client.patch("/users/batch", json=twice)) == "422 #/1/id repeated"


async def two_users(client: AsyncClient) -> list[str]:
    team = await create_row(client, "/teams", {"teamName": "Wall"})
    for name, age in (("Bob", 30), ("Ada", 20)):
        body = user(firstName=name, userEmail=name, userAge=age, mainTeamId=team["id"])
        await create_row(client, "/users", body)
    return ["Ada", "Bob"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Ada", "Bob"]),
        ("sort=-firstName", ["Bob", "Ada"]),
        ("sort=createdAt", ["Bob", "Ada"]),
        ("sort=-createdAt,firstName", ["Ada", "Bob"]),
        ("firstName=Bob", ["Bob"]),
        ("userAge__gte=30", ["Bob"]),
        ("userAge__in=20,21", ["Ada"]),
        ("mainTeam__teamName=Wall&sort=firstName", ["Ada", "Bob"]),
        ("mainTeam__teamName__startswith=X", []),
    ],
)
async def test_list_is_sorted_and_filtered_by_aliases(
    client: AsyncClient, query: str, names: list[str]
) -> None:
    await two_users(client)
    assert [row["firstName"] for row in await get_json(client, f"/users?{query}")] == names


async def test_links_of_a_sorted_list_use_aliases(client: AsyncClient) -> None:
    await two_users(client)
    response = await client.get("/users?sort=-firstName&limit=1")
    target = response.links["next"]["url"]
    assert "sort=-firstName" in target
    assert [row["firstName"] for row in await get_json(client, target)] == ["Ada"]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("sort=first_name", "?sort literal_error"),
        ("first_name=A", "?first_name unknown_parameter"),
        ("user_age__gte=1", "?user_age__gte unknown_parameter"),
        ("userAge__Gte=1", "?userAge__Gte unknown_parameter"),
        ("userAge__gte=a", "?userAge__gte int_parsing"),
    ],
)
async def test_query_with_other_names_is_rejected(
    client: AsyncClient, query: str, answer: str
) -> None:
    assert summary(await client.get(f"/users?{query}")) == f"422 {answer}"


async def test_sort_error_lists_the_allowed_aliases(client: AsyncClient) -> None:
    (fault,) = (await client.get("/users?sort=first_name")).json()["errors"]
    assert fault["allowed"] == ["firstName", "-firstName", "createdAt", "-createdAt"]


async def test_openapi_uses_aliases(client: AsyncClient) -> None:
    document = await get_json(client, "/openapi.json")
    found = {
        parameter["name"]: parameter
        for parameter in document["paths"]["/users"]["get"]["parameters"]
    }
    assert [*found] == [
        "limit",
        "offset",
        "cursor",
        "count",
        "firstName",
        "userAge__gte",
        "userAge__in",
        "mainTeam__teamName",
        "mainTeam__teamName__startswith",
        "sort",
        "deleted",
    ]
    sort = found["sort"]["schema"]
    assert sort["items"]["enum"] == ["firstName", "-firstName", "createdAt", "-createdAt"]
    assert sort["default"] == ["firstName"]


# --- Aliases of single fields ------------------------------------------------------------------


class Item(Base, Timestamped):
    """An item with a column that clients cannot write and two constraints mention."""

    __tablename__ = "items"

    tenant: Mapped[str] = mapped_column(String(10), default="one")
    slug: Mapped[str] = mapped_column(String(10))
    label: Mapped[str] = mapped_column(String(10), default="")
    city: Mapped[str | None] = mapped_column(String(10), unique=True)

    __table_args__ = (
        UniqueConstraint("tenant", "slug"),
        CheckConstraint("label <> slug AND tenant <> label", name="label"),
    )


class ItemRead(ReadSchema):
    id: UUID
    short: str = Field(validation_alias="slug")
    label: str = Field(serialization_alias="text")
    city: str | None
    made: datetime = Field(validation_alias="created_at", serialization_alias="madeAt")


class ItemCreate(Schema):
    slug: str = Field(alias="short")
    label: str = Field(default="", validation_alias=AliasChoices("text", "caption"))
    city: str | None = Field(default=None, validation_alias=AliasPath("address", "city"))


class ItemUpdate(ItemCreate, partial=True): ...


class ItemQuery(ListQuery[Item]):
    slug: str | None = Field(default=None, alias="short")
    sort: SortBy[Literal["slug", "label"]] = None


class Items(Resource[Item]):
    @override
    def query(self) -> Select[Item]:
        return super().query().where(Item.tenant == "one")


PLAIN = crud_router(
    "/items", Items, read=ItemRead, create=ItemCreate, update=ItemUpdate, query=ItemQuery
)


async def test_conflict_names_writable_fields_only(
    client: AsyncClient,
) -> None:
    row = await create_row(client, "/items", {"short": "a", "text": "b"})
    assert row.keys() == {"id", "short", "text", "city", "madeAt"}
    taken = "#/short not_unique"
    body = {"short": "a"}
    assert summary(await client.post("/items", json=body)) == f"409 {taken}"
    batch = [{"short": "b"}, body]
    response = await client.post("/items/batch", json=batch)
    assert summary(response) == "409 #/1/short not_unique"


async def test_failed_check_names_writable_fields_only(
    client: AsyncClient,
) -> None:
    response = await client.post("/items", json={"short": "a", "caption": "a"})
    assert summary(response) == "422 #/short check_failed, #/text check_failed"
    assert "tenant" not in response.text


async def test_error_of_a_nested_field_has_its_alias_path(client: AsyncClient) -> None:
    first = {"short": "a", "address": {"city": "Rome"}}
    await create_row(client, "/items", first)
    response = await client.post("/items", json={**first, "short": "b"})
    assert summary(response) == "409 #/address/city not_unique"
    response = await client.post("/items", json={**first, "address": {"city": 5}})
    assert summary(response) == "422 #/address/city string_type"


async def test_error_uses_the_alias_in_the_request(client: AsyncClient) -> None:
    for name in ("text", "caption"):
        response = await client.post("/items", json={"short": "a", name: 5})
        assert summary(response) == f"422 #/{name} string_type"


async def test_put_accepts_read_only_fields_under_their_serialized_names(
    client: AsyncClient,
) -> None:
    row = await create_row(client, "/items", {"short": "a"})
    path = f"/items/{row['id']}"
    body = {"short": "a", "madeAt": row["madeAt"]}
    assert summary(await client.put(path, json=body)) == "200"
    body["madeAt"] = "2020-01-01T00:00:00Z"
    assert summary(await client.put(path, json=body)) == "422 #/madeAt read_only"


async def test_sort_uses_filter_aliases_or_serialized_names(
    client: AsyncClient,
) -> None:
    for name, label in (("a", "y"), ("b", "x")):
        await create_row(client, "/items", {"short": name, "text": label})
    for query, names in {
        "sort=-short": ["b", "a"],
        "sort=text": ["b", "a"],
        "short=b": ["b"],
    }.items():
        assert [row["short"] for row in await get_json(client, f"/items?{query}")] == names
    for name in ("slug", "label"):
        assert summary(await client.get(f"/items?sort={name}")) == "422 ?sort literal_error"


# --- A query without aliases of its own ---------------------------------------------------------


class TeamQuery(ListQuery[Team]):
    sort: SortBy[Literal["team_name"]] = None


SHOWN = crud_router(
    "/shown", Teams, read=TeamRead, create=TeamCreate, update=TeamUpdate, query=TeamQuery
)

APPS = apps_of(TEAMS, USERS, SCOPED, PLAIN, SHOWN)


async def test_query_without_aliases_sorts_by_serialized_names(client: AsyncClient) -> None:
    for name in ("b", "a"):
        await create_row(client, "/shown", {"teamName": name})
    rows = await get_json(client, "/shown?sort=teamName")
    assert [row["teamName"] for row in rows] == ["a", "b"]
    assert summary(await client.get("/shown?sort=team_name")) == "422 ?sort literal_error"


async def test_import_report_uses_aliases(tables: Tables, backend: str, tmp_path: Path) -> None:
    database = Database(await tables.of(Base.metadata, backend))
    app = FastAPI(lifespan=database.lifespan)
    install(app)
    app.include_router(USERS)
    file = tmp_path / "users.csv"
    file.write_text(
        "firstName,userEmail,userAge,mainTeamId\n"
        f"Ada,a,20,\nBob,a,20,\nCid,c,9,\nDan,d,x,\n,e,20,\nEve,f,20,{MISSING}\n"
    )
    target = job_runner(app, database, "users")
    progress = [step async for step in import_rows(target, open_row_file(file))][-1]
    await database.dispose()
    assert (progress.accepted, progress.rejected) == (1, 5)
    report = (tmp_path / "users.csv.rejected.ndjson").read_text().splitlines()
    faults = [fault for line in report for fault in json.loads(line)["errors"]]
    assert {f"{fault['pointer']} {fault['code']}" for fault in faults} == {
        "#/userEmail not_unique",
        "#/userAge check_failed",
        "#/userAge int_parsing",
        "#/firstName missing",
        "#/mainTeamId reference_not_found",
    }


def test_script_sorts_by_attribute_names() -> None:
    assert UserQuery(sort=(SortKey("first_name", descending=True),)).sort == (
        SortKey("first_name", descending=True),
    )


def test_router_leaves_the_query_class_unchanged() -> None:
    assert TeamQuery.model_validate({"sort": "team_name"}).sort == (SortKey("team_name"),)


@pytest.mark.parametrize(
    "generator",
    [
        to_pascal,
        AliasGenerator(alias=to_pascal),
        AliasGenerator(validation_alias=to_pascal),
    ],
)
def test_pagination_parameters_have_no_alias(generator: Any) -> None:
    class Query(ListQuery[User]):
        model_config = ConfigDict(alias_generator=generator)

        first_name: str | None = None
        sort: SortBy[Literal["first_name"]] = None

    class Narrower(Query):
        user_age__gte: int | None = None

    query = Narrower.model_validate(
        {"limit": 5, "FirstName": "A", "UserAge__gte": 1, "sort": "FirstName"}
    )
    assert (query.limit, query.first_name, query.user_age__gte) == (5, "A", 1)
    assert query.sort == (SortKey("first_name"),)


def test_alias_of_a_pagination_parameter_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"Query\.cursor has an alias, but links and errors"):

        class Query(ListQuery[User]):  # pyright: ignore[reportUnusedClass]
            cursor: str | None = Field(default=None, alias="after")


def test_two_sort_columns_with_one_alias_are_rejected() -> None:
    with pytest.raises(TypeError, match=r"Query\.sort has two columns with one name"):

        class Query(ListQuery[User]):  # pyright: ignore[reportUnusedClass]
            first_name: str | None = Field(default=None, alias="name")
            user_email: str | None = Field(default=None, alias="name")
            sort: SortBy[Literal["first_name", "user_email"]] = None
