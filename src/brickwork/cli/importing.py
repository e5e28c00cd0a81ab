"""Imports of rows from a file.

Rows pass through the schema and the methods of their resource. Each transaction also stores the
position in the file, so an import that was killed continues without losing or repeating a row.
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

from brickwork.cli.csv_rows import csv_row_reader
from brickwork.cli.errors import UsageError
from brickwork.cli.files import FilePosition, FileRow, RowFile
from brickwork.cli.runner import JobRunner, bisect_failures, require_table
from brickwork.database.unit_of_work import unit_of_work
from brickwork.http.validation_errors import error_details
from brickwork.models.companions import ImportPosition
from brickwork.problems import ErrorDetail, Problem, UnprocessableContent, pointer
from brickwork.resource.related import Input, new_rows
from brickwork.resource.resource import Resource
from brickwork.schemas.schema import NoFields, Schema

M = TypeVar("M")

CHUNK_SIZE: Final = 500
"""Default number of rows in a transaction."""

MAX_CHUNK_BYTES: Final = 8_388_608
"""Bytes of the file after which a transaction with fewer rows ends."""


@dataclass(frozen=True)
class ImportProgress:
    """Progress of an import: its position, and the numbers of its rows."""

    position: FilePosition = field(default_factory=FilePosition)
    accepted: int = 0
    rejected: int = 0
    report: int = 0
    """Size of the report in bytes."""

    def columns(self) -> dict[str, Any]:
        """Return the values for an `ImportPosition`."""
        counts = {"accepted": self.accepted, "rejected": self.rejected, "report": self.report}
        return asdict(self.position) | counts


async def import_rows(
    target: JobRunner[M], source: RowFile, *, chunk: int = CHUNK_SIZE, restart: bool = False
) -> AsyncGenerator[ImportProgress]:
    """Import the rows of *source*. Yield the progress at the start and after each chunk.

    Args:
        target: The resource.
        source: The file.
        chunk: Rows in a transaction.
        restart: Whether to import the whole file. The default continues where an earlier run ended.

    Raises:
        UsageError: The part of the file that an earlier run imported has changed.
        ServiceUnavailable: The database is unavailable. The next run continues from here.

    """
    validate = _row_validator(target, source)
    work = await _begin(target, source, restart=restart)
    with closing(source.records(work.progress.position)) as records:
        chunks = _chunks(map(validate, records), chunk)
        items = next(chunks, None)  # raises `UsageError` for a changed file
        yield work.progress
        while items:
            await work.import_chunk(items)
            yield work.progress
            items = next(chunks, None)


def report_path(source: RowFile) -> Path:
    """Return the file that lists the rejected rows of *source* with the reasons."""
    return source.path.with_name(f"{source.path.name}.rejected.ndjson")


@dataclass(frozen=True)
class _ImportItem:
    """A row of the file, with its valid data or its line in the report."""

    record: FileRow
    data: Schema | None = None
    report_line: bytes = b""

    def reject(self, problem: Problem) -> "_ImportItem":
        """Return a rejected row with a report line for *problem*. It keeps no reference to it."""
        whole = ErrorDetail(
            code=problem.code, detail=_as_row_message(problem.detail), pointer=pointer()
        )
        document = {
            "line": self.record.line,
            "errors": [detail.document() for detail in problem.errors or (whole,)],
            "text": self.record.text.decode(errors="replace").rstrip("\r\n"),
        }
        return _ImportItem(self.record, report_line=to_json(document) + b"\n")


def _chunks(items: Iterable[_ImportItem], max_items: int) -> Iterator[Sequence[_ImportItem]]:
    """Yield *items* in chunks of *max_items*, or fewer if they exceed `MAX_CHUNK_BYTES`."""
    chunk: list[_ImportItem] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.record.text)
        if len(chunk) == max_items or size >= MAX_CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _as_row_message(detail: str) -> str:
    """Rephrase *detail*, a message about a request body, for a line of a file."""
    return detail.replace("The body", "The row").replace("line 1, ", "")


def _row_validator(target: JobRunner[Any], source: RowFile) -> Callable[[FileRow], _ImportItem]:
    """Return a function that validates a row like the body of a POST."""
    create = target.definition.create
    if issubclass(create, NoFields):
        name = target.definition.resource.__name__
        raise UsageError(f"{name} takes no rows: its crud_router has no create schema.")
    parse: Callable[[Any], Schema] = create.model_validate
    if source.columns is not None:
        parse = csv_row_reader(create, source.columns).validate

    def validate_row(record: FileRow) -> _ImportItem:
        document: Any = record.document
        if isinstance(document, Problem):
            return _ImportItem(record).reject(document)
        try:
            return _ImportItem(record, parse(document))
        except ValidationError as error:
            details = error_details(error, document, target.definition.read)
            return _ImportItem(record).reject(
                UnprocessableContent("The row cannot be accepted.", errors=details)
            )

    return validate_row


async def _begin(target: JobRunner[M], source: RowFile, *, restart: bool) -> "_Import[M]":
    await require_table(target.database, ImportPosition)
    file = os.fsencode(source.path.resolve()).decode(errors="backslashreplace")
    name = hashlib.sha256(f"{file}\0{target.path}".encode()).hexdigest()
    report = report_path(source)

    async def begin(resource: Resource[M]) -> ImportProgress:
        session = resource.session
        if restart:
            await session.execute(delete(ImportPosition).where(ImportPosition.id == name))
        # The lock keeps a concurrent run from writing the report.
        if last := await session.get(ImportPosition, name, with_for_update=True):
            position = FilePosition(last.lines, last.size, last.digest)
            size = _truncate_report(report, last.report)
            return ImportProgress(position, last.accepted, last.rejected, size)
        flush_log = unit_of_work(session).flush_log
        flush_log.retry_on_duplicate.add(ImportPosition.__tablename__)  # by another run
        new = ImportProgress(report=_truncate_report(report, 0))
        session.add(ImportPosition(id=name, file=file, resource=target.path, **new.columns()))
        return new

    return _Import(target, name, report, await target.run(begin))


class _Import(Generic[M]):
    """A running import."""

    def __init__(
        self, target: JobRunner[M], name: str, report: Path, progress: ImportProgress
    ) -> None:
        self.progress = progress
        self._target = target
        self._name = name
        self._report = report
        self._rejected: list[_ImportItem] = []  # not yet in the report

    async def import_chunk(self, items: Sequence[_ImportItem]) -> None:
        """Store *items*, and report those that are rejected."""
        await bisect_failures(items, self._store, self._reject)
        if self._rejected:
            await self._commit([])

    async def _store(self, items: Sequence[_ImportItem]) -> None:
        if any(item.data is not None for item in items):
            await self._commit(items)
        else:
            self._rejected += items

    def _reject(self, item: _ImportItem, problem: Problem) -> None:
        self._rejected.append(item.reject(problem))

    async def _commit(self, items: Sequence[_ImportItem]) -> None:
        """Write rows and the new position in one transaction, and the report before its commit."""
        done = [*self._rejected, *items]
        rows = [item.data for item in done if item.data is not None]
        lines = [item.report_line for item in done if item.report_line]
        after = ImportProgress(
            done[-1].record.end,
            self.progress.accepted + len(rows),
            self.progress.rejected + len(lines),
            self.progress.report + sum(map(len, lines)),
        )

        async def write_rows(resource: Resource[M]) -> None:
            await self._advance(resource.session, after)
            definition = self._target.definition
            inputs = [Input(data) for data in rows]
            for row in await new_rows(resource, definition.model, definition.create, inputs):
                await resource.create(row)
                definition.require_path(row)
            await resource.session.flush()
            if lines:
                _append_to_report(self._report, self.progress.report, lines)

        await self._target.run(write_rows)
        self.progress = after
        self._rejected.clear()

    async def _advance(self, session: AsyncSession, after: ImportProgress) -> None:
        """Store the progress *after*. Its row stays locked until the transaction ends."""
        is_current = ImportPosition.size == self.progress.position.size
        statement = update(ImportPosition).where(ImportPosition.id == self._name, is_current)
        result = await session.execute(statement.values(after.columns()))
        if not cast("CursorResult[Any]", result).rowcount:
            raise UsageError("Another run imports this file: wait for its end, or stop it.")


def _truncate_report(report: Path, size: int) -> int:
    """Truncate *report* to *size*, dropping lines of an uncommitted chunk. Return the new size."""
    if not (size and report.exists()):
        report.unlink(missing_ok=True)
        return 0
    size = min(size, report.stat().st_size)
    os.truncate(report, size)
    return size


def _append_to_report(report: Path, size: int, lines: Sequence[bytes]) -> None:
    """Write *lines* after the first *size* bytes of *report*, and sync the file."""
    with report.open("ab") as file:
        file.truncate(size)
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
