"""Files that are written together or not at all."""

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from brickwork.scaffold.errors import ScaffoldError


@contextmanager
def write_files(new: Mapping[Path, str], changed: Mapping[Path, str]) -> Generator[ExitStack]:
    """Write the *new* and the *changed* files, and run the block. Undo all if it fails.

    The block may add to the undo.

    Raises:
        ScaffoldError: A new file exists, or a file cannot be written.

    """
    for path in new:
        if path.exists() or path.is_symlink():
            raise ScaffoldError(f"{path} exists: nothing is overwritten. Rename or remove it.")
    with ExitStack() as undo:
        for path, text in changed.items():
            undo.callback(_quietly, partial(path.write_bytes, path.read_bytes()))
            _do(path, partial(path.write_bytes, text.encode()))
        for path, text in new.items():
            missing = [folder for folder in path.parents if not folder.exists()]
            for folder in reversed(missing):
                undo.callback(_quietly, partial(_remove, folder))
                _do(folder, folder.mkdir)
            undo.callback(_quietly, partial(path.unlink, missing_ok=True))
            _do(path, partial(path.write_bytes, text.encode()))
        yield undo
        undo.pop_all()


def _do(path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror}. Nothing has changed."
        raise ScaffoldError(text) from error


def _quietly(action: Callable[[], object]) -> None:
    """Undo as much as possible."""
    with suppress(OSError):
        action()


def _remove(folder: Path) -> None:
    """Remove *folder* with the bytecode that Python left in it."""
    for path in (*folder.glob("__pycache__/*"), *folder.glob("__pycache__")):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
