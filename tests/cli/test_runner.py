"""Work without a request: transaction, retry, bisection."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select

from brickwork import (
    AuditEntry,
    Conflict,
    Database,
    ImportPosition,
    Problem,
    Resource,
    ServiceUnavailable,
)
from brickwork.cli.errors import UsageError
from brickwork.cli.loading import job_runner
from brickwork.cli.runner import JobRunner, bisect_failures, require_table
from tests.support import blog_imports
from tests.support.blog import Author
from tests.support.blog_imports import Authors
from tests.support.recording import statements
from tests.support.services import Service

APP = blog_imports.app_over(Database("sqlite:///unused.db"))


@pytest.fixture
def authors(blog_service: Service) -> JobRunner[Author]:
    """Return a runner over the blog's authors."""
    return job_runner(APP, blog_service.database, "authors")


async def handles(database: Database) -> list[str]:
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(Author.handle).order_by(Author.handle))]


# --- One transaction ---------------------------------------------------------------------------


async def test_run_passes_the_resource_and_returns_the_result(
    authors: JobRunner[Author],
) -> None:
    async def create(rows: object) -> str:
        assert isinstance(rows, Authors)
        await rows.create(Author(handle="a"))
        return "done"

    assert await authors.run(create) == "done"
    assert await handles(authors.database) == ["a"]


async def test_run_uses_the_isolation_level_of_the_resource(
    authors: JobRunner[Author], backend: str
) -> None:
    with statements() as sent:
        await authors.run(lambda rows: rows.create(Author(handle="a")))

    level = "SET TRANSACTION ISOLATION LEVEL serializable"
    assert (level in sent) == (backend == "postgresql")


async def test_audit_names_the_command(authors: JobRunner[Author]) -> None:
    await authors.run(lambda rows: rows.create(Author(handle="a")))

    async with authors.database.session(readonly=True) as session:
        (entry,) = await session.scalars(select(AuditEntry))
    assert (entry.actor, entry.action, entry.row_key) == ("brickwork", "create", "a")


class Work:
    """Work that creates an author and fails several times."""

    def __init__(self, problem: Problem, failures: int) -> None:
        """Raise *problem* in as many attempts as *failures*."""
        self._problem = problem
        self._failures = failures
        self.attempts: list[Resource[Author]] = []

    async def __call__(self, rows: Resource[Author]) -> None:
        """Create the author, or fail."""
        self.attempts.append(rows)
        await rows.create(Author(handle="a"))
        await rows.session.flush()
        if len(self.attempts) <= self._failures:
            raise self._problem


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr("brickwork.database.retry._PAUSE", 0)


@pytest.mark.usefixtures("no_pauses")
async def test_contention_repeats_the_work(authors: JobRunner[Author]) -> None:
    work = Work(ServiceUnavailable("Others were there.", retryable=True), failures=2)
    await authors.run(work)

    assert len({id(rows) for rows in work.attempts}) == 3
    assert await handles(authors.database) == ["a"]


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("problem", "attempts"),
    [
        pytest.param(ServiceUnavailable("Others were there.", retryable=True), 8, id="contention"),
        pytest.param(ServiceUnavailable("It is away."), 1, id="no database"),
        pytest.param(Conflict("It is taken."), 1, id="a conflict"),
    ],
)
async def test_failed_work_stores_nothing(
    authors: JobRunner[Author], problem: Problem, attempts: int
) -> None:
    work = Work(problem, failures=100)
    with pytest.raises(type(problem)):
        await authors.run(work)

    assert len(work.attempts) == attempts
    assert await handles(authors.database) == []


# --- Bisection ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "attempts"), [([], 1), ([0], 7), ([7], 7), ([2, 5], 11), ([*range(8)], 15)]
)
async def test_bisection_finds_the_bad_items(bad: Sequence[int], attempts: int) -> None:
    done: list[int] = []
    rejected: dict[int, Problem] = {}
    calls: list[Sequence[int]] = []

    async def work(items: Sequence[int]) -> None:
        calls.append(items)
        if {*bad} & {*items}:
            raise Conflict("No.")
        done.extend(items)

    await bisect_failures(range(8), work, rejected.__setitem__)

    assert done == [item for item in range(8) if item not in bad]
    assert [*rejected] == [*bad]
    assert len(calls) == attempts


async def test_outage_ends_the_bisection() -> None:
    rejected: dict[int, Problem] = {}

    async def work(_: Sequence[int]) -> None:
        raise ServiceUnavailable("It is away.")

    with pytest.raises(ServiceUnavailable):
        await bisect_failures(range(8), work, rejected.__setitem__)
    assert rejected == {}


# --- Misuse ------------------------------------------------------------------------------------


async def test_resource_with_dependencies_names_the_remedy(
    authors: JobRunner[Author],
) -> None:
    error = r"OwnAuthors needs user, which only a request has: write a script"
    with pytest.raises(UsageError, match=error):
        replace(authors, definition=replace(authors.definition, resource=blog_imports.OwnAuthors))


@pytest.fixture
async def without_tables(empty_url: str) -> AsyncIterator[Database]:
    """Return a database without tables."""
    database = Database(empty_url)
    async with database.lifespan(None):
        yield database


async def test_missing_table_names_the_remedy(without_tables: Database) -> None:
    with pytest.raises(UsageError, match=r"no table import_positions: .*`alembic revision"):
        await require_table(without_tables, ImportPosition)


async def test_existing_table_passes(blog_service: Service) -> None:
    await require_table(blog_service.database, ImportPosition)
