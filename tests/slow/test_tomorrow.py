"""Installs of pinned packages after newer releases.

The index of tomorrow has each pinned release and a newer one of the same package. Its wheels have
the requirements of the real ones. They are empty, except pip's.
"""

import ensurepip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import distribution, distributions
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest
from packaging.version import Version

from requirements.closure import EXTRAS, RECORD, ROOT, Pin, read_metadata, read_pins

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ENVIRONMENTS = {
    "run": f".venv/run-{PYTHON}",
    "dev": f".venv/{PYTHON}",
    "bench": f".venv/bench-{PYTHON}",
}
METADATA = read_metadata(RECORD.read_text())


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clone the project, with the index of tomorrow."""
    return cloned(tmp_path_factory.mktemp("clone"), {name: pins_of(ROOT, name) for name in EXTRAS})


def cloned(folder: Path, files: Mapping[str, Sequence[Pin]]) -> Path:
    """Copy the files that install the project, with pins of the wheels in the folder `wheels`."""
    (folder / "wheels").mkdir()
    (folder / "requirements").mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "requirements" / "install.py", folder / "requirements")
    for name, pins in files.items():
        lines = [released(pin, folder / "wheels") for pin in pins]
        (folder / "requirements" / f"{name}.txt").write_text("".join(lines))
    return folder


def pins_of(folder: Path, name: str) -> list[Pin]:
    return read_pins((folder / "requirements" / f"{name}.txt").read_text())


def released(pin: Pin, index: Path) -> str:
    """Release a pin and a newer version, and return the line of the pin."""
    requires = [str(requirement) for requirement in METADATA.get(str(pin), ())]
    wheel, _ = (
        write_wheel(index, pin.name, version, requires) for version in (pin.version, "9999")
    )
    return f"{pin.requirement} --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}\n"


def write_wheel(folder: Path, name: str, version: str, requires: Sequence[str]) -> Path:
    stem = f"{name.replace('-', '_')}-{version}"
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {
        **(files_of_pip() if name == "pip" else {}),
        f"{stem}.dist-info/METADATA": "\n".join(headers).encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    files[f"{stem}.dist-info/RECORD"] = "".join(f"{file},,\n" for file in files).encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for file, content in files.items():
            archive.writestr(ZipInfo(file), content)  # without the time: a wheel has one hash
    return wheel


def files_of_pip() -> dict[str, bytes]:
    files = distribution("pip").files or []
    return {str(file): file.read_binary() for file in files if str(file).startswith("pip/")}


def execute(clone: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that can reach only the index of tomorrow."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(clone / "home"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(clone / "wheels"),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INDEX": "1",
    }
    return subprocess.run(  # noqa: S603 - make and pip
        command, cwd=clone, env=variables, capture_output=True, check=False, text=True
    )


def make(clone: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """Make an environment as `make run`, `make test` and `make bench` do."""
    stamp = f"{ENVIRONMENTS[name]}/pins.stamp"
    return execute(clone, "make", f"PYTHON={sys.executable}", stamp)


@pytest.mark.parametrize("name", EXTRAS)
def test_newer_releases_change_nothing(clone: Path, name: str) -> None:
    made = make(clone, name)
    assert (made.returncode, made.stderr) == (0, "")
    (packages,) = (clone / ENVIRONMENTS[name]).glob("lib/python*/site-packages")
    installed = {
        f"{package.name}=={package.version}" for package in distributions(path=[str(packages)])
    }
    markers = {str(pin): pin.requirement.marker for pin in pins_of(clone, name)}
    pinned = {pin for pin, marker in markers.items() if marker is None or marker.evaluate()}
    assert {package for package in installed if "setuptools" not in package} == pinned
    python = f"{ENVIRONMENTS[name]}/bin/python"
    checked = execute(clone, python, "-m", "pip", "check")
    assert checked.stdout == "No broken requirements found.\n"


def test_the_index_offers_the_newer_releases(clone: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    resolved = execute(clone, *command, "--quiet", "--report", "report.json", "pytest-cov")
    assert resolved.returncode == 0
    report = json.loads((clone / "report.json").read_text())
    versions = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    assert versions["pytest-cov"] == versions["coverage"] == "9999"


@pytest.mark.skipif(
    Version(ensurepip.version()) >= Version("23.3"),
    reason="From 23.3 on pip resolves pinned packages first.",
)
def test_an_install_with_a_resolver_fails_on_an_extra(clone: Path) -> None:
    execute(clone, sys.executable, "-m", "venv", "old")
    command = ["-m", "pip", "install", "--dry-run", "--require-hashes", "--requirement"]
    resolved = execute(clone, "old/bin/python", *command, "requirements/dev.txt")
    assert resolved.returncode == 1
    assert "In --require-hashes mode, all requirements must have their versions" in resolved.stderr
    assert "coverage[toml]>=7.10.6" in resolved.stderr


def test_a_failed_install_leaves_no_stamp_and_is_repeated(tmp_path: Path) -> None:
    clone = cloned(tmp_path, {"run": [pin for pin in pins_of(ROOT, "run") if pin.name == "h11"]})
    stamp = clone / ENVIRONMENTS["run"] / "pins.stamp"
    wheels = (clone / "wheels").rename(clone / "away")
    failed = make(clone, "run")
    assert failed.returncode == 2
    assert "No matching distribution found for h11" in failed.stderr
    assert "The index has no wheel of that release" in failed.stderr
    assert not stamp.exists()
    wheels.rename(clone / "wheels")
    assert make(clone, "run").returncode == 0
    assert stamp.exists()


def test_an_environment_without_its_python_is_recreated(tmp_path: Path) -> None:
    clone = cloned(tmp_path, {"run": []})
    python = clone / ENVIRONMENTS["run"] / "bin" / "python"
    assert make(clone, "run").returncode == 0
    assert "up to date" in make(clone, "run").stdout
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert make(clone, "run").returncode == 0
    assert python.exists()
