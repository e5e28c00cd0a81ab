"""Imports in a process that is killed."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

APP: Final = "tests.support.blog_imports:create_app"
"""The application of the commands."""

BAD: Final = 7
"""Every row with a multiple of this number is rejected."""


def row(number: int) -> Mapping[str, object]:
    """Return the row of a line: an invalid one, or an article with the number in its slug."""
    return {"slug": "secret"} if number % BAD == 0 else {"slug": f"A{number}"}


def write_rows(file: Path, rows: int) -> None:
    """Write a file of *rows*."""
    file.write_text("".join(json.dumps(row(number)) + "\n" for number in range(1, rows + 1)))


def import_until_killed(url: str, file: Path, doom: str) -> int:
    """Import *file* in chunks of 5 until the event *doom*, and return the exit status."""
    command = [sys.executable, "-m", "brickwork", "import", "articles", str(file), "--chunk", "5"]
    own = {
        "DATABASE_URL": url,
        "BRICKWORK_APP": "tests.support.blog_imports:create_doomed_app",
        "DOOM": doom,
    }
    process = subprocess.run(  # noqa: S603 — this Python
        command, cwd=ROOT, env=os.environ | own, check=False, stdout=subprocess.DEVNULL
    )
    return process.returncode


def reported_lines(file: Path) -> list[int]:
    """Return the lines of *file* that are in its report."""
    report = file.with_name(f"{file.name}.rejected.ndjson").read_text().splitlines()
    return [json.loads(line)["line"] for line in report]
