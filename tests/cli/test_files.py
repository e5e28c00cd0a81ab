"""The reading of files of rows."""

import json
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from brickwork import Limits
from brickwork.cli.errors import UsageError
from brickwork.cli.files import FilePosition, FileRow, open_row_file
from brickwork.limits import current_limits
from brickwork.problems import Problem


@pytest.fixture(autouse=True)
def small_rows() -> Generator[None]:
    """Limit rows to a hundred bytes."""
    before = current_limits.set(Limits(body=100))
    yield
    current_limits.reset(before)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path: Path, after: FilePosition | None = None) -> list[FileRow]:
    return [*open_row_file(path).records(after or FilePosition())]


def summary(records: Sequence[FileRow]) -> list[tuple[int, object]]:
    """Return the line and the document of each row, or the text of its problem."""
    return [
        (
            record.line,
            str(record.document) if isinstance(record.document, Problem) else record.document,
        )
        for record in records
    ]


LONG = "x" * 120

Cases = dict[str, tuple[str | bytes, list[tuple[int, object]]]]

NDJSON: Cases = {
    "nothing": ("", []),
    "one row": ('{"a":1}\n', [(1, {"a": 1})]),
    "no newline at the end": ('1\n"two"', [(1, 1), (2, "two")]),
    "null is a row": ("null\n", [(1, None)]),
    "empty lines": ('\n{"a":1}\n  \n\r\n2\n\n', [(2, {"a": 1}), (5, 2)]),
    "windows": ('{"a":1}\r\n2\r\n', [(1, {"a": 1}), (2, 2)]),
    "a byte order mark": (b"\xef\xbb\xbf1\n2\n", [(1, 1), (2, 2)]),
    "no JSON": ("1\n{\n3\n", [(1, 1), (2, "The body is not JSON"), (3, 3)]),
    "no UTF-8": (b'1\n"\xff"\n3\n', [(1, 1), (2, "The body is not UTF-8."), (3, 3)]),
    "a key twice": ('{"a":1,"a":1}\n', [(1, "The body is ambiguous")]),
    "too deep": ("[" * 45 + "[" * 45 + "]" * 5 + "\n1\n", [(1, "The body is not JSON"), (2, 1)]),
    "too long": (f'1\n"{LONG}"\n3\n', [(1, 1), (2, "A row may have 100 bytes at most."), (3, 3)]),
    "too long at the end": (f'1\n"{LONG}"', [(1, 1), (2, "A row may have 100 bytes at most.")]),
    "much too long": (
        f'"{LONG * 30_000}"\n3\n',
        [(1, "A row may have 100 bytes at most."), (2, 3)],
    ),
}

CSV: Cases = {
    "a header alone": ("a,b", []),
    "one row": ("a,b\n1,x\n", [(2, {"a": "1", "b": "x"})]),
    "empty cells": ('a,b\n,""\n', [(2, {"a": "", "b": ""})]),
    "empty lines": ("a,b\n\n1,2\n\n", [(3, {"a": "1", "b": "2"})]),
    "windows": ("a,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
    "a byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
    "quotes": ('a,b\n"x, ""y""",2\n', [(2, {"a": 'x, "y"', "b": "2"})]),
    "cells of several lines": (
        'a,b\n"1\n2\n",3\n4,5\n',
        [(2, {"a": "1\n2\n", "b": "3"}), (5, {"a": "4", "b": "5"})],
    ),
    "too few cells": (
        "a,b\n1\n2,3\n",
        [(2, "The row has 1 cells, but the header 2."), (3, {"a": "2", "b": "3"})],
    ),
    "too many cells": ("a,b\n1,2,3\n", [(2, "The row has 3 cells, but the header 2.")]),
    "no UTF-8": (
        b"a,b\n\xff,2\n3,4\n",
        [(2, "The row is not UTF-8."), (3, {"a": "3", "b": "4"})],
    ),
    "text behind a quote": (
        'a,b\n"1"x,2\n3,4\n',
        [(2, "The row is not CSV"), (3, {"a": "3", "b": "4"})],
    ),
    "a quote that nothing closes": ('a,b\n1,2\n"3,4\n5,6\n', [(2, ...), (3, "The row is not CSV")]),
    "too long": (
        f"a,b\n{LONG},2\n3,4\n",
        [(2, "A row may have 100 bytes at most."), (3, {"a": "3", "b": "4"})],
    ),
    "too long, of several lines": (
        'a,b\n1,2\n"' + "3,4\n" * 60 + '",5\n6,7\n',
        [(2, ...), (3, "A row may have 100 bytes at most."), (64, {"a": "6", "b": "7"})],
    ),
    "much too long, of several lines": (
        'a,b\n"' + "3,4\n" * 1_000_000 + '",5\n6,7\n',
        [(2, "A row may have 100 bytes at most."), (1_000_003, {"a": "6", "b": "7"})],
    ),
    "too long, with quotes in quotes": (
        f'a,b\n"{LONG}""\n3,4\n""\n5,6",7\n8,9\n',
        [(2, "A row may have 100 bytes at most."), (6, {"a": "8", "b": "9"})],
    ),
    "too long, with a quote at the end of what is read at once": (
        f'a,b\n"{"x" * 98}""{"y" * 1_048_573}""\n3,4\n",5\n6,7\n',
        [(2, "A row may have 100 bytes at most."), (5, {"a": "6", "b": "7"})],
    ),
    "too long, with the second cell in quotes": (
        f'a,b\n{LONG},"\n3,4\n"\n5,6\n',
        [(2, "A row may have 100 bytes at most."), (5, {"a": "5", "b": "6"})],
    ),
    "too long, with a quote in a plain cell": (
        f'a,b\n{LONG}",3\n4,5\n',
        [(2, "A row may have 100 bytes at most."), (3, {"a": "4", "b": "5"})],
    ),
    "too long, with text behind a quote": (
        f'a,b\n"{LONG}"x",3\n4,5\n',
        [(2, "A row may have 100 bytes at most."), (3, {"a": "4", "b": "5"})],
    ),
    "too long, and a quote that nothing closes": (
        'a,b\n"' + "12345678\n" * 12 + "3,4\n",
        [(2, "The row is not CSV: a quoted cell has no end.")],
    ),
}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        *(pytest.param("a.ndjson", *case, id=f"ndjson: {name}") for name, case in NDJSON.items()),
        *(pytest.param("a.csv", *case, id=f"csv: {name}") for name, case in CSV.items()),
    ],
)
def test_a_row_is_read_or_has_a_problem(
    tmp_path: Path, name: str, text: str | bytes, expected: Sequence[tuple[int, object]]
) -> None:
    found = summary(read(written(tmp_path, name, text)))

    assert [line for line, _ in found] == [line for line, _ in expected]
    for (_, document), (_, wanted) in zip(found, expected, strict=True):
        if wanted is not ...:
            begins = isinstance(wanted, str) and isinstance(document, str)
            assert document == wanted or (begins and str(document).startswith(str(wanted)))


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_reading_can_resume_after_every_row(tmp_path: Path, name: str, ending: str) -> None:
    long = "x" * 120
    lines = ["1", "", long, "3", '"', "4"]
    if name == "a.csv":
        lines = [
            "a",
            "1",
            "",
            '"2',
            '"',
            f'"{long}',
            long,
            '"',
            "3",
            f'"{long}',
            "4",
            f'{long}"',
            "5",
        ]
    path = written(tmp_path, name, ending.join(lines) + ending)
    records = read(path)

    for index, record in enumerate(records, start=1):
        assert summary(read(path, record.end)) == summary(records)[index:]


def test_a_row_keeps_its_original_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'a,b\n"1\n2",3\n\n4,5')

    assert [record.text for record in read(path)] == [b'"1\n2",3\n', b"4,5"]


@pytest.mark.parametrize(
    "text",
    ['{"a":2}\n2\n', '{"a":1}', "", '{"a":1} \n2\n'],
    ids=["other", "cut", "empty", "longer"],
)
def test_a_file_changed_before_its_position_is_rejected(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "a.ndjson", '{"a":1}\n2\n')
    first, _ = read(path)
    written(tmp_path, "a.ndjson", text)

    with pytest.raises(UsageError, match=r"a\.ndjson has changed.* --restart"):
        read(path, first.end)


def test_lines_of_an_unterminated_cell_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'a\n"' + "12345678\n" * 20)
    (refused,) = read(path)
    with path.open("a") as file:
        file.write("b\n")

    assert refused.end.lines == 21
    assert summary(read(path, refused.end)) == [(22, {"a": "b"})]


def test_appended_rows_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.ndjson", "1\n2\n")
    end = read(path)[-1].end
    with path.open("a") as file:
        file.write("3\n")

    assert summary(read(path, end)) == [(3, 3)]
    assert read(path, end)[0].end == read(path)[-1].end


def test_an_extended_last_line_keeps_its_number(tmp_path: Path) -> None:
    path = written(tmp_path, "a.ndjson", "1\n2")
    end = read(path)[-1].end
    with path.open("a") as file:
        file.write("\n3\n")
    assert summary(read(path, end)) == [(3, 3)]

    written(tmp_path, "a.ndjson", "1\n23\n4\n")
    assert summary(read(path, end)) == [(2, 3), (3, 4)]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.txt", "1\n", r"a\.txt has an unknown format: name it \.ndjson or \.csv"),
        ("a", "1\n", "an unknown format"),
        ("a.csv", "", "a.csv has no header"),
        ("a.csv", "\na,b\n", "no header"),
        ("a.csv", "a,a\n", "unique column names"),
        ("a.csv", b"a,\xff\n", "in UTF-8"),
        ("a.csv", f"{LONG}\n", "no header"),
    ],
)
def test_an_unusable_file_is_rejected(
    tmp_path: Path, name: str, text: str | bytes, error: str
) -> None:
    with pytest.raises(UsageError, match=error):
        open_row_file(written(tmp_path, name, text))


@pytest.mark.parametrize("name", ["a.NDJSON", "a.jsonl", "a.b.ndjson"])
def test_the_suffix_selects_the_format(tmp_path: Path, name: str) -> None:
    assert summary(read(written(tmp_path, name, json.dumps({"a": 1})))) == [(1, {"a": 1})]
