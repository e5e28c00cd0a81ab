"""The lock of a project, for one command at a time."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import Final

from brickwork.scaffold.errors import ScaffoldError

_FAR: Final = 2**30
"""A position behind the end of any file, which locks no reader of the file out on Windows."""


@contextmanager
def locked_project(folder: Path) -> Generator[None]:
    """Run the block while no other command changes the project in *folder*.

    The lock ends with the process and leaves no file behind. A file system without locks has none.

    Raises:
        ScaffoldError: Another command runs.

    """
    # Windows locks no folder.
    path = folder / "pyproject.toml" if sys.platform == "win32" else folder
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
    if descriptor is None:
        yield
        return
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 — other systems lack it

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 — Windows lacks it

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {EACCES, EAGAIN}:
            raise ScaffoldError(
                "Another brickwork command changes this project. Repeat the command when it has "
                "ended."
            ) from None
