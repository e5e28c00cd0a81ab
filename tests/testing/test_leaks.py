"""Leaks between two callers, each in an application of its own."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from pydantic import BaseModel
from sqlalchemy import ForeignKey, MetaData, Select, String, select
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Audited,
    Conflict,
    Database,
    ListQuery,
    Model,
    NotFound,
    Page,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    SessionDep,
    SoftDelete,
    Versioned,
    crud_router,
    install,
)
from brickwork.testing import LeakReport, assert_no_leaks, sign_in
from tests.support.calls import calling
from tests.support.databases import sqlite_only
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


class Base(Model):
    __abstract__ = True
    metadata = MetaData()


class Folder(Base, SoftDelete, Audited):
    __tablename__ = "folders"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    title: Mapped[str]


class Sheet(Base):
    __tablename__ = "pages"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    folder_id: Mapped[int] = mapped_column(ForeignKey("folders.id"))
    colour_id: Mapped[int] = mapped_column(ForeignKey("colours.id"))
    text: Mapped[str]


class Colour(Base):
    __tablename__ = "colours"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class FolderCreate(Schema):
    title: str


class FolderUpdate(FolderCreate, partial=True): ...


class FolderRead(ReadSchema):
    id: int
    title: str


class FolderQuery(ListQuery[Folder]):
    title: str | None = None


class PageCreate(Schema):
    folder_id: int
    colour_id: int
    text: str


class PageUpdate(PageCreate, partial=True): ...


class PageRead(ReadSchema):
    id: int
    folder_id: int
    text: str


class PageQuery(ListQuery[Sheet]):
    folder_id: int | None = None


class ColourCreate(Schema):
    name: str


class ColourRead(ReadSchema):
    id: int
    name: str


async def current_user(x_user: Annotated[str, Header()]) -> str:
    return x_user


User = Annotated[str, Depends(current_user)]


class Owned(Resource[Any]):
    user: User

    @override
    def query(self) -> Select[Any]:
        model: Any = type(self).model
        return super().query().where(model.owner == self.user)

    @override
    def actor(self) -> str:
        return self.user

    @override
    async def create(self, row: Any, /) -> None:
        row.owner = self.user
        await super().create(row)


class Folders(Owned, Resource[Folder]): ...


class Pages(Owned, Resource[Sheet]):
    folders: Annotated[Folders, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"folder_id": self.folders.query()}


class Colours(Resource[Colour]): ...


class Unscoped(Folders):
    @override
    def query(self) -> Select[Any]:
        return super(Owned, self).query()


class UnscopedDeleted(Folders):
    @override
    def query(self) -> Select[Any]:
        scoped = super().query()
        return scoped if self.deleted_filter == "exclude" else super(Owned, self).query()


class UnscopedTrash(Folders):
    @override
    def query(self) -> Select[Any]:
        scoped = super().query()
        return super(Owned, self).query() if self.deleted_filter == "only" else scoped


class Anonymous(Unscoped):
    @override
    def actor(self) -> Any:
        return None


class FoundByKey(Folders):
    @override
    async def get(self, key: object, /) -> Folder:
        row = await self.session.get(Folder, int(str(key)) if str(key).isdigit() else 0)
        if row is None:
            raise NotFound("There is no folder.")
        return row


class Revealing(Folders):
    @override
    async def get(self, key: object, /) -> Folder:
        row = await self.session.get(Folder, int(str(key)) if str(key).isdigit() else 0)
        if row is not None and row.owner != self.user:
            raise Conflict("It belongs to somebody else.")
        found: Folder = await super().get(key)
        return found


class Counting(Folders):
    @override
    async def page(self, params: ListQuery[Folder], /) -> Page[Folder]:
        page = await super().page(params)
        if page.total is None:
            return page
        return replace(page, total=len((await self.session.scalars(select(Folder))).all()))


class Exporting(Folders):
    @override
    async def export(self, params: ListQuery[Folder], /) -> AsyncGenerator[Folder]:
        for row in await self.session.scalars(select(Folder)):
            yield row


class Referring(Pages):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {}


def share(app: FastAPI) -> None:
    @app.post("/folders/{id}/share")
    async def share_folder(id: int, session: SessionDep, _: User) -> None:  # noqa: A002
        if await session.get(Folder, id) is None:
            raise NotFound("There is no folder.")


def titles(app: FastAPI) -> None:
    @app.get("/titles")
    async def read_titles(session: SessionDep) -> list[str]:
        return [*await session.scalars(select(Folder.title))]


def rename(app: FastAPI) -> None:
    @app.post("/rename")
    async def rename_folders(session: SessionDep) -> None:
        for row in await session.scalars(select(Folder)):
            row.title = "renamed"


def nothing(app: FastAPI) -> None: ...


def create_app(url: str, folders: Any = Folders, pages: Any = Pages, add: Any = nothing) -> FastAPI:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    app.include_router(
        crud_router(
            "/folders",
            folders,
            read=FolderRead,
            create=FolderCreate,
            update=FolderUpdate,
            query=FolderQuery,
        )
    )
    app.include_router(
        crud_router(
            "/pages", pages, read=PageRead, create=PageCreate, update=PageUpdate, query=PageQuery
        )
    )
    app.include_router(crud_router("/colours", Colours, read=ColourRead, create=ColourCreate))
    add(app)
    return app


OWNER = {"x-user": "ada"}
STRANGER = {"x-user": "eve"}


async def search(app: FastAPI, **options: Any) -> LeakReport:
    options = {"owner": OWNER, "stranger": STRANGER, "skip": {"/colours"}, **options}
    async with calling(app) as client:
        return await assert_no_leaks(app, client, **options)


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    return await tables.of(Base.metadata, backend)


async def test_an_application_without_leaks_passes(url: str) -> None:
    report = await search(create_app(url))
    assert len(report.attacked) == 20
    assert {*report.skipped} >= {"GET /colours", "POST /colours"}
    assert report.requests > 50


async def test_callers_may_be_signed_in(url: str) -> None:
    app = create_app(url)
    await search(
        app,
        owner=lambda: sign_in(app, current_user, "ada"),
        stranger=lambda: sign_in(app, current_user, "eve"),
    )
    with pytest.raises(AssertionError, match="it succeeds"):
        await search(
            app,
            owner=lambda: sign_in(app, current_user, "ada"),
            stranger=lambda: sign_in(app, current_user, "ada"),
        )


LEAKS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no scope": ({"folders": Unscoped}, r"GET /folders/1\n    → 200: it shows the row 1"),
    "no scope of deleted rows": ({"folders": UnscopedDeleted}, r"deleted=include"),
    "no scope of the trash": ({"folders": UnscopedTrash}, r"deleted=only.*\n.*shows the row \d"),
    "no actor": ({"folders": Anonymous}, r"it replays the response to the owner"),
    "get": ({"folders": FoundByKey}, r"PATCH /folders/1 \{\}\n    → 200"),
    "other answer": ({"folders": Revealing}, r"→ 409: a missing row answers 404"),
    "count": ({"folders": Counting}, r"it shows 1 rows, and counts 3"),
    "export": ({"folders": Exporting}, r"ndjson\n    → 200: it shows the row 1"),
    "references": ({"pages": Referring}, r"POST /pages .*\(folder_id refers to a row"),
    "changed references": ({"pages": Referring}, r"PATCH /pages/3 \{'folder_id': 1\}.*\n +→ 200"),
    "endpoint": ({"add": share}, r"POST /folders/1/share\n    → 200: it succeeds"),
    "endpoint that shows": ({"add": titles}, r"GET /titles\n    → 200: it shows '[a-z]{8}'"),
    "endpoint that changes": ({"add": rename}, r"POST /rename\n    → it changes rows of the owner"),
}


@sqlite_only
@pytest.mark.parametrize("leak", LEAKS)
async def test_a_leak_is_found(url: str, leak: str) -> None:
    parts, expected = LEAKS[leak]
    with pytest.raises(AssertionError, match=expected):
        await search(create_app(url, **parts))


class Label(Base, Versioned):
    __tablename__ = "labels"
    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    owner: Mapped[str]
    text: Mapped[str]


class LabelCreate(Schema):
    code: str
    text: str


class LabelRead(ReadSchema):
    code: str
    text: str
    version: int


class Labels(Owned, Resource[Label]):
    allow_upsert = True
    require_if_match = True


async def test_chosen_keys_and_preconditions_are_no_leaks(url: str) -> None:
    app = FastAPI(lifespan=Database(url).lifespan)
    install(app)
    update = type("LabelUpdate", (LabelCreate,), {}, partial=True)
    router = crud_router("/v1/1", Labels, read=LabelRead, create=LabelCreate, update=update)
    app.include_router(router)
    report = await search(app, skip=())
    assert len(report.attacked) == 9


# --- What is not attacked -------------------------------------------------------------------------


class Required(BaseModel):
    amount: int


def others(app: FastAPI) -> None:
    router = APIRouter()

    @router.post("/transfers")
    async def transfer(body: Required, _: User) -> None: ...

    @router.post("/plain")
    async def plain(body: dict[str, int], _: User) -> None: ...

    @router.get("/things/{name}")
    async def things(name: str, _: User) -> None: ...

    app.include_router(router)


async def test_operations_that_are_not_attacked_are_listed(url: str) -> None:
    app = create_app(url, add=others)
    with pytest.raises(AssertionError) as raised:
        await search(app)
    assert str(raised.value).splitlines() == [
        "Operations that were not attacked (see `bodies` and `skip`):",
        "  POST /plain: its body is no schema: pass bodies={'POST /plain': …}",
        "  GET /things/{name}: there is no row for {name}",
    ]
    skip = {"/colours", "GET /things/{name}"}
    report = await search(app, bodies={"POST /plain": {"a": 1}}, skip=skip)
    assert {"POST /plain", "POST /transfers"} <= {*report.attacked}


async def test_a_stranger_who_is_not_signed_in_attacks_nothing(url: str) -> None:
    with pytest.raises(AssertionError, match=r"GET /folders/\{id\}: the stranger has no row"):
        await search(create_app(url), stranger={})


async def test_rows_that_cannot_be_created_are_listed(url: str) -> None:
    class Refusing(Folders):
        @override
        async def create(self, row: Folder, /) -> None:
            raise Conflict("No more folders.")

    expected = r"GET /folders/\{id\}: the owner has no row: POST /folders answers 409: .*No more"
    with pytest.raises(AssertionError, match=expected):
        await search(create_app(url, folders=Refusing))


async def test_an_application_without_operations_fails() -> None:
    with pytest.raises(AssertionError, match="No operation was attacked"):
        await search(FastAPI(), skip=())


async def test_unknown_names_are_refused(url: str) -> None:
    with pytest.raises(TypeError, match="The application has no /colour, /nothing"):
        await search(create_app(url), skip={"/colour"}, bodies={"/nothing": {}})
