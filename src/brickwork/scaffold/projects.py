"""New projects: the frame of the reference service, with another name."""

import keyword
import re
import sys
from collections.abc import Mapping
from errno import EEXIST, ENOTDIR, ENOTEMPTY
from importlib.metadata import packages_distributions, requires, version
from os.path import lexists
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, TypeAlias

from brickwork.scaffold.errors import ScaffoldError, reported_files
from brickwork.scaffold.frame import frame_files
from brickwork.scaffold.rendering import format_files, render
from brickwork.scaffold.settings_file import example_settings

DatabaseKind: TypeAlias = Literal["sqlite", "postgresql"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")

_URLS: Final[Mapping[DatabaseKind, str]] = {
    "sqlite": "sqlite+aiosqlite:///{package}.db",
    "postgresql": "postgresql+asyncpg://localhost/{package}",
}

_RESERVED: Final = {"brickwork", "tests"}


def create_project(name: str, folder: Path, database: DatabaseKind) -> str:
    """Make the project *name* in *folder*, and return the name of its package.

    A failure leaves nothing behind.

    Raises:
        ScaffoldError: The name is not one of a package, or the folder has files.

    """
    package = package_name(name)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise _taken(folder)
    if not folder.absolute().parent.is_dir():
        raise ScaffoldError(f"There is no folder {folder.absolute().parent}: make it first.")
    files = project_files(name, package, database)
    with (
        reported_files(folder),
        TemporaryDirectory(
            prefix=".brickwork-", dir=folder.absolute().parent, ignore_cleanup_errors=True
        ) as scratch,
    ):
        made = Path(scratch, "project")  # the scratch folder itself is for its owner alone
        for path, text in files.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8")
        format_files(made)
        _place(made, folder)
    return package


def _place(made: Path, folder: Path) -> None:
    """Move the project to *folder*, which another process may have filled meanwhile."""
    try:
        if folder.exists():
            _fill(folder, made)
        else:
            made.rename(folder)
    except OSError as error:
        if error.errno in {ENOTEMPTY, EEXIST, ENOTDIR}:
            raise _taken(folder) from None
        raise


def _fill(folder: Path, made: Path) -> None:
    """Move the content of *made* to *folder*, or nothing."""
    # The folders go first: unlike a file, a folder replaces no other with files.
    paths = sorted(made.iterdir(), key=lambda path: (path.is_file(), path.name))
    try:
        for path in paths:
            _move(path, folder / path.name)
    except BaseException:
        for path in paths:
            if not path.exists():  # it has been moved
                (folder / path.name).rename(path)
        raise


def _move(path: Path, target: Path) -> None:
    if path.is_file() and lexists(target):
        raise FileExistsError(EEXIST, "File exists", str(target))
    path.rename(target)


def _taken(folder: Path) -> ScaffoldError:
    return ScaffoldError(
        f"{folder} exists: nothing is overwritten. Choose another --folder, or remove it."
    )


def package_name(name: str) -> str:
    """Return the name of the package of the project *name*.

    Raises:
        ScaffoldError: No package can have it.

    """
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise ScaffoldError(
            f"{name!r} is not a name of a project: write lower-case letters, digits and hyphens, "
            "and a letter first, as in my-shop."
        )
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise ScaffoldError(f"{package} is a word of Python. Choose another name.")
    if package in sys.stdlib_module_names:
        raise ScaffoldError(f"{package} is a module of Python. Choose another name.")
    owners = packages_distributions().get(package, ())
    if package in _RESERVED or not all(_is_project(owner, name) for owner in owners):
        raise ScaffoldError(
            f"{package} is the name of an installed package, which it would hide. Choose another "
            "name."
        )
    return package


def _is_project(owner: str, name: str) -> bool:
    """Return whether the installed package *owner* is an earlier project *name*."""
    is_same = _normalized(owner) == _normalized(name)
    return is_same and any(line.startswith("brickwork") for line in requires(owner) or ())


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project_files(name: str, package: str, database: DatabaseKind) -> Mapping[str, str]:
    """Return the files of a new project by their paths."""
    url = _URLS[database].format(package=package)
    title = " ".join(package.split("_")).capitalize()
    frame = frame_files(package, url)
    values = {
        "name": name,
        "package": package,
        "title": title,
        "description": f"The API of {title}.",
        "docstring": f"{title}: a service with Brickwork.",
        "database": database,
        "version": version("brickwork"),
        "settings": example_settings(frame["settings.py"]),
    }
    own = {path: render(path, **values) for path in ("__init__.py", "about.py", "routers.py")}
    return {
        **{f"{package}/{path}": text for path, text in {**own, **frame}.items()},
        **{path: render(path, **values) for path in _ROOT_FILES},
        ".github/workflows/ci.yml": render("ci.yml", **values),
        "tests/__init__.py": render("__init__.py", docstring=f"Tests of {title}."),
        "tests/conftest.py": render("conftest.py", **values),
        "tests/test_service.py": render("test_service.py", **values),
    }


_ROOT_FILES: Final = (".env.example", ".gitignore", "Makefile", "README.md", "pyproject.toml")
