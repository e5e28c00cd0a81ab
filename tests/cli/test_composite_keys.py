"""Commands on rows with keys of several columns."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from brickwork import Database
from brickwork.cli import commands
from brickwork.cli.explain import explain_resource
from brickwork.cli.files import open_row_file
from brickwork.cli.importing import import_rows, report_path
from brickwork.cli.loading import find_resource, job_runner
from brickwork.cli.purging import PurgeProgress, purge_rows
from brickwork.models.model import now
from tests.support.memberships import Base, Group, Membership, Slot, User, create_app
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

APP = create_app("sqlite:///unused.db")


@pytest.fixture
async def database(tables: Tables, backend: str) -> Any:
    database = Database(await tables.of(Base.metadata, backend))
    yield database
    await database.dispose()


def test_a_resource_is_found_by_its_path() -> None:
    assert find_resource(APP, "memberships")[0] == "/memberships"
    assert find_resource(APP, "careful-labels")[0] == "/careful-labels"


@pytest.mark.both_paths
def test_an_explanation_gives_the_reason_for_the_orm_path(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    found = {item.operation: item for item in explain_resource(APP, database, "slots")}
    reason = "ORM path, since the key of Slot has several columns"
    assert {name for name, item in found.items() if item.path == reason} == {
        "GET /slots/{room}/{day}",
        "PATCH /slots/{room}/{day}",
        "DELETE /slots/{room}/{day}",
    }
    for name in ("GET /slots", "POST /slots", "POST /slots/batch"):
        assert found[name].path == "fast path"
    (sql,) = found["GET /slots/{room}/{day}"].statements
    assert "slots.room = :room AND slots.day = :day" in sql
    (sql,) = found["DELETE /slots/batch"].statements
    assert "(slots.room, slots.day) IN" in sql


async def test_deleted_rows_are_purged_in_the_order_of_the_key(database: Database) -> None:
    users = [UUID(int=number) for number in (2, 1)]
    async with database.session() as session:
        await session.execute(insert(User), [{"id": user, "name": "a"} for user in users])
        await session.execute(insert(Group), [{"code": code} for code in "cab"])
        long_ago = now() - timedelta(days=31)
        session.add_all(
            Membership(user_id=user, group_code=code, deleted_at=long_ago if code != "c" else None)
            for user in users
            for code in "cab"
        )
    target = job_runner(APP, database, "memberships")
    steps = [step.removed async for step in purge_rows(target, now(), chunk=3)]
    assert steps == [0, 3, 4]
    async with database.session(readonly=True) as session:
        left = await session.execute(select(Membership.user_id, Membership.group_code))
        assert {tuple(row) for row in left} == {(user, "c") for user in users}


async def test_a_file_is_imported(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "slots.csv"
    file.write_text(
        "room,day,title,seats\n"
        "1,2026-01-02,a,3\n"
        "1,2026-01-03,b,\n"
        "1,2026-01-02,again,\n"
        "x,2026-01-02,c,\n"
    )
    target = job_runner(APP, database, "slots")
    source = open_row_file(file)
    *_, last = [step async for step in import_rows(target, source)]
    assert (last.accepted, last.rejected) == (2, 2)
    report = report_path(source).read_text()
    assert '"pointer":"#/day","code":"not_unique"' in report
    async with database.session(readonly=True) as session:
        found = await session.scalars(select(Slot.title).order_by(Slot.room, Slot.day))
        assert [*found] == ["a", "b"]


def test_a_purge_names_kept_rows_by_their_paths(capsys: pytest.CaptureFixture[str]) -> None:
    def ignore(_: int, __: str) -> None: ...

    report = commands._purge_reporter(ignore)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    report(PurgeProgress(0, 1, {(1, "a"): "Kept."}))
    assert capsys.readouterr().err == "1/a: Kept.\n"
