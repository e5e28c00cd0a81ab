"""Row-by-row reading of NDJSON and CSV files."""

import csv
import hashlib
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from brickwork.cli.errors import UsageError
from brickwork.limits import current_limits
from brickwork.problems import BadRequest, ContentTooLarge, Problem
from brickwork.schemas.strict_json import parse_json

_BOM: Final = b"\xef\xbb\xbf"
_READ_SIZE: Final = 1_048_576  # bytes of a read that skips rows
_TOKENS: Final = re.compile(rb'"|[,\r\n]|[^",\r\n]+')
_BLANK: Final = object()
"""The document of an empty line."""

_ReadNext = Callable[[], object]
"""Returns the next row. Raises `StopIteration` at the end of the file."""


@dataclass(frozen=True)
class FilePosition:
    """A position in a file: lines, bytes, and the SHA-256 of the bytes before it."""

    lines: int = 0
    size: int = 0
    digest: str = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class FileRow:
    """A row of a file."""

    line: int
    """The number of its first line. The file's first line is 1."""
    text: bytes
    document: object
    """The parsed row, or a `Problem`."""
    end: FilePosition


@dataclass(frozen=True)
class RowFile:
    """A file of rows: NDJSON, or CSV with these *columns*."""

    path: Path
    columns: Sequence[str] | None = None

    def records(self, after: FilePosition) -> Generator[FileRow]:
        """Yield the rows after a position. Raises `UsageError` if earlier bytes have changed."""
        with _open_lines(self.path, quoted=self.columns is not None) as lines:
            lines.skip_to(after)
            yield from _read_records(
                lines, _json_reader(lines) if self.columns is None else self._rows(lines)
            )

    def _rows(self, lines: "_LineReader") -> _ReadNext:
        read = _csv_reader(lines)
        if not lines.position().size:
            read()  # the header
        columns = self.columns or ()

        def row() -> object:
            if not (cells := read()):
                return _BLANK
            if len(cells) == len(columns):
                return dict(zip(columns, cells, strict=True))
            raise BadRequest(f"The row has {len(cells)} cells, but the header {len(columns)}.")

        return row


def open_row_file(path: Path) -> RowFile:
    """Return the file at *path*. Raises `UsageError` for an unknown suffix or a bad CSV header."""
    match path.suffix.lower():
        case ".ndjson" | ".jsonl":
            return RowFile(path)
        case ".csv":
            return RowFile(path, _read_header(path))
        case _:
            raise UsageError(f"{path.name} has an unknown format: name it .ndjson or .csv.")


def _read_header(path: Path) -> Sequence[str]:
    with _open_lines(path, quoted=True) as lines:
        try:
            names = _csv_reader(lines)()
        except (StopIteration, Problem):
            names = []
    if not names or len({*names}) < len(names):
        text = "unique column names in UTF-8, separated by commas"
        raise UsageError(f"{path.name} has no header: its first line must have {text}.")
    return names


class _LineReader:
    """Reads the lines of a file, and tracks the position."""

    def __init__(self, file: BinaryIO, limit: int, *, quoted: bool) -> None:
        self.record = bytearray()
        self._file = file
        self._limit = limit
        self._quoted = quoted
        self._digest = hashlib.sha256()
        self._count = self._size = 0

    def skip_to(self, position: FilePosition) -> None:
        """Read up to *position*. Raises `UsageError` if the bytes before it have changed."""
        remaining, piece = position.size, b"\n"
        while remaining and (piece := self._file.read(min(remaining, _READ_SIZE))):
            self._advance(piece)
            remaining -= len(piece)
        self._count = position.lines
        if self.position() != position:
            raise UsageError(
                f"The imported part of {self._file.name} has changed. Put new rows in a new file, "
                "or pass --restart to import the file from the beginning."
            )
        if not piece.endswith(b"\n"):
            self._count -= 1  # appended bytes continue that line

    def position(self) -> FilePosition:
        """Return the current position."""
        return FilePosition(self._count, self._size, self._digest.hexdigest())

    def __iter__(self) -> "_LineReader":
        return self

    def __next__(self) -> bytes:
        """Return the next line. Raises `ContentTooLarge` if the row gets too long."""
        if not (line := self._file.readline(self._limit + 1)):
            raise StopIteration
        self._count += 1
        self._advance(line)
        self.record += line
        if len(self.record) > self._limit:
            self._skip(line)
            raise ContentTooLarge(f"A row may have {self._limit} bytes at most.")
        return line.removeprefix(_BOM) if self._size == len(line) else line

    def _skip(self, line: bytes) -> None:
        """Read to the end of a row. *line* is the last line read."""
        cell = _CellState()
        cell.add(bytes(self.record) if self._quoted else b"")
        while cell.is_open or not line.endswith(b"\n"):
            begins = line.endswith(b"\n")
            if not (line := self._file.readline(_READ_SIZE)):
                break
            self._count += begins
            self._advance(line)
            cell.add(line if self._quoted else b"")
        if cell.is_open:
            raise BadRequest("The row is not CSV: a quoted cell has no end.")

    def _advance(self, piece: bytes) -> None:
        self._size += len(piece)
        self._digest.update(piece)


class _CellState:
    """A parser state: whether the position is within a quoted CSV cell (RFC 4180)."""

    def __init__(self) -> None:
        self._state: Literal["begin", "plain", "quoted", "closed"] = "begin"

    @property
    def is_open(self) -> bool:
        """Return whether a line break belongs to the cell. False if it ends the row."""
        return self._state == "quoted"

    def add(self, text: bytes) -> None:
        """Parse the next piece of *text*."""
        for token in _TOKENS.finditer(text):
            match token[0], self._state:
                case b'"', "begin" | "closed":  # a doubled quote is one quote in the cell
                    self._state = "quoted"
                case b'"', "quoted":
                    self._state = "closed"
                case (b'"', _) | (_, "quoted"):
                    pass
                case b"," | b"\r" | b"\n", _:
                    self._state = "begin"
                case _:
                    self._state = "plain"


@contextmanager
def _open_lines(path: Path, *, quoted: bool) -> Generator[_LineReader]:
    limit = current_limits.get().body  # a row has the limit of a request body
    csv.field_size_limit(limit)
    with path.open("rb") as file:
        yield _LineReader(file, limit, quoted=quoted)


def _read_records(lines: _LineReader, read: _ReadNext) -> Generator[FileRow]:
    while True:
        lines.record.clear()
        line = lines.position().lines + 1
        try:
            document = read()
        except StopIteration:
            return
        except Problem as problem:
            document = problem
        if document is not _BLANK:
            yield FileRow(line, bytes(lines.record), document, lines.position())


def _json_reader(lines: _LineReader) -> _ReadNext:
    def read_document() -> object:
        line = next(lines)
        return parse_json(line) if line.strip() else _BLANK

    return read_document


def _csv_reader(lines: _LineReader) -> Callable[[], list[str]]:
    # A generator would end with the first line that is too long. `map` continues.
    rows = csv.reader(map(_decode_line, lines), strict=True)

    def read_cells() -> list[str]:
        try:
            cells = next(rows)
        except csv.Error as error:
            raise BadRequest(f"The row is not CSV: {error}.") from None
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            raise BadRequest("The row is not UTF-8.") from None
        return cells

    return read_cells


def _decode_line(line: bytes) -> str:
    return line.decode(errors="surrogateescape")
