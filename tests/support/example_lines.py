"""The tables of lines of code in the pages of the examples."""

import re
from pathlib import Path

from tests.support.pages import ROOT

_ROW = re.compile(r"^\| .*\| (?P<files>`[^|]+`) \| (?P<lines>\d+) \|$", re.MULTILINE)


def count_lines(path: Path) -> int:
    """Return the number of lines of *path* that are neither blank nor a comment."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


def shown_and_counted(example: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the lines of files, as the page of *example* shows them and as they are."""
    folder = ROOT / "examples" / example
    shown = {
        row["files"]: int(row["lines"]) for row in _ROW.finditer((folder / "README.md").read_text())
    }
    counted = {
        files: sum(count_lines(folder / file) for file in re.findall(r"`([^`]+)`", files))
        for files in shown
    }
    return shown, counted
