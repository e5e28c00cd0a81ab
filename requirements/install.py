"""Makes an environment from pinned requirements.

Any Python runs this file, with nothing but its standard library:

- `install.py pins FOLDER FILE` makes the environment FOLDER anew and installs the pins of FILE.
- `install.py project FOLDER` adds the project, then checks that all packages fit together.
- `install.py latest FOLDER` replaces the packages under the library by their newest releases.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

# The settings of pip that say how to reach an index. Other settings could change the result.
ACCESS = (
    *("index-url", "extra-index-url", "find-links", "no-index", "keyring-provider"),
    *("cert", "client-cert", "trusted-host", "proxy", "timeout", "default-timeout", "retries"),
    *("cache-dir", "no-cache-dir", "use-feature", "use-deprecated"),
)

QUIET = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")
PINS = (*QUIET, "--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement")
PROJECT = (*QUIET, "--no-deps", "--no-build-isolation", "--editable", ".")

LATEST = (*QUIET, "--upgrade", "--only-binary=:all:")

# The packages that the library stands on, some of them by private names.
FOUNDATION = ("aiosqlite", "asyncpg", "fastapi", "pydantic", "sqlalchemy", "starlette", "uvicorn")

# What pip writes when it fails, and what to do then. The first match counts.
REMEDIES = {
    "No space left|Disk quota": "Make room on the disk and repeat the command.",
    "DO NOT MATCH THE HASHES": "The index sent another file than the pinned one: run `pip cache"
    " purge` and repeat the command. Do not trust the index if it fails again.",
    "connection broken|timed out|SSLError|ProxyError": "pip cannot reach its package index: check"
    " the network and `pip config list`, then repeat the command.",
    "No matching distribution": "The index has no wheel of that release for this Python and this"
    " machine: check `pip config list`, or name another Python, as in PYTHON=python3.13.",
    "which is not installed|but you have": "The pins do not fit pyproject.toml: run `make lock`.",
    "": "Repeat the command; if it fails again, read the log.",
}


class InstallError(Exception):
    """A command that failed, with its output."""


def main(step: str, folder: Path, file: Path) -> int:
    """Carry out a step. Returns the exit status."""
    try:
        require_python()
        if step == "pins":
            install_pins(folder, file)
        elif step == "latest":
            install_latest(folder)
        else:
            install_project(folder)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The environment cannot be made: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def require_python() -> None:
    """Refuse a Python that is too old or cannot make environments."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one reads this
        raise InstallError(
            f"Brickwork needs Python 3.11 or newer, and {sys.executable} is older: install one and"
            " name it, as in PYTHON=python3.13."
        )
    if not find_spec("ensurepip") or not find_spec("venv"):
        raise InstallError(
            f"{sys.executable} cannot make virtual environments: install its venv module"
            " (Debian: apt-get install python3-venv)."
        )


def install_pins(folder: Path, file: Path) -> None:
    """Make the environment from nothing and install the pins of a file."""
    began = time.monotonic()
    pins = re.findall(r"^\w", file.read_text(), re.MULTILINE)
    print(f"Installing the {len(pins)} packages of {file} into {folder} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(folder, [sys.executable, "-m", "venv", str(folder)], os.environ)
    pip(folder, "install", *PINS, str(file))
    print(f"Installed in {time.monotonic() - began:.0f} s.")


def install_project(folder: Path) -> None:
    """Install the project, editable, and check the requirements of every package."""
    pip(folder, "install", *PROJECT)
    pip(folder, "check")


def install_latest(folder: Path) -> None:
    """Install the newest releases of the foundation, and print what is new."""
    pinned = releases(folder)
    pip(folder, "install", *LATEST, *FOUNDATION)
    latest = releases(folder)
    new = [f"{k} {pinned.get(k, 'none')} -> {v}" for k, v in latest.items() if pinned.get(k) != v]
    print(*(sorted(new) or ["The installed releases are the newest."]), sep="\n", flush=True)


def releases(folder: Path) -> dict[str, str]:
    """Return the versions of the installed packages by their names."""
    packages = map(str, folder.glob("lib/python*/site-packages"))
    return {found.metadata["Name"]: found.version for found in distributions(path=list(packages))}


def pip(folder: Path, *arguments: str) -> None:
    """Run the environment's pip."""
    python = str(folder / "bin" / "python")
    run(folder, [python, "-I", "-m", "pip", *arguments], environment(python))


def environment(python: str) -> dict[str, str]:
    """Return the variables to run pip with: only its settings that reach an index are left."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    file = {k: v for k, v in os.environ.items() if k == "PIP_CONFIG_FILE"}
    listed = subprocess.run(  # noqa: S603 - pip
        [python, "-I", "-m", "pip", "config", "list"],
        env={**kept, **file},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    if listed.returncode:
        raise InstallError(listed.stderr)
    access = index_access(listed.stdout, os.environ)
    return {**kept, **access, "PIP_CONFIG_FILE": os.devnull}


def index_access(listed: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Collect the settings that reach an index, as variables.

    `listed` is what `pip config list` says of the files. A variable takes precedence over a file.
    """
    found: dict[str, str] = {}
    for section in ("global", "install"):
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listed, re.MULTILINE):
            found[name] = " ".join(ast.literal_eval(value).split())
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value
    return {f"PIP_{k.upper().replace('-', '_')}": v for k, v in found.items() if k in ACCESS}


def run(folder: Path, command: list[str], variables: Mapping[str, str]) -> None:
    """Run a command and add its output to the log of the environment."""
    log = folder / "install.log"
    with log.open("a+", encoding="utf-8", errors="replace") as file:
        print("$", *command, file=file, flush=True)
        start = file.tell()
        done = subprocess.run(  # noqa: S603 - Python and pip
            command, env=variables, stdout=file, stderr=subprocess.STDOUT, check=False
        )
        file.seek(start)
        output = file.read()
    if done.returncode:
        raise InstallError(f"{errors(output)}\n{remedy(output)} All output: {log}")


def errors(output: str) -> str:
    """Pick the lines that say what failed. Without any, return the last lines."""
    found = re.findall(
        r"^error: (?!Ignored).*(?:\n[ \t]+.*)*", output, re.MULTILINE | re.IGNORECASE
    )
    return "\n".join(found or output.splitlines()[-20:])


def remedy(output: str) -> str:
    """Say what to do."""
    return next(text for pattern, text in REMEDIES.items() if re.search(pattern, output))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(*sys.argv[3:])))
