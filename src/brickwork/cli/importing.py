"""Imports: rows from a file, through the schema and the steps of their resource.

How far an import is stands in the database, in the transaction that brought it there: one that was
killed and is started again loses no row and repeats none.
"""

import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy import CursorResult, delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from brickwork.cli.csv_rows import csv_row_reader
from brickwork.cli.errors import UsageError
from brickwork.cli.files import FilePosition, FileRow, RowFile
from brickwork.cli.runner import JobRunner, bisect_failures, require_table
from brickwork.http.validation_errors import error_details
from brickwork.models.companions import ImportPosition
from brickwork.problems import ErrorDetail, Problem, UnprocessableContent, pointer
from brickwork.resource.defaults import new_row
from brickwork.resource.resource import Resource
from brickwork.schemas.names import output_names
from brickwork.schemas.schema import Schema

M = TypeVar("M", bound=DeclarativeBase)

CHUNK_SIZE: Final = 500
"""How many rows a transaction has."""

MAX_CHUNK_BYTES: Final = 8_388_608
"""After how many bytes of a file a transaction ends that has fewer rows."""


@dataclass(frozen=True)
class ImportProgress:
    """How far an import is: what was read, what became of its rows, and the bytes of the report."""

    place: FilePosition = field(default_factory=FilePosition)
    accepted: int = 0
    refused: int = 0
    report: int = 0

    def columns(self) -> dict[str, Any]:
        """Return what an `ImportPosition` has of it."""
        own = {"accepted": self.accepted, "refused": self.refused, "report": self.report}
        return asdict(self.place) | own


async def import_rows(
    target: JobRunner[M], source: RowFile, *, chunk: int = CHUNK_SIZE, restart: bool = False
) -> AsyncGenerator[ImportProgress]:
    """Store the rows of *source*, and yield how far that is: at first, and after each *chunk*.

    It goes on where an earlier run ended, or begins anew to *restart*. Rows that are refused are
    told in the report. Raises `UsageError` for a file that has changed where it was read, and
    `Unavailable` if the database is away: the next run goes on from there.
    """
    judge = _row_validator(target, source)
    work = await _begin(target, source, restart=restart)
    with closing(source.records(work.progress.place)) as records:
        chunks = _chunks(map(judge, records), chunk)
        items = next(chunks, None)  # raises for a file that has changed
        yield work.progress
        while items:
            await work.import_chunk(items)
            yield work.progress
            items = next(chunks, None)


def report_path(source: RowFile) -> Path:
    """Return the file that tells which rows of *source* were refused, and why."""
    return source.path.with_name(f"{source.path.name}.refused.ndjson")


@dataclass(frozen=True)
class _ImportItem:
    """A row of the file: what the schema made of it, or what the report tells of it."""

    record: FileRow
    data: Schema | None = None
    report_line: bytes = b""

    def refused(self, problem: Problem) -> "_ImportItem":
        """Return the row as it is told; the problem, and all that led to it, is let go."""
        whole = ErrorDetail(
            code=problem.code, detail=_as_row_message(problem.detail), pointer=pointer()
        )
        document = {
            "line": self.record.line,
            "errors": [each.document() for each in problem.errors or (whole,)],
            "text": self.record.text.decode(errors="replace").rstrip("\r\n"),
        }
        return _ImportItem(self.record, report_line=to_json(document) + b"\n")


def _chunks(items: Iterable[_ImportItem], most: int) -> Iterator[Sequence[_ImportItem]]:
    """Yield *items*, so many at once or, where they are large, fewer."""
    chunk: list[_ImportItem] = []
    size = 0
    for each in items:
        chunk.append(each)
        size += len(each.record.text)
        if len(chunk) == most or size >= MAX_CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _as_row_message(detail: str) -> str:
    """Return *detail*, of what a request brought, as it is of one line of a file."""
    return detail.replace("The body", "The row").replace("line 1, ", "")


def _row_validator(target: JobRunner[Any], source: RowFile) -> Callable[[FileRow], _ImportItem]:
    """Return what has rows of *source* checked, as those of a POST are."""
    create = target.shape.create
    validate: Callable[[Any], Schema] = create.model_validate
    if source.columns is not None:
        validate = csv_row_reader(create, source.columns).read

    def judge(record: FileRow) -> _ImportItem:
        document: Any = record.document
        if isinstance(document, Problem):
            return _ImportItem(record).refused(document)
        try:
            return _ImportItem(record, validate(document))
        except ValidationError as error:
            shown = output_names(target.shape.read).values()
            faults = error_details(error, document, shown)
            return _ImportItem(record).refused(
                UnprocessableContent("The row cannot be accepted.", errors=faults)
            )

    return judge


async def _begin(target: JobRunner[M], source: RowFile, *, restart: bool) -> "_Import[M]":
    await require_table(target.database, ImportPosition)
    file = os.fsencode(source.path.resolve()).decode(errors="backslashreplace")
    name = hashlib.sha256(f"{file}\0{target.path}".encode()).hexdigest()
    report = report_path(source)

    async def begin(rows: Resource[M]) -> ImportProgress:
        session = rows.session
        if restart:
            await session.execute(delete(ImportPosition).where(ImportPosition.id == name))
        # Locked, so that a run under way does not write the report meanwhile.
        if known := await session.get(ImportPosition, name, with_for_update=True):
            place = FilePosition(known.lines, known.size, known.digest)
            return ImportProgress(
                place, known.accepted, known.refused, _truncate_report(report, known.report)
            )
        session.info["written"].retry_on_duplicate.add(
            ImportPosition.__tablename__
        )  # or another run is
        new = ImportProgress(report=_truncate_report(report, 0))
        session.add(ImportPosition(id=name, file=file, resource=target.path, **new.columns()))
        return new

    return _Import(target, name, report, await target.run(begin))


class _Import(Generic[M]):
    """An import under way."""

    def __init__(
        self, target: JobRunner[M], name: str, report: Path, progress: ImportProgress
    ) -> None:
        self.progress = progress
        self._target = target
        self._name = name
        self._report = report
        self._refused: list[_ImportItem] = []  # and yet to be told

    async def import_chunk(self, items: Sequence[_ImportItem]) -> None:
        """Store *items*, and tell those that cannot be."""
        await bisect_failures(items, self._store, self._refuse)
        if self._refused:
            await self._commit([])

    async def _store(self, items: Sequence[_ImportItem]) -> None:
        if any(each.data is not None for each in items):
            await self._commit(items)
        else:
            self._refused += items

    def _refuse(self, item: _ImportItem, problem: Problem) -> None:
        self._refused.append(item.refused(problem))

    async def _commit(self, items: Sequence[_ImportItem]) -> None:
        """Write rows, and the place behind them, in one transaction; the report before it ends."""
        done = [*self._refused, *items]
        rows = [each.data for each in done if each.data is not None]
        told = [item.report_line for item in done if item.report_line]
        after = ImportProgress(
            done[-1].record.end,
            self.progress.accepted + len(rows),
            self.progress.refused + len(told),
            self.progress.report + sum(map(len, told)),
        )

        async def write(resource: Resource[M]) -> None:
            await self._advance(resource.session, after)
            shape = self._target.shape
            for each in rows:
                await resource.create(row := new_row(shape.model, each, shape.create.model_fields))
                shape.require_path(row)
            await resource.session.flush()
            if told:
                _append_to_report(self._report, self.progress.report, told)

        await self._target.run(write)
        self.progress = after
        self._refused.clear()

    async def _advance(self, session: AsyncSession, after: ImportProgress) -> None:
        """Move to the place *after*; it is locked until the transaction ends."""
        here = ImportPosition.size == self.progress.place.size
        statement = update(ImportPosition).where(ImportPosition.id == self._name, here)
        moved = await session.execute(statement.values(after.columns()))
        if not cast("CursorResult[Any]", moved).rowcount:
            raise UsageError("Another run imports this file: wait for its end, or end it.")


def _truncate_report(report: Path, size: int) -> int:
    """Take from *report* what a run wrote behind *size* and did not commit; return its size."""
    if not (size and report.exists()):
        report.unlink(missing_ok=True)
        return 0
    kept = min(size, report.stat().st_size)
    os.truncate(report, kept)
    return kept


def _append_to_report(report: Path, size: int, told: Sequence[bytes]) -> None:
    """Write what is *told* behind the first *size* bytes of *report*, down to the disk."""
    with report.open("ab") as file:
        file.truncate(size)
        file.writelines(told)
        file.flush()
        os.fsync(file.fileno())
