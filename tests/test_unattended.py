"""Without a request, work is tried again, in halves, and in the name of the command."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from brickwork import (
    AuditEntry,
    Conflict,
    Database,
    ImportPosition,
    Problem,
    Resource,
    Unavailable,
)
from brickwork.applications import running, unattended
from brickwork.misuse import Misuse
from brickwork.unattended import Unattended, divided, require_table
from tests.support import depot
from tests.support.depot import Shelf, Shelves
from tests.support.recording import statements

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shelves(empty_url: str) -> AsyncGenerator[Unattended[Shelf]]:
    app = depot.create_app(empty_url)
    async with running(app) as database:
        yield unattended(app, database, "shelves")


async def codes(database: Database) -> list[str]:
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(Shelf.code).order_by(Shelf.code))]


async def test_the_step_has_the_resource_in_a_transaction(shelves: Unattended[Shelf]) -> None:
    async def add(rows: object) -> str:
        assert isinstance(rows, Shelves)
        await rows.create(Shelf(code="a"))
        return "done"

    with statements() as sent:
        assert await shelves.run(add) == "done"
    assert await codes(shelves.database) == ["a"]
    postgresql = shelves.database.url.get_backend_name() == "postgresql"
    assert ("SET TRANSACTION ISOLATION LEVEL serializable" in sent) == postgresql


async def test_an_audit_names_the_command(shelves: Unattended[Shelf]) -> None:
    await shelves.run(lambda rows: rows.create(Shelf(code="a")))

    async with shelves.database.session(readonly=True) as session:
        (entry,) = await session.scalars(select(AuditEntry))
    assert (entry.actor, entry.action, entry.row_key) == ("brickwork", "create", "a")


@pytest.mark.parametrize(
    ("problem", "failures", "tries"),
    [
        (Unavailable("Others were there.", again=True), 2, 3),
        (Unavailable("Others were there.", again=True), 100, 8),
        (Unavailable("It is away."), 100, 1),
        (Conflict("It is taken."), 100, 1),
    ],
    ids=["others", "others all the time", "away", "refused"],
)
async def test_what_others_were_in_the_way_of_is_tried_again_for_a_while(
    shelves: Unattended[Shelf], problem: Problem, failures: int, tries: int
) -> None:
    tried: list[object] = []

    async def add(rows: Resource[Shelf]) -> None:
        tried.append(rows)
        await rows.create(Shelf(code="a"))
        await rows.session.flush()
        if len(tried) <= failures:
            raise problem

    if failures < tries:
        await shelves.run(add)
    else:
        with pytest.raises(type(problem)):
            await shelves.run(add)
    assert len({*map(id, tried)}) == tries
    assert await codes(shelves.database) == (["a"] if failures < tries else [])


@pytest.mark.parametrize(
    ("bad", "attempts"), [([], 1), ([0], 7), ([7], 7), ([2, 5], 11), ([*range(8)], 15)]
)
async def test_those_to_blame_are_found_by_halves(bad: Sequence[int], attempts: int) -> None:
    done: list[int] = []
    refused: dict[int, Problem] = {}
    tried: list[Sequence[int]] = []

    async def work(items: Sequence[int]) -> None:
        tried.append(items)
        if {*bad} & {*items}:
            raise Conflict("No.")
        done.extend(items)

    await divided(range(8), work, refused.__setitem__)

    assert done == [each for each in range(8) if each not in bad]
    assert [*refused] == [*bad]
    assert len(tried) == attempts


async def test_what_no_item_is_to_blame_for_ends_the_work() -> None:
    refused: dict[int, Problem] = {}

    async def work(_: Sequence[int]) -> None:
        raise Unavailable("It is away.")

    with pytest.raises(Unavailable):
        await divided(range(8), work, refused.__setitem__)
    assert refused == {}


async def test_a_resource_that_needs_a_request_says_what_to_do(
    shelves: Unattended[Shelf],
) -> None:
    error = r"Private needs user, which only a request has: write a script"
    with pytest.raises(Misuse, match=error):
        replace(shelves, shape=replace(shelves.shape, resource=depot.Private))


async def test_a_table_that_is_not_there_is_told_with_where_it_comes_from(
    shelves: Unattended[Shelf],
) -> None:
    await require_table(shelves.database, ImportPosition)
    async with shelves.database.writer.begin() as connection:
        await connection.execute(text("DROP TABLE import_positions"))

    with pytest.raises(Misuse, match=r"no table import_positions: .*`alembic revision"):
        await require_table(shelves.database, ImportPosition)
