"""Errors of generated code."""

from collections.abc import Generator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Final

from pydantic import ValidationError

EXIT_FAILURE = 3
"""The exit status of a process that a database failed."""


_OF_DISKS: Final = {EDQUOT, EFBIG, EIO, ENOSPC, EROFS}
"""Errors of writing, in which Python names no file."""


class ScaffoldError(Exception):
    """An impossible request for generated code. Its text names the remedy."""


def settings_text(error: ValidationError) -> str:
    """Return a line about each invalid setting of a project, with its environment variable."""
    lines: list[str] = []
    for detail in error.errors():
        name = "_".join(map(str, detail["loc"])).upper()
        lines.append(f"{name}: {detail['msg']}" if name else detail["msg"])
    return "\n".join(lines)


def file_text(error: OSError, path: Path) -> str | None:
    """Return a line about an error of a file. None for an error of a network.

    The file is *path* if *error* names none.
    """
    if error.filename is None and error.errno not in _OF_DISKS:
        return None
    return f"{error.filename or path}: {error.strerror or error}."


@contextmanager
def reported_files(path: Path) -> Generator[None]:
    """Raise `ScaffoldError` if the block cannot read or write a file.

    The file is *path* if the error names none.
    """
    try:
        yield
    except OSError as error:
        text = file_text(error, path)
        if text is None:
            raise
        raise ScaffoldError(f"{text} Nothing has changed.") from error
