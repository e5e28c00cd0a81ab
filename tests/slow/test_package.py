"""The packages that a release uploads."""

import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.pages import ROOT


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the packages, the wheel from the source package, and return their folder."""
    folder = tmp_path_factory.mktemp("packages")
    run("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


def run(module: str, *arguments: str) -> None:
    ended = subprocess.run(  # noqa: S603 — tools of this environment
        (sys.executable, "-m", module, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def wheel(folder: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def metadata(folder: Path) -> Message:
    with wheel(folder) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_index_would_accept_the_packages(packages: Path) -> None:
    run("twine", "check", "--strict", *map(str, packages.iterdir()))


def test_both_ways_to_build_the_wheel_agree(packages: Path, tmp_path: Path) -> None:
    run("build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT))
    with wheel(packages) as one, wheel(tmp_path) as other:
        assert {*one.namelist()} == {*other.namelist()}


def test_wheel_has_the_library_and_its_types_alone(packages: Path) -> None:
    with wheel(packages) as archive:
        names = archive.namelist()
    assert "brickwork/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"brickwork"}
    sources = (path.relative_to(ROOT / "src") for path in ROOT.glob("src/brickwork/**/*.py"))
    assert {*map(Path.as_posix, sources)} <= {*names}
    assert not [name for name in names if name.endswith(".pyc")]


def test_source_package_has_only_sources_of_the_wheel(packages: Path) -> None:
    with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
        paths = [Path(name).parts[1:] for name in archive.getnames()]
    known = {"app", "src", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert {path[0] for path in paths} <= known | {".gitignore"}


def test_drivers_and_tools_are_extras(packages: Path) -> None:
    required = [Requirement(line) for line in metadata(packages).get_all("Requires-Dist", [])]
    always = {one.name for one in required if "extra" not in str(one.marker)}
    assert always == {"fastapi", "pydantic", "sqlalchemy", "typing-extensions", "uuid-utils"}
    by_extra = {
        extra: {one.name for one in required if one.marker and f'extra == "{extra}"' in str(one)}
        for extra in ("sqlite", "postgresql")
    }
    assert by_extra == {"sqlite": {"aiosqlite"}, "postgresql": {"asyncpg"}}


def test_release_is_typed_and_has_a_semantic_version(packages: Path) -> None:
    package = metadata(packages)
    assert "Typing :: Typed" in package.get_all("Classifier", [])
    assert [part.isdecimal() for part in package["Version"].split(".")] == [True] * 3
