"""Every good row of a file gets in once, every other is told, whatever happens on the way."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.main import create_app
from app.settings import Settings
from brickwork import ImportPosition, Unavailable, imports
from brickwork.applications import running, unattended
from brickwork.imports import Progress, import_rows
from brickwork.misuse import Misuse
from brickwork.sources import source
from brickwork.unattended import Unattended
from tests.support import depot
from tests.support.depot import Part, Shelf
from tests.support.recording import statements

pytestmark = pytest.mark.anyio

Line = Mapping[str, Any] | str | bytes


@pytest.fixture
async def parts(empty_url: str) -> AsyncGenerator[Unattended[Part]]:
    app = depot.create_app(empty_url)
    async with running(app) as database:
        yield unattended(app, database, "parts")


def lines(*rows: Line) -> bytes:
    """Return a file of *rows*, those that are not written out yet being objects."""
    texts = (json.dumps(each) if isinstance(each, Mapping) else each for each in rows)
    return b"".join((each.encode() if isinstance(each, str) else each) + b"\n" for each in texts)


def coded(*codes: str) -> bytes:
    return lines(*({"code": each} for each in codes))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parts.ndjson"


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


async def imported(
    target: Unattended[Part], file: Path, content: bytes | None = None, **options: Any
) -> Progress:
    """Import *file*, written anew if there is *content*, and return how far that got."""
    if content is not None:
        write(file, content)
    return [each async for each in import_rows(target, source(file), **options)][-1]


async def codes(target: Unattended[Part]) -> list[str]:
    async with target.database.session(readonly=True) as session:
        return [*await session.scalars(select(Part.code).order_by(Part.id))]


def report(file: Path) -> list[dict[str, Any]]:
    path = file.with_name(f"{file.name}.refused.ndjson")
    return [json.loads(each) for each in path.read_text().splitlines()] if path.exists() else []


def blamed(file: Path) -> list[tuple[int, str, str]]:
    return [
        (each["line"], fault["pointer"], fault["code"])
        for each in report(file)
        for fault in each["errors"]
    ]


async def test_rows_come_in_as_those_of_a_post_would(parts: Unattended[Part], file: Path) -> None:
    row = {"code": "a", "number": 3, "meta": {"x": [1]}, "made_at": "2026-01-31T12:00:00+01:00"}
    at = await imported(parts, file, lines(row, {"code": "b"}))

    assert (at.accepted, at.refused, at.place.lines) == (2, 0, 2)
    async with parts.database.session(readonly=True) as session:
        first, second = await session.scalars(select(Part).order_by(Part.id))
    assert (first.code, first.number, first.meta) == ("A", 3, {"x": [1]})
    assert first.made_at == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert (second.code, second.number, second.kind) == ("B", 0, "bolt")
    assert report(file) == []


async def test_a_table_comes_in_as_text_that_is_read_by_type(
    parts: Unattended[Part], tmp_path: Path
) -> None:
    file = tmp_path / "parts.csv"
    table = 'code,number,spare,meta,weight\na,3,true,"{""x"": 1}",\nb,,,,2.5\nc,x,,{,\n'
    at = await imported(parts, file, table.encode())

    assert (at.accepted, at.refused) == (2, 1)
    async with parts.database.session(readonly=True) as session:
        first, second = await session.scalars(select(Part).order_by(Part.id))
    assert (first.number, first.spare, first.meta, first.weight) == (3, True, {"x": 1}, None)
    assert (second.number, second.spare, second.meta, second.weight) == (0, False, None, 2.5)
    assert blamed(file) == [(4, "#/number", "int_parsing"), (4, "#/meta", "malformed")]


async def test_a_chunk_is_one_transaction_with_one_insert(service_url: str, file: Path) -> None:
    write(file, lines(*({"name": "Ada", "email": f"{each}@a.example"} for each in range(25))))
    app = create_app(Settings(database_url=service_url))
    async with running(app) as database:
        authors = unattended(app, database, "authors")
        with statements() as sent:
            await imported(authors, file, chunk=10)

    verbs = [each.split("(")[0].split(" SET ")[0].strip() for each in sent]
    chunk = ["UPDATE import_positions", "INSERT INTO authors"]
    assert verbs[-6:] == chunk * 3


REFUSED: dict[str, tuple[Line, list[tuple[str, str]]]] = {
    "no JSON": ("{", [("#", "malformed")]),
    "no UTF-8": (b'{"code":"\xff"}', [("#", "malformed")]),
    "a key twice": ('{"code":"x","code":"x"}', [("#", "malformed")]),
    "too deep": ("[" * 65 + "]" * 65, [("#", "too_deep")]),
    "too long": ({"code": "x", "meta": {"x": "x" * 2_000}}, [("#", "content_too_large")]),
    "null": ("null", [("#", "object_type")]),
    "an array": ("[1]", [("#", "object_type")]),
    "no field": ({}, [("#/code", "missing")]),
    "fields that are wrong": (
        {"code": "", "number": "1", "kind": None},
        [
            ("#/code", "string_too_short"),
            ("#/number", "int_type"),
            ("#/kind", "not_nullable"),
        ],
    ),
    "a field that is not known": ({"code": "x", "colour": 1}, [("#/colour", "unknown_field")]),
    "a field that is only read": ({"code": "x", "id": 1}, [("#/id", "read_only")]),
    "a value beyond the column": (
        {"code": "x", "number": 2**31},
        [("#/number", "less_than_equal")],
    ),
    "a value that is taken": ({"code": "A1"}, [("#/code", "not_unique")]),
    "a value that the step makes a taken one": ({"code": "a1"}, [("#/code", "not_unique")]),
    "a check": ({"code": "x", "number": -1}, [("#/number", "check_failed")]),
    "a reference": ({"code": "x", "shelf_code": "no"}, [("#/shelf_code", "reference_not_found")]),
    "the step": ({"code": "secret"}, [("#", "conflict")]),
}


@pytest.mark.parametrize(("row", "faults"), REFUSED.values(), ids=REFUSED)
async def test_a_row_that_is_refused_is_told_and_alone(
    parts: Unattended[Part], file: Path, row: Line, faults: Sequence[tuple[str, str]]
) -> None:
    await imported(parts, file, coded("A1"))
    good = [{"code": f"n{each}"} for each in range(7)]
    rows = lines(row, *good[:3], row, *good[3:], row)
    progress = await imported(parts, file, rows, restart=True)

    assert (progress.accepted, progress.refused, progress.place.lines) == (7, 3, 10)
    assert await codes(parts) == ["A1", *(f"N{each}" for each in range(7))]
    if faults[0][1] == "check_failed" and not blamed(file)[0][1].startswith("#/"):
        faults = [("#", "invalid")]  # where the constraint names no column
    assert blamed(file) == [(line, *fault) for line in (1, 5, 10) for fault in faults]


async def test_a_key_that_no_path_could_name_is_refused(
    parts: Unattended[Part], file: Path
) -> None:
    shelves = unattended(depot.create_app("sqlite:///x"), parts.database, "shelves")
    at = await imported(shelves, file, coded("a", "batch", "b", "b/c"))

    assert (at.accepted, at.refused) == (2, 2)
    assert blamed(file) == [(2, "#/code", "no_path"), (4, "#/code", "no_path")]


async def test_a_chunk_ends_early_where_rows_are_large(
    parts: Unattended[Part], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "LARGE", 30)
    rows = lines({"code": "a"}, {"code": "b" * 20}, {"code": "c"}, {"code": "d"}, {"code": "e"})
    write(file, rows)
    steps = [each.place.lines async for each in import_rows(parts, source(file))]

    assert steps == [0, 2, 5]


async def test_the_report_repeats_the_row(parts: Unattended[Part], file: Path) -> None:
    await imported(parts, file, b'{"code": "a"}\n\n{"code": 5}\r\n{"code": "\xff"}\n{,}')

    assert [each["line"] for each in report(file)] == [3, 4, 5]
    assert [each["text"] for each in report(file)] == ['{"code": 5}', '{"code": "�"}', "{,}"]
    assert report(file)[2]["errors"] == [
        {
            "pointer": "#",
            "code": "malformed",
            "detail": "The row is not JSON: the error is at column 2.",
        }
    ]


async def test_of_rows_that_take_the_same_value_the_first_gets_in(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("a", "b", "A", "c", "B", "a"))

    assert await codes(parts) == ["A", "B", "C"]
    assert blamed(file) == [(each, "#/code", "not_unique") for each in (3, 5, 6)]


@pytest.mark.parametrize("chunk", [1, 3, 500])
async def test_rows_that_are_all_refused_leave_nothing(
    parts: Unattended[Part], file: Path, chunk: int
) -> None:
    rows = lines({"code": "secret"}, "{", {"code": "x", "number": -1}, "", {"code": "secret"})
    at = await imported(parts, file, rows, chunk=chunk)

    assert (at.accepted, at.refused, at.place.size) == (0, 4, len(rows))
    assert [line for line, _, _ in blamed(file)] == [1, 2, 3, 5]
    assert await codes(parts) == []


async def test_an_empty_file_is_all_in(parts: Unattended[Part], file: Path) -> None:
    assert await imported(parts, file, b"") == Progress()


async def test_a_file_that_is_in_is_not_imported_again(parts: Unattended[Part], file: Path) -> None:
    content = coded("a", "secret", "b")
    first = await imported(parts, file, content)
    again = await imported(parts, file)

    assert again == first
    assert await codes(parts) == ["A", "B"]
    assert blamed(file) == [(2, "#", "conflict")]


async def test_what_is_added_to_a_file_is_imported_alone(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("a", "secret"))
    at = await imported(parts, file, coded("a", "secret", "b", "secret"))

    assert (at.accepted, at.refused, at.place.lines) == (2, 2, 4)
    assert await codes(parts) == ["A", "B"]
    assert [line for line, _, _ in blamed(file)] == [2, 4]


async def test_a_file_that_changed_where_it_was_read_is_refused(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("a", "secret"))

    with pytest.raises(Misuse, match=r"has changed .* --restart"):
        await imported(parts, file, coded("b", "secret"))
    assert await codes(parts) == ["A"]

    at = await imported(parts, file, restart=True)
    assert (at.accepted, at.refused) == (1, 1)
    assert await codes(parts) == ["A", "B"]
    assert blamed(file) == [(2, "#", "conflict")]


async def test_beginning_anew_takes_the_old_report_away(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("secret"))
    await imported(parts, file, coded("a"), restart=True)

    assert not file.with_name(f"{file.name}.refused.ndjson").exists()


async def test_an_import_is_known_by_its_file_and_its_resource(
    parts: Unattended[Part], file: Path, tmp_path: Path
) -> None:
    await imported(parts, file, coded("a"))
    await imported(parts, tmp_path / "other.ndjson", coded("b"))
    shelves = unattended(depot.create_app("sqlite:///x"), parts.database, "shelves")
    await imported(shelves, file)

    assert await codes(parts) == ["A", "B"]
    async with parts.database.session(readonly=True) as session:
        assert await session.get(Shelf, "a")
        known = {
            (each.file, each.resource) for each in await session.scalars(select(ImportPosition))
        }
    other = str(tmp_path / "other.ndjson")
    assert known == {(str(file), "/parts"), (other, "/parts"), (str(file), "/shelves")}


async def test_an_import_that_the_database_left_goes_on_where_it_was(
    parts: Unattended[Part], file: Path
) -> None:
    before = coded("a", "secret", "b", "c")
    with pytest.raises(Unavailable):
        await imported(parts, file, before + coded("d", "secret", "away", "e"), chunk=4)
    assert await codes(parts) == ["A", "B", "C", "D"]

    write(file, before + coded("d", "secret", "f", "e"))
    at = await imported(parts, file, chunk=4)
    assert (at.accepted, at.refused) == (6, 2)
    assert await codes(parts) == ["A", "B", "C", "D", "F", "E"]
    assert [line for line, _, _ in blamed(file)] == [2, 6]


async def test_what_a_run_told_and_did_not_commit_is_told_once(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("secret", "a"), chunk=1)
    whole = file.with_name(f"{file.name}.refused.ndjson")
    with whole.open("a") as torn:
        torn.write('{"line":')

    await imported(parts, file, coded("secret", "a", "secret"))
    assert [line for line, _, _ in blamed(file)] == [1, 3]


async def test_a_report_that_was_taken_away_is_begun_anew(
    parts: Unattended[Part], file: Path
) -> None:
    await imported(parts, file, coded("secret"))
    file.with_name(f"{file.name}.refused.ndjson").unlink()

    await imported(parts, file, coded("secret", "secret"))
    assert [line for line, _, _ in blamed(file)] == [2]


async def test_of_two_runs_at_once_one_imports_each_row(
    parts: Unattended[Part], file: Path
) -> None:
    write(file, coded(*("secret" if each % 3 else str(each) for each in range(30))))
    ends = await asyncio.gather(
        *(imported(parts, file, chunk=1) for _ in range(2)), return_exceptions=True
    )
    await imported(parts, file)

    assert any(isinstance(each, Misuse) and "Another run" in str(each) for each in ends)
    assert await codes(parts) == [*map(str, range(0, 30, 3))]
    assert [line for line, _, _ in blamed(file)] == [each + 1 for each in range(30) if each % 3]


async def test_two_runs_that_begin_at_once_agree_on_one_position(
    parts: Unattended[Part], tmp_path: Path
) -> None:
    for number in range(10):
        file = tmp_path / f"{number}.ndjson"
        write(file, b"")
        await asyncio.gather(*(imported(parts, file) for _ in range(3)))

    async with parts.database.session(readonly=True) as session:
        assert len([*await session.scalars(select(ImportPosition))]) == 10
