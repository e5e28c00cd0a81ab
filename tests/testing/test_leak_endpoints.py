"""Leaks of endpoints that no resource has."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import func, select

from brickwork import Forbidden, NotFound, ReadSchema, Resource, SessionDep, crud_router
from tests.support.databases import sqlite_only
from tests.support.tables import Tables
from tests.testing.test_leaks import (
    Base,
    Folder,
    Label,
    LabelCreate,
    Owned,
    Sheet,
    User,
    create_app,
    search,
)

pytestmark = pytest.mark.anyio


class Share(BaseModel):
    folder_id: int


class Move(BaseModel):
    folder_ids: list[int]


async def find(session: SessionDep, key: int, user: str | None = None) -> Folder:
    """Return a folder: any, or one of *user*."""
    row = await session.get(Folder, key)
    if row is None or (user and row.owner != user):
        raise NotFound("There is no folder.")
    return row


async def own_folder(folder_id: int, session: SessionDep, user: User) -> Folder:
    return await find(session, folder_id, user)


OwnFolder = Annotated[Folder, Depends(own_folder)]


# --- Mistakes -------------------------------------------------------------------------------------


def body(app: FastAPI) -> None:
    @app.post("/share")
    async def share(body: Share, session: SessionDep, _: User) -> None:
        await find(session, body.folder_id)


def keys(app: FastAPI) -> None:
    @app.post("/move")
    async def move(body: Move, session: SessionDep, _: User) -> None:
        for key in body.folder_ids:
            await find(session, key)


def query(app: FastAPI) -> None:
    @app.get("/report")
    async def report(session: SessionDep, _: User, folder_id: int | None = None) -> str:
        return "" if folder_id is None else (await find(session, folder_id)).title


def second_key(app: FastAPI) -> None:
    @app.get("/folders/{folder_id}/pages/{page_id}/text")  # noqa: FAST003 — it is of own_folder
    async def text(_: OwnFolder, page_id: int, session: SessionDep) -> str:
        if (row := await session.get(Sheet, page_id)) is None:
            raise NotFound("There is no page.")
        return row.text


def existence(app: FastAPI) -> None:
    @app.get("/folders/{folder_id}/title")
    async def title(folder_id: int, session: SessionDep, user: User) -> str:
        row = await find(session, folder_id)
        if row.owner != user:
            raise Forbidden("It is of somebody else.")
        return row.title


def numbers(app: FastAPI) -> None:
    @app.get("/recent")
    async def recent(session: SessionDep, _: User) -> list[dict[str, int]]:
        rows = await session.scalars(select(Sheet))
        return [{"id": row.id, "folder_id": row.folder_id} for row in rows]


def nested_numbers(app: FastAPI) -> None:
    @app.get("/latest")
    async def latest(session: SessionDep, _: User) -> dict[str, Any]:
        row = (await session.scalars(select(Sheet).order_by(Sheet.id))).first()
        return {"data": {"page": {"id": row.id, "folder_id": row.folder_id}}} if row else {}


def trash(app: FastAPI) -> None:
    @app.get("/trash")
    async def titles(session: SessionDep, _: User) -> list[str]:
        deleted = select(Folder.title).where(Folder.deleted_at.is_not(None))
        return [*await session.scalars(deleted)]


def total(app: FastAPI) -> None:
    @app.get("/statistics")
    async def statistics(session: SessionDep, _: User) -> dict[str, int | None]:
        return {"pages": await session.scalar(select(func.count()).select_from(Sheet))}


class LabelKey(ReadSchema):
    code: str


class Labels(Owned, Resource[Label]): ...


def written(app: FastAPI) -> None:
    app.include_router(crud_router("/labels", Labels, read=LabelKey, create=LabelCreate))

    @app.get("/texts")
    async def texts(session: SessionDep, _: User) -> list[str]:
        return [*await session.scalars(select(Label.text))]


LEAKS: Mapping[str, tuple[Callable[[FastAPI], None], str]] = {
    "body": (body, r"POST /share \{'folder_id': 1\} \(folder_id refers.*\n    → 200: it succeeds"),
    "keys": (keys, r"POST /move \{'folder_ids': \[1\]\} .*\n    → 200: it succeeds"),
    "query": (query, r"GET /report\?folder_id=1 .*\n    → 200: it shows"),
    "second key": (second_key, r"GET /folders/3/pages/1/text .*\n    → 200: it shows"),
    "existence": (existence, r"GET /folders/1/title\n    → 403: a missing row answers 404"),
    "numbers": (numbers, r"GET /recent\n    → 200: it shows the row 1"),
    "trash": (trash, r"GET /trash\n    → 200: it shows '[a-z]{8}'"),
    "count": (total, r"GET /statistics\n    → a number changes when the owner creates a row"),
    "written": (written, r"GET /texts\n    → 200: it shows"),
    "nested numbers": (nested_numbers, r"GET /latest\n    → 200: it shows the row 1"),
}


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    return await tables.of(Base.metadata, backend)


@sqlite_only
@pytest.mark.parametrize("leak", LEAKS)
async def test_a_leak_of_an_endpoint_is_found(url: str, leak: str) -> None:
    add, expected = LEAKS[leak]
    with pytest.raises(AssertionError, match=expected):
        await search(create_app(url, add=add))


# --- Endpoints without leaks ----------------------------------------------------------------------


def scoped(app: FastAPI) -> None:
    @app.post("/share")
    async def share(body: Share, session: SessionDep, user: User) -> None:
        try:
            await find(session, body.folder_id, user)
        except NotFound as error:  # as a resource answers a reference
            raise HTTPException(422, "There is no such folder.") from error

    @app.get("/folders/{folder_id}/pages/{page_id}/text")  # noqa: FAST003 — it is of own_folder
    async def text(folder: OwnFolder, page_id: int, session: SessionDep) -> str:
        row = await session.get(Sheet, page_id)
        if row is None or row.folder_id != folder.id:
            raise NotFound("There is no page.")
        return row.text

    @app.get("/report")
    async def report(session: SessionDep, user: User, folder_id: int) -> str:
        return (await find(session, folder_id, user)).title

    @app.get("/folders/{folder_id}/admins")
    async def admins(folder_id: int, _: User) -> None:
        raise Forbidden(f"Only admins may see the admins of folder {folder_id}.")

    served = count(1)

    @app.get("/statistics")
    async def statistics(session: SessionDep, user: User) -> dict[str, int | None]:
        own = select(func.count()).select_from(Sheet).where(Sheet.owner == user)
        return {"requests": next(served), "pages": await session.scalar(own)}

    @app.get("/colours/{colour_id}/name")
    async def name(colour_id: int, _: User) -> int:
        return colour_id


async def test_endpoints_without_leaks_pass(url: str) -> None:
    report = await search(create_app(url, add=scoped))
    assert {"POST /share", "GET /report", "GET /colours/{colour_id}/name"} <= {*report.attacked}


def unattacked(app: FastAPI) -> None:
    @app.get("/required")
    async def required(name: str, _: User) -> None: ...

    @app.get("/limited")
    async def limited(_: User) -> JSONResponse:
        return JSONResponse({}, 429)


async def test_an_endpoint_that_looks_for_no_row_is_listed(url: str) -> None:
    with pytest.raises(AssertionError) as raised:
        await search(create_app(url, add=unattacked))
    assert "GET /required: it answers 422" in str(raised.value)
    assert "GET /limited: it answers 429" in str(raised.value)
