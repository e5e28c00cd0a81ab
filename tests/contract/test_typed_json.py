"""PATCH of typed JSON: validation of the merged document."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import pytest
from annotated_types import Ge, Len, MaxLen
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import MetaData, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import TypedDict

from brickwork import (
    Database,
    JSONDocument,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SessionDep,
    StrictRoute,
    Versioned,
    apply_changes,
    crud_router,
    get_or_404,
    install,
)
from tests.support.bodies import Body, summary
from tests.support.calls import calling
from tests.support.running import Running
from tests.support.shop import app_of
from tests.support.tables import Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Owner(Base, Versioned):
    """An owner, with documents of every kind."""

    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    pet: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    home: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    friends: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    scores: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    notes: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    loose: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    camel: Mapped[Any] = mapped_column(JSONDocument, nullable=True)
    tree: Mapped[Any] = mapped_column(JSONDocument, nullable=True)


class Cat(Schema):
    kind: Literal["cat"]
    lives: Annotated[int, Ge(1)]


class Dog(Schema):
    kind: Literal["dog"]
    volume: int
    tricks: list[str] = Field(default_factory=list[str])


class Street(Schema):
    name: Annotated[str, MaxLen(10)]
    number: int | None = None


class Home(Schema):
    street: Street
    since: datetime | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.street.number == 13:
            raise ValueError("There is no such house.")
        return self


class Loose(TypedDict):
    width: int
    height: int


class Camel(Schema):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    first_name: str
    last_name: str | None = None


class Tree(Schema):
    """A tree of trees."""

    name: str
    left: "Tree | None" = None


class OwnerCreate(Schema):
    id: int
    name: str = "Ada"
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    home: Home | None = None
    friends: Annotated[list[Cat | Dog], MaxLen(2)] | None = None
    scores: dict[Annotated[str, Len(1, 3)], int] | None = None
    notes: Annotated[dict[str, Any], MaxLen(3)] | None = None
    loose: Loose | int | list[int] | None = None
    camel: Camel | None = None
    tree: Tree | None = None

    @field_validator("name")
    @classmethod
    def count(cls, value: str) -> str:
        return value + "!"

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.name == "Bob!" and isinstance(self.pet, Dog):
            raise ValueError("Bob has no dogs.")
        return self


class OwnerUpdate(OwnerCreate, partial=True): ...


class CamelRead(ReadSchema):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    first_name: str
    last_name: str | None


class OwnerRead(ReadSchema):
    id: int
    name: str
    pet: Cat | Dog | None
    home: Home | None
    friends: list[Cat | Dog] | None
    scores: dict[str, int] | None
    notes: dict[str, Any] | None
    loose: Loose | int | list[int] | None
    camel: CamelRead | None
    tree: Tree | None
    version: int


class Owners(Resource[Owner]): ...


owners = crud_router("/owners", Owners, read=OwnerRead, create=OwnerCreate, update=OwnerUpdate)


def create_app(url: str) -> FastAPI:
    """Create an application of the owners."""
    return app_of(Database(url), owners)


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    """Return the URL of a database without owners."""
    return await tables.of(Base.metadata, backend)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Yield a database without owners."""
    database = Database(url)
    yield database
    await database.dispose()


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    """Return a client of the owners."""
    return await running.client(create_app, url)


CAT: Final = {"kind": "cat", "lives": 9}
DOG: Final = {"kind": "dog", "volume": 3, "tricks": ["sit"]}
HOME: Final = {"street": {"name": "High", "number": 1}, "since": "2024-02-03T04:05:06Z"}


async def patched_fields(client: AsyncClient, before: Body, patch: Body) -> Any:
    """Return the fields of *before* of an owner after *patch*."""
    response = await client.post("/owners", json={"id": 1, **before})
    assert response.status_code == 201, response.text
    response = await client.patch("/owners/1", json=patch)
    assert response.status_code == 200, response.text
    assert (await client.get("/owners/1")).json() == response.json()
    return {name: response.json()[name] for name in before}


PATCHES: Final[Mapping[str, tuple[Body, Body, Body]]] = {
    "one kind to another": (
        {"pet": CAT},
        {"pet": {"kind": "dog", "volume": 3, "lives": None}},
        {"pet": {"kind": "dog", "volume": 3, "tricks": []}},
    ),
    "a member": ({"pet": CAT}, {"pet": {"lives": 8}}, {"pet": CAT | {"lives": 8}}),
    "nothing": ({"pet": CAT}, {"pet": {}}, {"pet": CAT}),
    "null": ({"pet": CAT}, {"pet": None}, {"pet": None}),
    "an object in the place of null": ({"pet": None}, {"pet": CAT}, {"pet": CAT}),
    "an array within": ({"pet": DOG}, {"pet": {"tricks": []}}, {"pet": DOG | {"tricks": []}}),
    "a member with a default": (
        {"pet": DOG},
        {"pet": {"tricks": None}},
        {"pet": DOG | {"tricks": []}},
    ),
    "an object within": (
        {"home": HOME},
        {"home": {"street": {"number": None}, "since": "2024-02-03T05:05:06+01:00"}},
        {"home": {"street": {"name": "High", "number": None}, "since": "2024-02-03T04:05:06Z"}},
    ),
    "a list": ({"friends": [CAT, DOG]}, {"friends": [DOG]}, {"friends": [DOG]}),
    "a dictionary": (
        {"scores": {"a": 1, "b": 2}},
        {"scores": {"a": None, "c": 3}},
        {"scores": {"b": 2, "c": 3}},
    ),
    "free JSON": (
        {"notes": {"a": {"b": 1}}},
        {"notes": {"a": {"b": None, "c": 2}}},
        {"notes": {"a": {"c": 2}}},
    ),
    "a typed dictionary": (
        {"loose": {"width": 1, "height": 2}},
        {"loose": {"width": 3}},
        {"loose": {"width": 3, "height": 2}},
    ),
    "an object in the place of a number": (
        {"loose": 5},
        {"loose": {"width": 1, "height": 2}},
        {"loose": {"width": 1, "height": 2}},
    ),
    "a number in the place of an object": (
        {"loose": {"width": 1, "height": 2}},
        {"loose": 5},
        {"loose": 5},
    ),
    "an array in the place of an object": (
        {"loose": {"width": 1, "height": 2}},
        {"loose": [5]},
        {"loose": [5]},
    ),
    "a tree": (
        {"tree": {"name": "a", "left": {"name": "b", "left": {"name": "c"}}}},
        {"tree": {"left": {"name": "d", "left": {"left": {"name": "e"}}}}},
        {
            "tree": {
                "name": "a",
                "left": {
                    "name": "d",
                    "left": {"name": "c", "left": {"name": "e", "left": None}},
                },
            }
        },
    ),
    "names of the client": (
        {"camel": {"firstName": "Ada", "lastName": "L"}},
        {"camel": {"firstName": "Eve"}},
        {"camel": {"firstName": "Eve", "lastName": "L"}},
    ),
}


@pytest.mark.parametrize(("before", "patch", "after"), PATCHES.values(), ids=PATCHES)
async def test_patch_is_merged(client: AsyncClient, before: Body, patch: Body, after: Body) -> None:
    assert await patched_fields(client, before, patch) == after


@pytest.mark.parametrize(("before", "patch", "after"), PATCHES.values(), ids=PATCHES)
async def test_patch_in_a_batch_is_merged(
    client: AsyncClient, before: Body, patch: Body, after: Body
) -> None:
    await client.post("/owners/batch", json=[{"id": 1, **before}, {"id": 2}])
    items = [{"id": 2, "name": "Eve"}, {"id": 1, **patch}]
    response = await client.patch("/owners/batch", json=items)
    assert response.status_code == 200, response.text
    assert {name: response.json()[1][name] for name in before} == after
    assert (await client.get("/owners/1")).json() == response.json()[1]


async def test_other_fields_are_validated_once(client: AsyncClient) -> None:
    await client.post("/owners", json={"id": 1, "name": "Ada", "pet": CAT})
    response = await client.patch("/owners/1", json={"name": "Eve", "pet": {"lives": 8}})
    assert (response.json()["name"], response.json()["pet"]["lives"]) == ("Eve!", 8)


@pytest.mark.parametrize(
    "patch",
    [
        {"pet": DOG},
        {"pet": {"volume": 3}},
        {"pet": {"cries": None}},
        {"home": HOME},
        {"home": {"since": "2024-02-03T05:05:06+01:00"}},
        {"home": {"street": {}}},
        {"loose": {}},
        {"camel": {"firstName": "Ada"}},
    ],
    ids=str,
)
async def test_patch_of_equal_values_keeps_the_version(client: AsyncClient, patch: Body) -> None:
    loose, camel = {"width": 1, "height": 2}, {"firstName": "Ada"}
    body = {"id": 1, "pet": DOG, "home": HOME, "loose": loose, "camel": camel}
    row = (await client.post("/owners", json=body)).json()
    assert (await client.patch("/owners/1", json=patch)).json() == row
    assert (await client.put("/owners/1", json=body)).json() == row


REFUSED: Final[Mapping[str, tuple[Any, str]]] = {
    "members of the kind before": (
        {"pet": {"kind": "dog", "volume": 3}},
        "422 #/pet/lives unknown_field",
    ),
    "a kind without its members": (
        {"pet": {"kind": "dog", "lives": None}},
        "422 #/pet/volume missing",
    ),
    "no kind": ({"pet": {"kind": None}}, "422 #/pet union_tag_not_found"),
    "another kind": ({"pet": {"kind": "cow"}}, "422 #/pet union_tag_invalid"),
    "a value out of bounds": ({"pet": {"lives": 0}}, "422 #/pet/lives greater_than_equal"),
    "a member that must be there": ({"home": {"street": None}}, "422 #/home/street missing"),
    "a text that is too long": (
        {"home": {"street": {"name": "a" * 11}}},
        "422 #/home/street/name string_too_long",
    ),
    "members that do not go together": (
        {"home": {"street": {"number": 13}}},
        "422 #/home value_error",
    ),
    "several": (
        {"pet": {"lives": "9"}, "home": {"street": {"name": 1, "x": 1}}},
        "422 #/home/street/name string_type, #/home/street/x unknown_field, #/pet/lives int_type",
    ),
    "more members than may be": ({"notes": {"d": 1}}, "422 #/notes too_long"),
    "a key of a dictionary": ({"scores": {"long": 1}}, "422 #/scores/long string_too_long"),
    "fields that do not go together": (
        {"name": "Bob", "pet": {"kind": "dog", "volume": 1, "lives": None}},
        "422 # value_error",
    ),
    "text with a null character": (
        {"pet": {"kind": "\0"}, "name": 1},
        "422 #/name string_type, #/pet/kind null_character",
    ),
    "a list of what is not whole": (
        {"friends": [{"kind": "cat"}]},
        "422 #/friends/0/kind literal_error, #/friends/0/lives missing, #/friends/0/volume missing",
    ),
    "an array in the place of the body": ([], "422 # object_type"),
    "a text in the place of an object": ({"home": "here"}, "422 #/home object_type"),
    "an object in the place of a text": ({"name": {}}, "422 #/name string_type"),
}


@pytest.fixture
async def row(client: AsyncClient) -> Body:
    """Return an owner with documents."""
    notes = {"a": 1, "b": 2, "c": 3}
    body = {"id": 1, "pet": CAT, "home": HOME, "notes": notes, "scores": {"a": 1}}
    row: Body = (await client.post("/owners", json=body)).json()
    return row


@pytest.mark.parametrize(("patch", "answer"), REFUSED.values(), ids=REFUSED)
async def test_patch_to_an_invalid_document_is_rejected(
    client: AsyncClient, row: Body, patch: Any, answer: str
) -> None:
    assert summary(await client.patch("/owners/1", json=patch)) == answer
    assert (await client.get("/owners/1")).json() == row


@pytest.mark.parametrize(("patch", "answer"), REFUSED.values(), ids=REFUSED)
async def test_batch_patch_to_an_invalid_document_is_rejected(
    client: AsyncClient, row: Body, patch: Any, answer: str
) -> None:
    await client.post("/owners", json={"id": 2})
    items = [{"id": 2, "name": "Eve"}, {"id": 1, **patch} if patch else patch]
    response = await client.patch("/owners/batch", json=items)
    assert summary(response) == answer.replace("#", "#/1")
    assert (await client.get("/owners/1")).json() == row
    assert (await client.get("/owners/2")).json()["name"] == "Ada"


async def test_every_invalid_item_of_a_batch_is_named(client: AsyncClient, row: Body) -> None:
    await client.post("/owners", json={"id": 2, "pet": CAT})
    items = [{"id": key, "pet": {"lives": 0}} for key in (2, 1)]
    response = await client.patch("/owners/batch", json=items)
    assert summary(response) == (
        "422 #/0/pet/lives greater_than_equal, #/1/pet/lives greater_than_equal"
    )
    assert (await client.get("/owners/1")).json() == row


async def test_row_is_looked_up_before_its_documents_are_validated(
    client: AsyncClient, row: Body
) -> None:
    wrong = {"pet": {"lives": 0}}
    assert summary(await client.patch("/owners/9", json=wrong)) == "404"
    stale = {"if-match": '"7"'}
    assert summary(await client.patch("/owners/1", json=wrong, headers=stale)) == "412"
    assert (await client.get("/owners/1")).json() == row


async def test_patch_can_repair_a_document_of_an_earlier_schema(
    client: AsyncClient, database: Database
) -> None:
    async with database.session() as session:
        session.add(Owner(id=1, name="Ada", camel={"name": "Ada"}, pet={"kind": "cow"}))
    patch = {"camel": {"name": None, "firstName": "Ada"}, "pet": CAT}
    response = await client.patch("/owners/1", json=patch)
    assert response.json()["camel"] == {"firstName": "Ada", "lastName": None}
    assert response.json()["pet"] == CAT


async def test_custom_endpoint_validates_the_merged_document(tables: Tables, backend: str) -> None:
    app = FastAPI(lifespan=Database(await tables.of(Base.metadata, backend)).lifespan)
    app.router.route_class = StrictRoute
    install(app)

    @app.patch("/own/{id}", response_model=OwnerRead)
    async def change(id: int, data: OwnerUpdate, session: SessionDep) -> Owner:  # noqa: A002
        owner = await get_or_404(session, Owner, id)
        apply_changes(owner, data)
        await session.flush()
        return owner

    app.include_router(owners)
    async with calling(app) as client:
        await client.post("/owners", json={"id": 1, "pet": CAT})
        response = await client.patch("/own/1", json={"pet": {"lives": 8}})
        assert response.json()["pet"] == CAT | {"lives": 8}
        answer = summary(await client.patch("/own/1", json={"pet": {"lives": 0}}))
        assert answer == "422 #/pet/lives greater_than_equal"


# --- openapi.json ---------------------------------------------------------------------------------


def openapi_schema(name: str, schema: str = "OwnerUpdate") -> Any:
    """Return the OpenAPI schema of the field *name* in *schema*."""
    app = FastAPI()
    install(app)
    app.include_router(owners)
    schemas = app.openapi()["components"]["schemas"]
    return schemas[schema]["properties"][name]


INTEGER: Final = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
TEXT: Final = {"type": "string", "pattern": "^[^\\u0000]*$", "examples": ["string"]}
NULL: Final = {"type": "null"}


def test_openapi_declares_members_as_optional_and_nullable() -> None:
    street = {
        "type": "object",
        "properties": {
            "name": {"anyOf": [{**TEXT, "maxLength": 10, "title": "Name"}, NULL]},
            "number": {"anyOf": [INTEGER, NULL]},
        },
        "additionalProperties": False,
    }
    home, null = openapi_schema("home")["anyOf"]
    assert null == NULL
    assert home == {
        "type": "object",
        "properties": {
            "street": {"anyOf": [street, NULL]},
            "since": {"anyOf": [{"type": "string", "format": "date-time"}, NULL]},
        },
        "additionalProperties": False,
    }


def test_openapi_merges_the_members_of_a_union() -> None:
    pet, _ = openapi_schema("pet")["anyOf"]
    assert pet.keys() == {"type", "properties", "additionalProperties"}
    assert pet["properties"].keys() == {"kind", "lives", "volume", "tricks"}
    kinds = [kind.get("const", kind.get("type")) for kind in pet["properties"]["kind"]["anyOf"]]
    assert kinds == ["cat", "dog", "null"]


def test_openapi_requires_complete_list_items() -> None:
    friends, _ = openapi_schema("friends")["anyOf"]
    assert friends["items"] == {
        "anyOf": [
            {"$ref": "#/components/schemas/Cat"},
            {"$ref": "#/components/schemas/Dog"},
        ]
    }


def test_openapi_ends_a_recursive_schema_with_an_object() -> None:
    tree, _ = openapi_schema("tree")["anyOf"]
    assert tree["properties"]["left"] == {"anyOf": [{"type": "object"}, NULL]}


def test_openapi_keeps_untyped_json() -> None:
    free = openapi_schema("notes", "OwnerCreate")
    del free["anyOf"][0]["maxProperties"]
    assert openapi_schema("notes") == free


def test_openapi_declares_batch_items_like_a_patch() -> None:
    assert openapi_schema("pet", "OwnerChange") == openapi_schema("pet")
