"""The frame of a project: the reference service."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from brickwork.scaffold.errors import ScaffoldError

NAME: Final = "app"
"""The name of the package in the reference service."""

OWN: Final = ("__init__.py", "about.py", "routers.py")
"""The files that tell the reference service from others. Templates replace them."""

DATABASE_URL: Final = "sqlite+aiosqlite:///brickwork.db"
"""The database of the reference service."""

_PACKAGE: Final = re.compile(rf"(?<=\bfrom ){NAME}(?=[. ])|(?<=\bimport ){NAME}(?=[.\s])")
_COMMAND: Final = re.compile(rf"(?<=python -m ){NAME}\b")


def service_folder() -> Path:
    """Return the folder of the reference service.

    A wheel has a copy in this package. In a clone, the folder is beside `src`.
    """
    here = Path(__file__).parent
    copy, original = here / "service", here.parents[2] / NAME
    for folder in (copy, original):
        if (folder / "main.py").exists():
            return folder
    raise ScaffoldError(
        "The reference service is not installed with Brickwork: install the wheel, or a clone with "
        "pip install --editable."
    )


def frame_files(package: str, database_url: str) -> Mapping[str, str]:
    """Return the files of the service *package* by their paths, without resources."""
    folder = service_folder()
    resources = {file.parent for file in folder.glob("*/endpoints.py")}
    return {
        path.relative_to(folder).as_posix(): _rename(path.read_text("utf-8"), package, database_url)
        for path in sorted(_files(folder))
        if not resources.intersection(path.parents) and path.name not in OWN[1:]
        if path != folder / OWN[0]
    }


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        is_migration = path.parent.name == "versions" and path.name != "__init__.py"
        if path.is_file() and path.suffix in {".py", ".mako"} and not is_migration:
            yield path


def _rename(text: str, package: str, database_url: str) -> str:
    text = _COMMAND.sub(package, _PACKAGE.sub(package, text))
    return text.replace(DATABASE_URL, database_url)
