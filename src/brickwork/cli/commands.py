"""Commands: import, purge, sweep and explain, with those for projects.

Exit codes:

- 0: success
- 1: some rows were rejected
- 2: wrong usage
- 3: the database, the disk or the application failed
- 130: interrupted by a signal
"""

import asyncio
import re
import signal
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as Bar,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy.exc import DBAPIError

from brickwork.cli.errors import UsageError
from brickwork.cli.explain import explain_resource
from brickwork.cli.files import open_row_file
from brickwork.cli.importing import CHUNK_SIZE, ImportProgress, import_rows, report_path
from brickwork.cli.loading import import_app, job_runner, run_lifespan
from brickwork.cli.project_commands import project_commands
from brickwork.cli.purging import PurgeProgress, count_deleted, purge_rows
from brickwork.cli.runner import JobRunner, require_table
from brickwork.database.database import Database
from brickwork.models.companions import IdempotencyKey
from brickwork.models.model import now
from brickwork.operations.idempotency import delete_expired_keys as sweep_keys
from brickwork.problems import Problem
from brickwork.query.keys import key_parts

T = TypeVar("T")

commands: Final = typer.Typer(
    name="brickwork",
    help="Make applications, and work on their rows with their own resources.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
commands.registered_commands += project_commands.registered_commands  # they come first

_App = Annotated[
    str,
    typer.Option(
        "--app",
        envvar="BRICKWORK_APP",
        metavar="MODULE:NAME",
        help="The FastAPI application, or a function that returns it.",
    ),
]
_Name = Annotated[str, typer.Argument(metavar="RESOURCE", help="Its path, as in articles.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
_Chunk = Annotated[int, typer.Option(min=1, max=10_000, help="Rows in a transaction.")]

_DURATION: Final = re.compile(r"(\d{1,5})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _parse_duration(text: str) -> timedelta:
    if not (match := _DURATION.fullmatch(text)):
        raise typer.BadParameter("write a number and its unit, as in 30d, 12h or 4w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


_Age = Annotated[
    timedelta,
    typer.Option(parser=_parse_duration, metavar="AGE", help="How long ago, as in 30d, 12h or 4w."),
]

_EXIT_OK: Final = 0
_EXIT_REJECTED: Final = 1
_EXIT_USAGE: Final = 2
_EXIT_FAILURE: Final = 3
_EXIT_INTERRUPTED: Final = 130  # the code of a shell


@commands.command("import")
def import_(  # noqa: PLR0913 — the options of a command
    resource: _Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="An .ndjson or .csv."),
    ],
    *,
    app: _App,
    chunk: _Chunk = CHUNK_SIZE,
    restart: Annotated[
        bool, typer.Option("--restart", help="Import the whole file again.")
    ] = False,
    quiet: _Quiet = False,
) -> None:
    """Import the rows of FILE. A second run continues where the first one stopped.

    Rows are validated and created like the bodies of POST requests. FILE.rejected.ndjson lists the
    rejected rows with the reasons.
    """

    async def work() -> int:
        async with _open_job(app, resource) as target:
            rows = open_row_file(file)
            steps = import_rows(target, rows, chunk=chunk, restart=restart)
            with _progress_bar(file.stat().st_size, quiet=quiet) as bar:
                last = await _run_to_end(
                    steps, lambda step: bar(step.position.size, _import_summary(step))
                )
        typer.echo(f"{resource}: {_import_summary(last)}.")
        if last.rejected:
            typer.echo(f"The rejected rows and the reasons are in {report_path(rows)}.")
        return _EXIT_REJECTED if last.rejected else _EXIT_OK

    _exit_with(work())


@commands.command(short_help="Remove rows for good that were deleted before.")
def purge(  # noqa: PLR0913 — the options of a command
    resource: _Name,
    *,
    app: _App,
    older_than: _Age,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    chunk: _Chunk = CHUNK_SIZE,
    quiet: _Quiet = False,
) -> None:
    """Remove soft-deleted rows for good that were deleted longer than AGE ago."""
    before = now() - older_than

    async def work() -> int:
        async with _open_job(app, resource) as target:
            total = await count_deleted(target, before)
            if dry_run:
                when = f"{before:%Y-%m-%d %H:%M:%S} UTC"
                rows = _format_count(total)
                typer.echo(f"{resource}: {rows} deleted before {when} would be removed.")
                return _EXIT_OK
            with _progress_bar(total, quiet=quiet) as bar:
                last = await _run_to_end(
                    purge_rows(target, before, chunk=chunk), _purge_reporter(bar)
                )
        typer.echo(f"{resource}: {_purge_summary(last)}.")
        return _EXIT_REJECTED if last.kept else _EXIT_OK

    _exit_with(work())


@commands.command()
def sweep(*, app: _App) -> None:
    """Remove idempotency keys that are older than 24 hours."""

    async def work() -> int:
        async with run_lifespan(import_app(app)) as database:
            typer.echo(f"Idempotency keys removed: {await _sweep_keys(database)}.")
        return _EXIT_OK

    _exit_with(work())


@commands.command("explain")
def explain_(resource: _Name, *, app: _App) -> None:
    """Show which path each operation takes, the reason, and its SQL."""

    async def work() -> int:
        application = import_app(app)
        async with run_lifespan(application) as database:
            blocks = [item.format() for item in explain_resource(application, database, resource)]
            typer.echo("\n\n".join(blocks))
        return _EXIT_OK

    _exit_with(work())


def _import_summary(progress: ImportProgress) -> str:
    accepted, line = _format_count(progress.accepted), progress.position.lines
    return f"{accepted} imported, {progress.rejected} rejected, up to line {line}"


def _purge_summary(progress: PurgeProgress) -> str:
    return f"{_format_count(progress.removed)} removed, {progress.kept} rejected"


def _format_count(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _purge_reporter(bar: "_ProgressCallback") -> Callable[[PurgeProgress], None]:
    def show(progress: PurgeProgress) -> None:
        bar(progress.removed + progress.kept, _purge_summary(progress))
        for key, detail in progress.rejected.items():
            typer.echo(f"{'/'.join(map(str, key_parts(key)))}: {detail}", err=True)

    return show


async def _sweep_keys(database: Database) -> int:
    await require_table(database, IdempotencyKey)
    async with database.session() as session:
        return await sweep_keys(session)


@asynccontextmanager
async def _open_job(app: str, resource: str) -> AsyncGenerator[JobRunner[Any]]:
    application = import_app(app)
    async with run_lifespan(application) as database:
        yield job_runner(application, database, resource)


_ProgressCallback = Callable[[int, str], None]
"""Shows the number of items done, with a text."""


@contextmanager
def _progress_bar(total: int, *, quiet: bool) -> Generator[_ProgressCallback]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    hidden = quiet or not console.is_terminal
    with Bar(*columns, TimeRemainingColumn(), console=console, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text)


async def _run_to_end(steps: AsyncGenerator[T], show: Callable[[T], None]) -> T:
    """Show each of *steps* and return the last one. Raise `_Interrupted` after a signal."""
    with _collect_signals() as caught:
        async with aclosing(steps):
            show(last := await anext(steps))
            while not caught:
                if (step := await anext(steps, None)) is None:
                    return last
                show(last := step)
    raise _Interrupted


class _Interrupted(Exception):
    """A signal requested the end of the command."""


@contextmanager
def _collect_signals() -> Generator[list[int]]:
    """Collect the first SIGINT or SIGTERM. A second one ends the process immediately."""
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    before = {int(kind): signal.signal(kind, note) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run *work* and exit with the code that it returns, or the code of its error."""
    try:
        code = asyncio.run(work)
    except _Interrupted:
        code = _print_error(
            "Interrupted. Finished chunks are kept: run the command again to continue.",
            _EXIT_INTERRUPTED,
        )
    except UsageError as error:
        code = _print_error(str(error), _EXIT_USAGE)
    except DBAPIError as error:
        code = _print_error(f"Error of the database: {error.orig}", _EXIT_FAILURE)
    except (Problem, OSError) as error:
        code = _print_error(
            f"{error} Finished chunks are kept: run the command again to continue.", _EXIT_FAILURE
        )
    except Exception:  # noqa: BLE001 — Python would exit with 1, the code for rejected rows
        traceback.print_exc()
        code = _EXIT_FAILURE
    raise typer.Exit(code)


def _print_error(text: str, code: int) -> int:
    typer.echo(text, err=True)
    return code
