"""The state that Brickwork keeps on a session."""

from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from brickwork import Database
from brickwork.database.flush_log import FlushLog
from brickwork.database.unit_of_work import (
    UnitOfWork,
    actor_of,
    session_info,
    set_actor,
    unit_of_work,
)
from tests.support.library import Book


@dataclass
class Part:
    """A state of a package above."""

    number: int = 0


def test_session_of_the_application_gets_one_unit_on_first_use() -> None:
    session = AsyncSession()

    unit = unit_of_work(session)

    assert unit_of_work(session) is unit is unit_of_work(session.sync_session)
    assert unit_of_work(Session()) is not unit
    assert (unit.is_managed, unit.writable) == (False, None)


@pytest.mark.parametrize("readonly", [True, False])
async def test_session_of_the_database_is_managed(database: Database, *, readonly: bool) -> None:
    async with database.session(readonly=readonly) as session:
        unit = unit_of_work(session)
        assert (unit.database, unit.writable, unit.begun) == (database, not readonly, False)
        _ = await session.execute(text("SELECT 1"))
        assert unit.begun

    assert (unit.is_managed, unit.adopted) == (True, False)


def test_session_info_gives_a_session_its_unit() -> None:
    unit = UnitOfWork(writable=True)

    assert unit_of_work(Session(info=session_info(unit))) is unit


def test_brickwork_has_one_key_in_the_info_of_a_session() -> None:
    session = Session()
    unit = unit_of_work(session)
    unit.part(Part).number = 1
    unit.leaves_references = True

    assert [*session.info] == ["brickwork"]


def test_unit_has_one_part_of_each_type() -> None:
    unit = UnitOfWork()
    assert unit.existing_part(Part) is None

    unit.part(Part).number = 1

    assert unit.part(Part) is unit.existing_part(Part)
    assert unit.part(Part).number == 1
    assert UnitOfWork().part(Part).number == 0


def test_forked_flush_log_ends_with_its_block() -> None:
    unit = UnitOfWork()
    log = unit.flush_log
    log.retry_on_duplicate.add("keys")

    with unit.fork_flush_log() as part:
        assert unit.flush_log is part is not log
        assert part.retry_on_duplicate == {"keys"}
        part.add([Book()])

    assert unit.flush_log is log
    assert not log.mappers


def test_forked_flush_log_ends_with_an_error() -> None:
    unit = UnitOfWork()
    log = unit.flush_log

    with pytest.raises(LookupError), unit.fork_flush_log():
        raise LookupError

    assert unit.flush_log is log


async def test_unmanaged_session_translates_no_error() -> None:
    error = DBAPIError("SELECT 1", None, ValueError())
    session = AsyncSession()

    assert await unit_of_work(session).translate_error(error, FlushLog(), session) is None


def test_last_actor_counts() -> None:
    session = Session()
    assert actor_of(session) is None

    session.info["actor"] = "script"
    assert actor_of(session) == "script"

    set_actor(session, "ada")
    assert actor_of(session) == session.info["actor"] == "ada"

    session.info["actor"] = "import"
    assert actor_of(session) == "import"
