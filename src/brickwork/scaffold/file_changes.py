"""Files that are written together or not at all."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from brickwork.scaffold.errors import ScaffoldError


@contextmanager
def write_files(new: Mapping[Path, str], changed: Mapping[Path, str]) -> Generator[None]:
    """Write the *new* and the *changed* files, and run the block. Undo all if it fails.

    Raises:
        ScaffoldError: A new file exists.

    """
    for path in new:
        if path.exists():
            raise ScaffoldError(f"{path} exists: nothing is overwritten. Rename or remove it.")
    before = {path: path.read_bytes() for path in changed}
    folders: list[Path] = []
    written: list[Path] = []
    try:
        for path, text in new.items():
            missing = [folder for folder in path.parents if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                folders.append(folder)
            written.append(path)
            path.write_text(text, encoding="utf-8")
        for path, text in changed.items():
            path.write_text(text, encoding="utf-8")
        yield
    except BaseException:
        for path, content in before.items():
            path.write_bytes(content)
        for path in written:
            path.unlink(missing_ok=True)
        for folder in reversed(folders):
            _remove(folder)
        raise


def _remove(folder: Path) -> None:
    """Remove *folder* with the bytecode that Python left in it."""
    for path in (*folder.glob("__pycache__/*"), *folder.glob("__pycache__")):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
