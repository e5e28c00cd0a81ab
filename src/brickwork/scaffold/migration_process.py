"""The process that writes the migration of a new resource."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from brickwork.scaffold.errors import EXIT_FAILURE, ScaffoldError
from brickwork.scaffold.found_project import Project

_SECONDS_TO_END: Final = 15
"""How long an interrupted process may take to drop its scratch database."""


class MigrationFailure(ScaffoldError):
    """The database with which the models are compared failed."""


def write_migration(project: Project, message: str, undo: ExitStack) -> Path | None:
    """Write a migration in a process of its own, which imports the models.

    *undo* removes it. None if the models are as the earlier migrations make them.

    Raises:
        ScaffoldError: The application or a migration is wrong.
        MigrationFailure: The database with which the models are compared failed.

    """
    before = {*_migrations(project.folder)}
    undo.callback(_remove_others, project.folder, before)
    command = [sys.executable, "-m", "brickwork.scaffold.new_migration", project.package, message]
    status, output, errors = _run(command, project.folder)
    if status == EXIT_FAILURE:
        *_, line = errors.strip().splitlines()
        raise MigrationFailure(
            f"The migration cannot be written without the database: {line.rstrip('.')}. Start it "
            "or correct DATABASE_URL, or add --no-migration and run brickwork migrate --make later."
        )
    if status:
        raise ScaffoldError(
            f"The migration cannot be written, so nothing has changed:\n{errors.strip()}"
        )
    *_, path = output.splitlines()
    return Path(path) if path else None


def _run(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Run *command*, and return its exit status and what it wrote. An interrupt ends it."""
    with subprocess.Popen(  # noqa: S603 — its arguments are names
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            output, errors = process.communicate()
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_SECONDS_TO_END)
            process.kill()
            raise
    return process.returncode, output, errors


def _migrations(folder: Path) -> Iterator[Path]:
    """Yield the paths of the migrations. The process says what is wrong with their folder."""
    from brickwork.migrations import find_config  # noqa: PLC0415 — Alembic is an extra

    with suppress(Exception):
        config = find_config(folder)
        scripts = str(config.get_alembic_option("script_location"))
        for place in config.get_version_locations_list() or [f"{scripts}/versions"]:
            yield from (folder / place).rglob("*.py")


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove the migrations that are not in *kept*."""
    for path in {*_migrations(folder)} - kept:
        with suppress(OSError):
            path.unlink()
