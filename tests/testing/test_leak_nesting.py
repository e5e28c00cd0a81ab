"""Leaks of rows within rows."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey, Select
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    KeysOf,
    Limit,
    NotFound,
    ReadSchema,
    ReferenceScopes,
    Resource,
    Schema,
    SessionDep,
    crud_router,
)
from tests.support.databases import sqlite_only
from tests.support.tables import Tables
from tests.testing.test_leaks import (
    Base,
    Colour,
    ColourRead,
    Folder,
    Folders,
    Owned,
    PageRead,
    Pages,
    Sheet,
    User,
    create_app,
    search,
)

pytestmark = pytest.mark.anyio


class OrderColour(Base):
    __tablename__ = "leak_order_colours"
    order_id: Mapped[int] = mapped_column(ForeignKey("leak_orders.id"), primary_key=True)
    colour_id: Mapped[int] = mapped_column(ForeignKey("colours.id"), primary_key=True)


class Order(Base):
    __tablename__ = "leak_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]
    lines: Mapped[list["LeakLine"]] = relationship(cascade="all, delete-orphan")
    colours: Mapped[list[Colour]] = relationship(secondary="leak_order_colours")


class LeakLine(Base):
    __tablename__ = "leak_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("leak_orders.id"))
    folder_id: Mapped[int] = mapped_column(ForeignKey("folders.id"))
    count: Mapped[int]


class LineCreate(Schema):
    folder_id: int
    count: int


class LineRead(ReadSchema):
    id: int
    count: int


class OrderCreate(Schema):
    lines: Annotated[list[LineCreate], Limit(5)]
    colour_ids: Annotated[list[int], KeysOf("colours")]


class OrderUpdate(OrderCreate, partial=True): ...


class OrderRead(ReadSchema):
    id: int
    lines: Annotated[list[LineRead], Limit(5)]
    colours: Annotated[list[ColourRead], Limit(5)]


class Orders(Owned, Resource[Order]):
    folders: Annotated[Folders, Depends()]

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"lines.folder_id": self.folders.query()}


class Referring(Orders):
    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {}


def with_orders(url: str, orders: type[Resource[Any]]) -> FastAPI:
    app = create_app(url)
    router = crud_router("/orders", orders, read=OrderRead, create=OrderCreate, update=OrderUpdate)
    app.include_router(router)
    return app


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    return await tables.of(Base.metadata, backend)


async def test_rows_within_rows_of_the_stranger_are_no_leaks(url: str) -> None:
    report = await search(with_orders(url, Orders))  # the keys of colours are those of orders
    assert {"POST /orders", "PATCH /orders/{id}"} <= {*report.attacked}


@sqlite_only
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_a_reference_within_a_row_is_found(url: str, method: str) -> None:
    expected = rf"{method} /orders.*\(lines.folder_id refers to a row of the owner\)\n    → 20"
    with pytest.raises(AssertionError, match=expected):
        await search(with_orders(url, Referring))


# --- Rows below a row -----------------------------------------------------------------------------


class SheetCreate(Schema):
    colour_id: int
    text: str


class SheetUpdate(SheetCreate, partial=True): ...


async def any_folder(folder_id: int, session: SessionDep) -> Folder:
    if (row := await session.get(Folder, folder_id)) is None:
        raise NotFound("There is no folder.")
    return row


async def own_folder(row: Annotated[Folder, Depends(any_folder)], user: User) -> Folder:
    if row.owner != user:
        raise NotFound("There is no folder.")
    return row


class Sheets(Pages):
    folder: Annotated[Folder, Depends(own_folder)]

    @override
    def query(self) -> Select[Any]:
        return super().query().where(Sheet.folder_id == self.folder.id)

    @override
    async def create(self, row: Any, /) -> None:
        row.folder_id = self.folder.id
        await super().create(row)


class SheetsOfAll(Sheets):
    folder: Annotated[Folder, Depends(any_folder)]


def with_sheets(url: str, sheets: type[Resource[Any]]) -> FastAPI:
    app = create_app(url)
    path = "/folders/{folder_id}/sheets"
    router = crud_router(path, sheets, read=PageRead, create=SheetCreate, update=SheetUpdate)
    app.include_router(router)
    return app


async def test_a_list_below_an_own_row_is_no_leak(url: str) -> None:
    report = await search(with_sheets(url, Sheets))
    assert "GET /folders/{folder_id}/sheets" in report.attacked


async def test_a_list_that_tells_of_its_parent_is_found(url: str) -> None:
    expected = r"GET /folders/1/sheets\n    → 200: a missing row answers 404"
    with pytest.raises(AssertionError, match=expected):
        await search(with_sheets(url, SheetsOfAll))
