"""Read schemas that depend on the caller."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header
from httpx2 import AsyncClient
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Audited,
    Database,
    Fields,
    ListQuery,
    ReadSchema,
    Resource,
    Schema,
    crud_router,
    install,
)
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.notes import Base, Note, NoteRead, notes, notes_app
from tests.support.recording import path_taken
from tests.support.running import Running
from tests.support.tables import Rows, Tables

pytestmark = pytest.mark.anyio


class NoteAdminRead(NoteRead):
    rank: int
    version: int


class NoteBrief(ReadSchema):
    text: str


async def role(role: Annotated[str, Header()] = "user") -> str:
    return role


class Notes(Resource[Note]):
    role: Annotated[str, Depends(role)]

    @override
    def read_schema(self) -> type[NoteAdminRead | NoteBrief] | None:
        match self.role:
            case "admin":
                return NoteAdminRead
            case "guest":
                return NoteBrief
            case _:
                return None

    @override
    def actor(self) -> str | None:
        return self.role


ROWS: Rows = {Note: [{"owner": "ada", "text": "a", "rank": 1}]}

ADMIN = {"role": "admin"}
SHOWN: dict[str, dict[str, Any]] = {
    "user": {"id": 1, "owner": "ada", "text": "a"},
    "admin": {"id": 1, "owner": "ada", "text": "a", "rank": 1, "version": 1},
    "guest": {"text": "a"},
}


shown_notes = notes(Notes)


def create_app(url: str) -> FastAPI:
    return notes_app(Database(url), shown_notes)


@pytest.fixture
async def client(running: Running, tables: Tables, backend: str) -> AsyncClient:
    return await running.client(create_app, await tables.of(Base.metadata, backend, ROWS))


@pytest.mark.parametrize("role", SHOWN)
async def test_row_and_list_have_the_schema_of_the_caller(client: AsyncClient, role: str) -> None:
    caller = {"role": role}
    item = await client.get("/notes/1", headers=caller)
    listed = await client.get("/notes", headers=caller)
    assert (item.json(), listed.json()) == (SHOWN[role], [SHOWN[role]])
    lines = {**caller, "accept": "application/x-ndjson"}
    assert (await client.get("/notes", headers=lines)).json() == SHOWN[role]


@pytest.mark.parametrize("role", SHOWN)
async def test_writes_respond_with_the_schema_of_the_caller(client: AsyncClient, role: str) -> None:
    caller, names = {"role": role}, {*SHOWN[role]}
    body = {"owner": "ada", "text": "b"}
    created = await client.post("/notes", json=body, headers=caller)
    batch = await client.post("/notes/batch", json=[body, body], headers=caller)
    changes = [{"id": 1, "text": "c"}]
    changed = await client.patch("/notes/batch", json=changes, headers=caller)
    for row in (created.json(), *batch.json(), *changed.json()):
        assert {*row} == names
    assert {*(await client.patch("/notes/1", json={"rank": 2}, headers=caller)).json()} == names
    assert {*(await client.put("/notes/1", json=body, headers=caller)).json()} == names
    assert summary(await client.delete("/notes/1", headers=caller)) == "204"
    assert {*(await client.post("/notes/1/restore", headers=caller)).json()} == names


async def test_representations_have_tags_of_their_own(client: AsyncClient) -> None:
    tags = [
        (await client.get("/notes/1", headers={"role": name})).headers["etag"] for name in SHOWN
    ]
    assert len({*tags}) == 3
    matched = {"if-none-match": tags[0]}
    assert (await client.get("/notes/1", headers=matched)).status_code == 304
    assert (await client.get("/notes/1", headers={**matched, **ADMIN})).json() == SHOWN["admin"]
    assert summary(
        await client.patch("/notes/1", json={"rank": 5}, headers={"if-match": tags[2], **ADMIN})
    ) == ("200")


async def test_hidden_fields_cannot_be_guessed_by_put(client: AsyncClient) -> None:
    body = {"owner": "ada", "text": "a", "version": 1}
    for caller in ("user", "admin"):
        response = await client.put("/notes/1", json=body, headers={"role": caller})
        assert summary(response) == "422 #/version unknown_field"


class TextCreate(Schema):
    text: str


class OwnNotes(Notes):
    @override
    async def create(self, row: Note, /) -> None:
        row.owner = "ada"
        await super().create(row)


async def test_put_reveals_no_field_of_other_callers(tables: Tables, backend: str) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS))
    router = notes(OwnNotes, create=TextCreate, update=None)
    async with calling(notes_app(database, router)) as client:

        async def put(role: str, **values: Any) -> str:
            body = {"text": "a", **values}
            return summary(await client.put("/notes/1", json=body, headers={"role": role}))

        assert await put("user", owner="ada", id=1) == "200"
        assert await put("user", owner="bob") == "422 #/owner read_only"
        assert await put("guest", owner="ada") == "422 #/owner read_only"
        assert await put("guest", owner="bob") == "422 #/owner read_only"
        assert await put("guest", id=1) == "200"
        assert await put("guest", id=2) == "409 #/id key_differs"


class SparseQuery(ListQuery[Note]):
    fields: Fields = None


@pytest.mark.both_paths
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "ORM"])
async def test_fields_are_those_of_the_schema_of_the_caller(
    tables: Tables, backend: str, *, fast_path: bool
) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS), fast_path=fast_path)
    async with calling(notes_app(database, notes(Notes, query=SparseQuery))) as client:
        for role, row in SHOWN.items():
            for accept in ("application/json", "application/x-ndjson"):
                caller = {"role": role, "accept": accept}
                for name in SHOWN["admin"]:
                    response = await client.get(f"/notes?fields={name}", headers=caller)
                    if name in row:
                        is_page = accept == "application/json"
                        assert response.json() == (
                            [{name: row[name]}] if is_page else {name: row[name]}
                        )
                    else:
                        assert summary(response) == "422 ?fields literal_error"
                        assert response.json()["errors"][0]["allowed"] == [*row]


async def test_replayed_response_has_the_schema_of_its_caller(client: AsyncClient) -> None:
    body = {"owner": "ada", "text": "b"}
    first = await client.post("/notes", json=body, headers={"idempotency-key": "k", **ADMIN})
    again = await client.post("/notes", json=body, headers={"idempotency-key": "k", **ADMIN})
    other = await client.post("/notes", json=body, headers={"idempotency-key": "k"})
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert {*other.json()} == {*SHOWN["user"]}


class Secret(Base, Audited):
    __tablename__ = "secrets"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(10))
    rank: Mapped[int]


class SecretCreate(Schema):
    text: str
    rank: int


class SecretBrief(ReadSchema):
    id: int


class SecretRead(SecretBrief):
    text: str


class SecretAdminRead(SecretRead):
    rank: int


class Secrets(Resource[Secret]):
    role: Annotated[str, Depends(role)]

    @override
    def read_schema(self) -> type[SecretAdminRead | SecretBrief] | None:
        match self.role:
            case "admin":
                return SecretAdminRead
            case "guest":
                return SecretBrief
            case _:
                return None


@pytest.mark.parametrize(
    ("role", "text", "rank"),
    [
        ("user", {"after": "a"}, {}),
        ("admin", {"after": "a"}, {"after": 1}),
        ("guest", {}, {}),
    ],
)
async def test_history_shows_the_fields_of_the_caller(
    tables: Tables, backend: str, role: str, text: object, rank: object
) -> None:
    router = crud_router("/secrets", Secrets, read=SecretRead, create=SecretCreate)
    app = FastAPI(lifespan=Database(await tables.of(Base.metadata, backend)).lifespan)
    install(app)
    app.include_router(router)
    async with calling(app) as client:
        await client.post("/secrets", json={"text": "a", "rank": 1})
        (entry,) = (await client.get("/secrets/1/history", headers={"role": role})).json()
        assert entry["changes"] == {"id": {"after": 1}, "text": text, "rank": rank}
        document = (await client.get("/openapi.json")).json()
        history = document["paths"]["/secrets/{id}/history"]["get"]["responses"]["200"]
        assert history["content"]["application/json"]["schema"]["type"] == "array"


class Unnamed(Notes):
    @override
    def actor(self) -> None:
        return None


async def test_no_replay_shows_the_schema_of_another_role(tables: Tables, backend: str) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS))
    router = notes(Unnamed)
    await database.create_all(Base.metadata)  # with the table of the keys
    async with calling(notes_app(database, router)) as client:

        async def post(role: str) -> str:
            headers = {"idempotency-key": "k", "role": role}
            body = {"owner": "ada", "text": "b"}
            response = await client.post("/notes", json=body, headers=headers)
            return summary(response) + response.headers.get("idempotency-replayed", "")

        assert (await post("admin"), await post("admin")) == ("201", "201true")
        assert (await post("user"), await post("guest")) == ("422", "422")
        assert len((await client.get("/notes")).json()) == 2


async def test_openapi_shows_all_schemas(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    def schema(path: str, method: str, status: str = "200") -> Any:
        return paths[path][method]["responses"][status]["content"]["application/json"]["schema"]

    names = ["NoteRead", "NoteAdminRead", "NoteBrief"]
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    assert schema("/notes/{id}", "get")["anyOf"] == refs
    assert schema("/notes", "post", "201")["anyOf"] == refs
    assert [one["items"] for one in schema("/notes", "get")["anyOf"]] == refs


@pytest.mark.both_paths
async def test_choice_of_a_schema_keeps_the_fast_path(tables: Tables, backend: str) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS))
    async with calling(notes_app(database, notes(Notes))) as client:
        for role in SHOWN:
            caller = {"role": role}
            assert await path_taken(client.get("/notes/1", headers=caller)) == "200 fast"
            body = {"owner": "ada", "text": role}
            answer = client.post("/notes", json=body, headers=caller)
            assert await path_taken(answer) == "201 fast"


# --- Declarations that cannot work ----------------------------------------------------------------


class Untyped(Resource[Note]):
    @override
    def read_schema(self) -> type[BaseModel] | None:
        return NoteBrief


class Narrow(ReadSchema):
    text: int


class Misfit(Resource[Note]):
    @override
    def read_schema(self) -> type[Narrow]:
        return Narrow


UNTYPED = (
    "Untyped.read_schema does not say which schemas it returns. Annotate it with them: "
    "-> type[ArticleAdminRead] | None."
)


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (Untyped, UNTYPED),
        (Misfit, "Narrow.text is int, but Note.text holds str. Annotate the field with that."),
    ],
)
def test_schema_that_cannot_be_shown_is_rejected(resource: type[Resource[Note]], text: str) -> None:
    with pytest.raises(TypeError) as error:
        notes(resource)
    assert str(error.value) == text


class Asking(Resource[Note]):
    @override
    def read_schema(self) -> type[NoteBrief] | None:
        return NoteBrief if self.session.dirty else None


class Other(Resource[Note]):
    @override
    def read_schema(self) -> type[NoteBrief]:
        chosen: Any = NoteAdminRead
        return chosen  # type: ignore[no-any-return]


@pytest.mark.parametrize("resource", [Asking, Other])
async def test_schema_that_cannot_be_chosen_is_a_500(
    tables: Tables, backend: str, resource: type[Resource[Note]]
) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS))
    async with calling(notes_app(database, notes(resource))) as client:
        assert (await client.get("/notes/1")).status_code == 500


async def test_session_of_the_application_keeps_the_schema(tables: Tables, backend: str) -> None:
    database = Database(await tables.of(Base.metadata, backend, ROWS))

    async def own_session() -> AsyncGenerator[AsyncSession]:
        async with AsyncSession(database.writer) as session:
            yield session

    class Own(Notes):
        session: Annotated[AsyncSession, Depends(own_session)]

    async with calling(notes_app(database, notes(Own))) as client:
        assert (await client.get("/notes/1", headers=ADMIN)).json() == SHOWN["admin"]
