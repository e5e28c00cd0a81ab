"""Lists sorted by a column that clients cannot read."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import MetaData, String
from sqlalchemy.orm import Mapped, mapped_column
from typing_extensions import override

from brickwork import (
    ListQuery,
    Model,
    ReadSchema,
    Resource,
    Schema,
    SortKey,
    crud_router,
)
from tests.support.bodies import summary
from tests.support.both import apps_of
from tests.support.rows import link_target
from tests.support.running import Running
from tests.support.tables import Rows, Tables

pytestmark = [pytest.mark.anyio]


class Base(Model):
    """Base of the models in this module."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Player(Base):
    """A player; nickname and score only serve the order."""

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
    """Players, the best first."""

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("score", descending=True), SortKey("nickname"))


class Players(Resource[Player]): ...


APPS: Final = apps_of(
    crud_router(
        "/players",
        Players,
        read=PlayerRead,
        create=PlayerCreate,
        update=PlayerUpdate,
        query=PlayerQuery,
    )
)


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
    request: pytest.FixtureRequest, running: Running, tables: Tables, backend: str
) -> AsyncClient:
    """Return a client of the players on each path."""
    url = await tables.of(Base.metadata, backend, ROWS)
    return await running.client(APPS[request.param], url)


async def pages(client: AsyncClient, path: str, rel: str) -> list[Response]:
    """Return the page at *path*, and the pages along its *rel* links."""
    found = [await client.get(path)]
    while url := link_target(found[-1], rel):
        found.append(await client.get(url))
    return found


def cursors(answers: Sequence[Response]) -> list[str]:
    urls = [link_target(answer, rel) for answer in answers for rel in ("next", "prev")]
    return [parse_qs(urlsplit(url).query)["cursor"][0] for url in urls if url]


async def test_pages_follow_the_hidden_column(client: AsyncClient) -> None:
    forward = await pages(client, "/players?limit=1", "next")
    assert [page.json() for page in forward] == [[{"id": n}] for n in (2, 3, 1, 4)]
    backward = await pages(client, str(forward[-1].request.url), "prev")
    assert [page.json() for page in backward] == [[{"id": n}] for n in (4, 1, 3, 2)]


async def test_no_response_has_a_hidden_value(client: AsyncClient) -> None:
    answers = await pages(client, "/players?limit=1", "next")
    assert len(cursors(answers)) == 6
    for cursor in cursors(answers):
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        assert not any(hidden in data for hidden in (b"83000", b"Bartholomew"))
    for answer in answers:
        head = await client.head(str(answer.request.url))
        assert head.headers["link"] == answer.headers["link"]


async def test_cursors_do_not_reveal_the_length_of_values(client: AsyncClient) -> None:
    answers = await pages(client, "/players?limit=1", "next")
    assert {len(cursor) for cursor in cursors(answers)} == {107}


async def test_altered_cursor_is_invalid(client: AsyncClient) -> None:
    text = cursors([await client.get("/players?limit=1")])[0]
    other = text[:-9] + ("A" if text[-9] != "A" else "B") + text[-8:]
    response = await client.get(f"/players?limit=1&cursor={other}")
    assert summary(response) == "400 ?cursor invalid_cursor"
