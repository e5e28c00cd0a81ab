"""Files of rows, read one row at a time, each with the place in the file where it ends."""

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
_READ_SIZE: Final = 1_048_576  # bytes that are read at once where rows do not matter
_TOKENS: Final = re.compile(rb'"|[,\r\n]|[^",\r\n]+')
_BLANK: Final = object()
"""What an empty line stands for."""

_ReadNext = Callable[[], object]
"""Returns what the next row is; raises `StopIteration` at the end of the file."""


@dataclass(frozen=True)
class FilePosition:
    """How far a file was read: in lines, in bytes, and the SHA-256 of those bytes."""

    lines: int = 0
    size: int = 0
    digest: str = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class FileRow:
    """What a file has at one place: a document, or the problem with it."""

    line: int
    """The number of the line where it begins, the first of the file being 1."""
    text: bytes
    document: object
    end: FilePosition


@dataclass(frozen=True)
class RowFile:
    """A file of rows: JSON, one row a line, or a table with these *columns*."""

    path: Path
    columns: Sequence[str] | None = None

    def records(self, after: FilePosition) -> Generator[FileRow]:
        """Yield what is behind *after*; raises `UsageError` if what is before it has changed."""
        with _open_lines(self.path, quoted=self.columns is not None) as lines:
            lines.skip_to(after)
            yield from _read_records(
                lines, _json_reader(lines) if self.columns is None else self._rows(lines)
            )

    def _rows(self, lines: "_LineReader") -> _ReadNext:
        read = _csv_reader(lines)
        if not lines.place().size:
            read()  # the header
        columns = self.columns or ()

        def row() -> object:
            if not (cells := read()):
                return _BLANK
            if len(cells) == len(columns):
                return dict(zip(columns, cells, strict=True))
            raise BadRequest(f"The row has {len(cells)} cells, and the header {len(columns)}.")

        return row


def open_row_file(path: Path) -> RowFile:
    """Return the file at *path*, which its suffix tells the format of; raises `UsageError`."""
    match path.suffix.lower():
        case ".ndjson" | ".jsonl":
            return RowFile(path)
        case ".csv":
            return RowFile(path, _read_header(path))
        case _:
            raise UsageError(f"{path.name} is of no known format: name it .ndjson or .csv.")


def _read_header(path: Path) -> Sequence[str]:
    with _open_lines(path, quoted=True) as lines:
        try:
            names = _csv_reader(lines)()
        except (StopIteration, Problem):
            names = []
    if not names or len({*names}) < len(names):
        text = "the names of its columns, each once, in UTF-8 and separated by commas"
        raise UsageError(f"{path.name} begins with no header: its first line must have {text}.")
    return names


class _LineReader:
    """The lines of a file, and how far it was read."""

    def __init__(self, file: BinaryIO, limit: int, *, quoted: bool) -> None:
        self.record = bytearray()
        self._file = file
        self._limit = limit
        self._quoted = quoted
        self._digest = hashlib.sha256()
        self._count = self._size = 0

    def skip_to(self, place: FilePosition) -> None:
        """Read up to *place*, where it was read before."""
        left, piece = place.size, b"\n"
        while left and (piece := self._file.read(min(left, _READ_SIZE))):
            self._note(piece)
            left -= len(piece)
        self._count = place.lines
        if self.place() != place:
            raise UsageError(
                f"{self._file.name} has changed in the part that was imported before. Give what is "
                "new a file of its own; --restart imports all of this one, from its begin."
            )
        if not piece.endswith(b"\n"):
            self._count -= 1  # what was added goes on in that line

    def place(self) -> FilePosition:
        """Return how far the file was read."""
        return FilePosition(self._count, self._size, self._digest.hexdigest())

    def __iter__(self) -> "_LineReader":
        return self

    def __next__(self) -> bytes:
        """Return another line of the record; raises `ContentTooLarge` where that is too long."""
        if not (line := self._file.readline(self._limit + 1)):
            raise StopIteration
        self._count += 1
        self._note(line)
        self.record += line
        if len(self.record) > self._limit:
            self._skip(line)
            raise ContentTooLarge(f"A row may have {self._limit} bytes.")
        return line.removeprefix(_BOM) if self._size == len(line) else line

    def _skip(self, line: bytes) -> None:
        """Read to the end of the record, of which *line* was read last."""
        cell = _CellState()
        cell.add(bytes(self.record) if self._quoted else b"")
        while cell.is_open or not line.endswith(b"\n"):
            begins = line.endswith(b"\n")
            if not (line := self._file.readline(_READ_SIZE)):
                break
            self._count += begins
            self._note(line)
            cell.add(line if self._quoted else b"")
        if cell.is_open:
            raise BadRequest("The row is not CSV: a quoted cell has no end.")

    def _note(self, piece: bytes) -> None:
        self._size += len(piece)
        self._digest.update(piece)


class _CellState:
    """How far a row of a table was read: whether that is within a quoted cell (RFC 4180)."""

    def __init__(self) -> None:
        self._state: Literal["begin", "plain", "quoted", "closed"] = "begin"

    @property
    def is_open(self) -> bool:
        """Whether a line break is a part of the cell, and no end of the row."""
        return self._state == "quoted"

    def add(self, text: bytes) -> None:
        """Read on in *text*."""
        for token in _TOKENS.finditer(text):
            match token[0], self._state:
                case b'"', "begin" | "closed":  # two of them are one in the text
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
    limit = current_limits.get().body  # a row is what a body would have brought
    csv.field_size_limit(limit)
    with path.open("rb") as file:
        yield _LineReader(file, limit, quoted=quoted)


def _read_records(lines: _LineReader, read: _ReadNext) -> Generator[FileRow]:
    while True:
        lines.record.clear()
        line = lines.place().lines + 1
        try:
            document = read()
        except StopIteration:
            return
        except Problem as problem:
            document = problem
        if document is not _BLANK:
            yield FileRow(line, bytes(lines.record), document, lines.place())


def _json_reader(lines: _LineReader) -> _ReadNext:
    def read() -> object:
        line = next(lines)
        return parse_json(line) if line.strip() else _BLANK

    return read


def _csv_reader(lines: _LineReader) -> Callable[[], list[str]]:
    # A generator would end with the first line that is too long; `map` goes on.
    rows = csv.reader(map(_decode_line, lines), strict=True)

    def read() -> list[str]:
        try:
            cells = next(rows)
        except csv.Error as error:
            raise BadRequest(f"The row is not CSV: {error}.") from None
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            raise BadRequest("The row is not UTF-8.") from None
        return cells

    return read


def _decode_line(line: bytes) -> str:
    return line.decode(errors="surrogateescape")
