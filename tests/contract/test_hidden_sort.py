"""A list may be sorted by a column that its read schema hides, and no answer tells the values."""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import MetaData, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    Database,
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SortKey,
    crud_router,
    install,
)
from tests.support.bodies import summary
from tests.support.calls import calling
from tests.support.rows import linked
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """The base of the model here, with a table of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Player(Base):
    """A player, whose nickname and score are for the order alone."""

    __tablename__ = "players"

    id: Mapped[int] = mapped_column(primary_key=True)
    score: Mapped[int]
    nickname: Mapped[str] = mapped_column(String(20))


class PlayerRead(ReadSchema):
    id: int


class PlayerCreate(Schema):
    score: int
    nickname: str


class PlayerUpdate(PlayerCreate, partial=True): ...


class PlayerQuery(ListQuery[Player]):
    """The best players come first."""

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("score", descending=True), SortKey("nickname"))


class Players(Resource[Player]): ...


ROWS: Final[Rows] = {
    Player: [
        {"score": 501, "nickname": "Al"},
        {"score": 83_000, "nickname": "Bartholomew the Bold"},
        {"score": 83_000, "nickname": "Cy"},
        {"score": 7, "nickname": "Dee"},
    ]
}


@pytest.fixture(params=[True, False], ids=["fast", "ORM"])
async def client(
    request: pytest.FixtureRequest, tables: Tables, backend: str
) -> AsyncIterator[AsyncClient]:
    """A client of the players, by each path."""
    url = await tables.of(Base.metadata, backend, ROWS)
    app = FastAPI(lifespan=Database(url, fast_path=request.param).lifespan)
    install(app)
    schemas: dict[str, Any] = {"read": PlayerRead, "create": PlayerCreate, "update": PlayerUpdate}
    app.include_router(crud_router("/players", Players, **schemas, query=PlayerQuery))
    async with calling(app) as client:
        yield client


async def pages(client: AsyncClient, path: str, rel: str) -> list[Response]:
    """Return the page at *path*, and those that its links of *rel* lead to."""
    found = [await client.get(path)]
    while url := linked(found[-1], rel):
        found.append(await client.get(url))
    return found


def cursors(answers: Sequence[Response]) -> list[str]:
    urls = [linked(each, rel) for each in answers for rel in ("next", "prev")]
    return [parse_qs(urlsplit(each).query)["cursor"][0] for each in urls if each]


async def test_pages_follow_the_hidden_column(client: AsyncClient) -> None:
    forward = await pages(client, "/players?limit=1", "next")
    assert [each.json() for each in forward] == [[{"id": n}] for n in (2, 3, 1, 4)]
    backward = await pages(client, str(forward[-1].request.url), "prev")
    assert [each.json() for each in backward] == [[{"id": n}] for n in (4, 1, 3, 2)]


async def test_no_answer_has_a_hidden_value(client: AsyncClient) -> None:
    answers = await pages(client, "/players?limit=1", "next")
    assert len(cursors(answers)) == 6
    for each in cursors(answers):
        data = urlsafe_b64decode(each + "=" * (-len(each) % 4))
        assert not any(hidden in data for hidden in (b"83000", b"Bartholomew"))
    for answer in answers:
        head = await client.head(str(answer.request.url))
        assert head.headers["link"] == answer.headers["link"]


async def test_cursors_of_long_and_short_values_are_equally_long(client: AsyncClient) -> None:
    answers = await pages(client, "/players?limit=1", "next")
    assert {len(each) for each in cursors(answers)} == {107}


async def test_altered_cursor_is_invalid(client: AsyncClient) -> None:
    text = cursors([await client.get("/players?limit=1")])[0]
    other = text[:-9] + ("A" if text[-9] != "A" else "B") + text[-8:]
    response = await client.get(f"/players?limit=1&cursor={other}")
    assert summary(response) == "400 ?cursor invalid_cursor"
