"""The import of a file: rows, report, restart."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Select, func, select
from typing_extensions import override

from brickwork import Database, ImportPosition, Limits, Resource, ServiceUnavailable, crud_router
from brickwork.cli import importing
from brickwork.cli.errors import UsageError
from brickwork.cli.files import open_row_file
from brickwork.cli.importing import ImportProgress, import_rows
from brickwork.cli.loading import job_runner
from brickwork.cli.runner import JobRunner
from brickwork.limits import current_limits
from tests.support import blog_imports
from tests.support.blog import Article, Author, AuthorCreate, AuthorRead, AuthorUpdate
from tests.support.contention import halted
from tests.support.databases import postgres_only
from tests.support.recording import statements
from tests.support.services import Service
from tests.support.waiting import until_it_waits

Line = Mapping[str, Any] | str | bytes


APP = blog_imports.app_over(Database("sqlite:///unused.db"))


@pytest.fixture
async def articles(blog_service: Service) -> AsyncIterator[JobRunner[Article]]:
    """Return a runner of imports into the blog's articles, with the application's limits."""
    before = current_limits.set(Limits(body=2_000))
    yield job_runner(APP, blog_service.database, "articles")
    current_limits.reset(before)


@pytest.fixture
def authors(blog_service: Service) -> JobRunner[Author]:
    """Return a runner of imports into the blog's authors, with keys from the files."""
    return job_runner(APP, blog_service.database, "authors")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that does not exist yet."""
    return tmp_path / "articles.ndjson"


def lines(*rows: Line) -> bytes:
    """Return the content of a file of *rows*: objects, or unchanged lines."""
    texts = (json.dumps(row) if isinstance(row, Mapping) else row for row in rows)
    return b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in texts)


def of_slugs(*slugs: str) -> bytes:
    return lines(*({"slug": slug} for slug in slugs))


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


async def import_file(
    target: JobRunner[Any], file: Path, content: bytes | None = None, **options: Any
) -> ImportProgress:
    """Import *file*, with new *content* if there is any, and return the last progress."""
    if content is not None:
        write(file, content)
    return [step async for step in import_rows(target, open_row_file(file), **options)][-1]


async def slugs(target: JobRunner[Article]) -> list[str]:
    async with target.database.session(readonly=True) as session:
        return [*await session.scalars(select(Article.slug).order_by(Article.id))]


async def stored(target: JobRunner[Article]) -> Sequence[Article]:
    async with target.database.session(readonly=True) as session:
        return [*await session.scalars(select(Article).order_by(Article.id))]


def report_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.rejected.ndjson")


def report(file: Path) -> list[dict[str, Any]]:
    path = report_path(file)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def errors(file: Path) -> list[tuple[int, str, str]]:
    return [
        (row["line"], error["pointer"], error["code"])
        for row in report(file)
        for error in row["errors"]
    ]


# --- Rows --------------------------------------------------------------------------------------


async def test_row_is_created_as_by_a_post(articles: JobRunner[Article], file: Path) -> None:
    row = {"slug": "a", "views": 3, "meta": {"x": [1]}, "tags": ["b"]}
    progress = await import_file(articles, file, lines(row))

    assert (progress.accepted, progress.rejected, progress.position.lines) == (1, 0, 1)
    (article,) = await stored(articles)
    assert (article.slug, article.views, article.meta, article.tags) == ("A", 3, {"x": [1]}, ["b"])
    assert report(file) == []


async def test_resource_without_input_is_not_imported(blog_service: Service, file: Path) -> None:
    app = FastAPI(lifespan=blog_service.database.lifespan)
    app.include_router(crud_router("/authors", blog_imports.Authors, read=AuthorRead))
    target = job_runner(app, blog_service.database, "authors")
    with pytest.raises(UsageError, match=r"Authors takes no rows: .* no create schema"):
        await import_file(target, file, lines({"name": "Ada"}))


async def test_omitted_field_has_its_default(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, lines({"slug": "a"}))

    (article,) = await stored(articles)
    assert (article.views, article.status, article.featured) == (0, "draft", False)


async def test_timestamp_is_stored_in_utc(articles: JobRunner[Article], file: Path) -> None:
    row = {"slug": "a", "published_at": "2026-01-31T12:00:00+01:00"}
    await import_file(articles, file, lines(row))

    (article,) = await stored(articles)
    assert article.published_at == datetime(2026, 1, 31, 11, tzinfo=UTC)


async def test_csv_cells_are_parsed_by_type(articles: JobRunner[Article], tmp_path: Path) -> None:
    table = 'slug,views,featured,meta,rating\na,3,true,"{""x"": 1}",\nb,,,,2.5\n'
    await import_file(articles, tmp_path / "articles.csv", table.encode())

    first, second = await stored(articles)
    assert (first.views, first.featured, first.meta, first.rating) == (3, True, {"x": 1}, None)
    assert (second.views, second.featured, second.meta, second.rating) == (0, False, None, 2.5)


async def test_invalid_cells_are_rejected(articles: JobRunner[Article], tmp_path: Path) -> None:
    file = tmp_path / "articles.csv"
    progress = await import_file(articles, file, b"slug,views,meta\na,1,\nb,x,{\n")

    assert (progress.accepted, progress.rejected) == (1, 1)
    assert errors(file) == [(3, "#/views", "int_parsing"), (3, "#/meta", "malformed")]


async def test_chunk_is_one_transaction(articles: JobRunner[Article], file: Path) -> None:
    write(file, of_slugs(*"abcde"))
    steps = [
        (step.accepted, await slugs(articles))
        async for step in import_rows(articles, open_row_file(file), chunk=2)
    ]

    assert steps == [(0, []), (2, [*"AB"]), (4, [*"ABCD"]), (5, [*"ABCDE"])]


async def test_chunk_of_the_service_is_one_insert(service: Service, file: Path) -> None:
    write(file, lines(*({"name": "Ada", "email": f"{n}@a.example"} for n in range(25))))
    authors = job_runner(service.app, service.database, "authors")
    with statements() as sent:
        await import_file(authors, file, chunk=10)

    verbs = [statement.split("(")[0].split(" SET ")[0].strip() for statement in sent]
    assert verbs[-6:] == ["UPDATE import_positions", "INSERT INTO authors"] * 3


async def test_chunk_of_large_rows_ends_early(
    articles: JobRunner[Article], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MAX_CHUNK_BYTES", 30)
    write(file, of_slugs("a", "b" * 20, "c", "d", "e"))
    steps = [step.position.lines async for step in import_rows(articles, open_row_file(file))]

    assert steps == [0, 2, 5]


async def test_empty_file_has_no_rows(articles: JobRunner[Article], file: Path) -> None:
    assert await import_file(articles, file, b"") == ImportProgress()


# --- Rejected rows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param("{", [("#", "malformed")], id="no JSON"),
        pytest.param(b'{"slug":"\xff"}', [("#", "malformed")], id="no UTF-8"),
        pytest.param('{"slug":"x","slug":"x"}', [("#", "malformed")], id="a key twice"),
        pytest.param("[" * 65 + "]" * 65, [("#", "too_deep")], id="too deep"),
        pytest.param(
            {"slug": "x", "meta": {"x": "x" * 2_000}}, [("#", "content_too_large")], id="too long"
        ),
        pytest.param("null", [("#", "object_type")], id="null"),
        pytest.param("[1]", [("#", "object_type")], id="an array"),
        pytest.param({}, [("#/slug", "missing")], id="no field"),
        pytest.param(
            {"slug": "", "views": "1", "status": None},
            [
                ("#/slug", "string_too_short"),
                ("#/views", "int_type"),
                ("#/status", "not_nullable"),
            ],
            id="wrong fields",
        ),
        pytest.param(
            {"slug": "x", "colour": 1}, [("#/colour", "unknown_field")], id="an unknown field"
        ),
        pytest.param({"slug": "x", "id": 1}, [("#/id", "read_only")], id="a read-only field"),
        pytest.param(
            {"slug": "x", "views": 2**31},
            [("#/views", "less_than_equal")],
            id="a value beyond the column",
        ),
        pytest.param({"slug": "A1"}, [("#/slug", "not_unique")], id="a taken value"),
        pytest.param(
            {"slug": "a1"},
            [("#/slug", "not_unique")],
            id="a value that becomes a taken one",
        ),
        pytest.param({"slug": "x", "views": -1}, [("#/views", "check_failed")], id="a check"),
        pytest.param(
            {"slug": "x", "author_handle": "no"},
            [("#/author_handle", "reference_not_found")],
            id="a reference",
        ),
        pytest.param({"slug": "secret"}, [("#", "conflict")], id="the method"),
    ],
)
async def test_only_rejected_rows_are_in_the_report(
    articles: JobRunner[Article], file: Path, row: Line, expected: Sequence[tuple[str, str]]
) -> None:
    await import_file(articles, file, of_slugs("A1"))
    good = [{"slug": f"n{number}"} for number in range(7)]
    rows = lines(row, *good[:3], row, *good[3:], row)
    progress = await import_file(articles, file, rows, restart=True)

    assert (progress.accepted, progress.rejected, progress.position.lines) == (7, 3, 10)
    assert await slugs(articles) == ["A1", *(f"N{number}" for number in range(7))]
    assert errors(file) == [(line, *error) for line in (1, 5, 10) for error in expected]


async def test_key_without_a_path_is_rejected(authors: JobRunner[Author], file: Path) -> None:
    rows = lines(*({"handle": handle} for handle in ("a", "batch", "b", "b/c")))
    progress = await import_file(authors, file, rows)

    assert (progress.accepted, progress.rejected) == (2, 2)
    assert errors(file) == [(2, "#/handle", "no_path"), (4, "#/handle", "no_path")]


class ShortAuthors(Resource[Author]):
    @override
    def query(self) -> Select[Author]:
        return super().query().where(func.length(Author.handle) < 3)


async def test_row_out_of_scope_is_rejected(authors: JobRunner[Author], file: Path) -> None:
    app = FastAPI()
    app.include_router(
        crud_router(
            "/short", ShortAuthors, read=AuthorRead, create=AuthorCreate, update=AuthorUpdate
        )
    )
    short: JobRunner[Author] = job_runner(app, authors.database, "short")
    rows = lines(*({"handle": handle} for handle in ("a", "abc", "b")))
    progress = await import_file(short, file, rows)

    assert (progress.accepted, progress.rejected) == (2, 1)
    assert errors(file) == [(2, "#", "forbidden")]


async def test_report_repeats_the_row(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, b'{"slug": "a"}\n\n{"slug": 5}\r\n{"slug": "\xff"}\n{,}')

    assert [row["line"] for row in report(file)] == [3, 4, 5]
    assert [row["text"] for row in report(file)] == ['{"slug": 5}', '{"slug": "�"}', "{,}"]


async def test_report_has_the_reason(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, b"{,}")

    assert report(file)[0]["errors"] == [
        {
            "pointer": "#",
            "code": "malformed",
            "detail": "The row is not JSON: the error is at column 2.",
        }
    ]


async def test_first_of_duplicate_values_is_accepted(
    articles: JobRunner[Article], file: Path
) -> None:
    await import_file(articles, file, of_slugs("a", "b", "A", "c", "B", "a"))

    assert await slugs(articles) == ["A", "B", "C"]
    assert errors(file) == [(line, "#/slug", "not_unique") for line in (3, 5, 6)]


@pytest.mark.parametrize("chunk", [1, 3, 500])
async def test_file_of_rejected_rows_stores_nothing(
    articles: JobRunner[Article], file: Path, chunk: int
) -> None:
    rows = lines({"slug": "secret"}, "{", {"slug": "x", "views": -1}, "", {"slug": "secret"})
    progress = await import_file(articles, file, rows, chunk=chunk)

    assert (progress.accepted, progress.rejected, progress.position.size) == (0, 4, len(rows))
    assert [line for line, _, _ in errors(file)] == [1, 2, 3, 5]
    assert await slugs(articles) == []


# --- Repeated runs -----------------------------------------------------------------------------


async def test_imported_file_is_not_imported_again(
    articles: JobRunner[Article], file: Path
) -> None:
    first = await import_file(articles, file, of_slugs("a", "secret", "b"))
    again = await import_file(articles, file)

    assert again == first
    assert await slugs(articles) == ["A", "B"]
    assert errors(file) == [(2, "#", "conflict")]


async def test_only_appended_rows_of_a_file_are_imported(
    articles: JobRunner[Article], file: Path
) -> None:
    await import_file(articles, file, of_slugs("a", "secret"))
    progress = await import_file(articles, file, of_slugs("a", "secret", "b", "secret"))

    assert (progress.accepted, progress.rejected, progress.position.lines) == (2, 2, 4)
    assert await slugs(articles) == ["A", "B"]
    assert [line for line, _, _ in errors(file)] == [2, 4]


async def test_file_changed_before_its_position_is_rejected(
    articles: JobRunner[Article], file: Path
) -> None:
    await import_file(articles, file, of_slugs("a", "secret"))

    with pytest.raises(UsageError, match=r"has changed.* --restart"):
        await import_file(articles, file, of_slugs("b", "secret"))
    assert await slugs(articles) == ["A"]


async def test_restart_imports_a_changed_file(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, of_slugs("a", "secret"))
    progress = await import_file(articles, file, of_slugs("b", "secret"), restart=True)

    assert (progress.accepted, progress.rejected) == (1, 1)
    assert await slugs(articles) == ["A", "B"]
    assert errors(file) == [(2, "#", "conflict")]


async def test_restart_removes_the_old_report(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, of_slugs("secret"))
    await import_file(articles, file, of_slugs("a"), restart=True)

    assert not report_path(file).exists()


async def test_position_belongs_to_a_file_and_a_resource(
    articles: JobRunner[Article], authors: JobRunner[Author], file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.ndjson"
    await import_file(articles, file, of_slugs("a"))
    await import_file(articles, other, of_slugs("b"))
    await import_file(authors, file, lines({"handle": "a"}))

    assert await slugs(articles) == ["A", "B"]
    async with authors.database.session(readonly=True) as session:
        assert await session.get(Author, "a")
        known = {
            (position.file, position.resource)
            for position in await session.scalars(select(ImportPosition))
        }
    assert known == {
        (str(file), "/articles"),
        (str(other), "/articles"),
        (str(file), "/authors"),
    }


async def test_outage_stops_the_import(articles: JobRunner[Article], file: Path) -> None:
    rows = of_slugs("a", "secret", "b", "c", "d", "secret", "away", "e")
    with pytest.raises(ServiceUnavailable):
        await import_file(articles, file, rows, chunk=4)

    assert await slugs(articles) == ["A", "B", "C", "D"]


async def test_import_continues_where_it_stopped(articles: JobRunner[Article], file: Path) -> None:
    begin = ("a", "secret", "b", "c", "d", "secret")
    with pytest.raises(ServiceUnavailable):
        await import_file(articles, file, of_slugs(*begin, "away", "e"), chunk=4)
    progress = await import_file(articles, file, of_slugs(*begin, "f", "e"), chunk=4)

    assert (progress.accepted, progress.rejected) == (6, 2)
    assert await slugs(articles) == ["A", "B", "C", "D", "F", "E"]
    assert [line for line, _, _ in errors(file)] == [2, 6]


@pytest.mark.parametrize(("added", "rejected"), [("secret", [1, 3]), ("b", [1])])
async def test_report_of_an_uncommitted_run_is_truncated(
    articles: JobRunner[Article], file: Path, added: str, rejected: list[int]
) -> None:
    await import_file(articles, file, of_slugs("secret", "a"), chunk=1)
    with report_path(file).open("a") as torn:
        torn.write('{"line":')
    await import_file(articles, file, of_slugs("secret", "a", added))

    assert [line for line, _, _ in errors(file)] == rejected


async def test_removed_report_is_started_again(articles: JobRunner[Article], file: Path) -> None:
    await import_file(articles, file, of_slugs("secret"))
    report_path(file).unlink()
    await import_file(articles, file, of_slugs("secret", "secret"))

    assert [line for line, _, _ in errors(file)] == [2]


# --- Two runs ----------------------------------------------------------------------------------


async def test_two_runs_import_each_row_once(articles: JobRunner[Article], file: Path) -> None:
    write(file, of_slugs(*("secret" if number % 3 else str(number) for number in range(30))))
    runs = (import_file(articles, file, chunk=1) for _ in range(2))
    ends = await asyncio.gather(*runs, return_exceptions=True)
    await import_file(articles, file)

    assert any(isinstance(end, UsageError) and "Another run" in str(end) for end in ends)
    assert await slugs(articles) == [str(number) for number in range(0, 30, 3)]
    assert [line for line, _, _ in errors(file)] == [n + 1 for n in range(30) if n % 3]


async def test_concurrent_first_runs_share_one_position(
    articles: JobRunner[Article], tmp_path: Path
) -> None:
    for number in range(5):
        file = tmp_path / f"{number}.ndjson"
        write(file, b"")
        await asyncio.gather(*(import_file(articles, file) for _ in range(3)))

    async with articles.database.session(readonly=True) as session:
        assert len([*await session.scalars(select(ImportPosition))]) == 5


@postgres_only
async def test_run_started_during_a_commit_keeps_the_report(
    articles: JobRunner[Article], file: Path
) -> None:
    await import_file(articles, file, of_slugs("a"))
    with halted(3) as commit:  # after the commits of the checks of the table and of the position
        first = asyncio.create_task(import_file(articles, file, of_slugs("a", "secret")))
        await commit.reached()  # the report is written
        second = asyncio.create_task(import_file(articles, file))
        await until_it_waits(second, articles.database)
        commit.release()
        await asyncio.gather(first, second)

    assert errors(file) == [(2, "#", "conflict")]
