"""Generated clients: the generators, and the checks of what they write."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copy, which
from typing import Any, Final

from tests.support.processes import ROOT

PROGRAMS: Final = ROOT / "tests" / "slow" / "clients"
"""The programs that use the clients of the reference service."""

_TYPESCRIPT: Final = PROGRAMS / "typescript"
_PYTHON: Final = ROOT / ".venv" / "client-{}.{}".format(*sys.version_info) / "bin"

_NO_PYTHON: Final = f"These tests need the generator in {_PYTHON}: `make test-all` installs it."
_NO_NODE: Final = "These tests need Node.js and npm: apt-get install nodejs npm"
_NO_MODULES: Final = (
    f"These tests need the packages of {_TYPESCRIPT}: `make test-all` installs them."
)


def write_document(document: Any, folder: Path) -> Path:
    """Write an OpenAPI *document* to *folder*, validate it and return its path."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    _run([_program("openapi-spec-validator"), str(file)], folder)
    return file


def generate_python(file: Path) -> Path:
    """Generate the package `client` beside *file*, check its types and return its folder."""
    folder = file.parent
    options = [f"--path={file}", "--output-path=client", "--meta=none", "--fail-on-warning"]
    _run([_program("openapi-python-client"), "generate", *options], folder)
    check_python(folder, "--package=client")
    return folder


def check_python(folder: Path, *arguments: str) -> None:
    """Check types in *folder* as strictly as mypy can."""
    options = [f"--config-file={PROGRAMS / 'mypy.ini'}", f"--python-executable={_PYTHON}/python"]
    _run([sys.executable, "-m", "mypy", *options, *arguments], folder)


def run_python(folder: Path, url: str) -> None:
    """Check the types of the Python program, and run it with the client in *folder*."""
    copy(PROGRAMS / "program.py", folder)
    check_python(folder, "program.py")
    _run([_program("python"), "program.py", url], folder)


def generate_typescript(file: Path) -> Path:
    """Generate `schema.d.ts` beside *file*, check its types and return its folder."""
    if not which("node"):
        raise RuntimeError(_NO_NODE)
    if not (_TYPESCRIPT / "node_modules" / ".package-lock.json").exists():
        raise RuntimeError(_NO_MODULES)
    folder = file.parent
    (folder / "node_modules").symlink_to(_TYPESCRIPT / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    copy(_TYPESCRIPT / "tsconfig.json", folder)
    options = ["--output=schema.d.ts", "--default-non-nullable=false"]
    _run(["node_modules/.bin/openapi-typescript", str(file), *options], folder)
    check_typescript(folder, "--noEmit")
    return folder


def check_typescript(folder: Path, *arguments: str) -> None:
    """Compile the TypeScript in *folder*."""
    _run(["node_modules/.bin/tsc", "--project", ".", *arguments], folder)


def run_typescript(folder: Path, url: str) -> None:
    """Compile the TypeScript program, and run it with the client in *folder*."""
    copy(_TYPESCRIPT / "program.ts", folder)
    check_typescript(folder, "--outDir", "build")
    _run(["node", "build/program.js", url], folder)


def _program(name: str) -> str:
    """Return the path of a program of the generator's environment."""
    if not (_PYTHON / name).exists():
        raise RuntimeError(_NO_PYTHON)
    return str(_PYTHON / name)


def _run(command: Sequence[str], folder: Path) -> None:
    """Run *command* in *folder*. Its output is the text of the error if it fails."""
    path = f"{_PYTHON}:{os.environ['PATH']}"  # the generator formats with its own Ruff
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(  # noqa: S603 — ours
        command,
        cwd=folder,
        env=variables | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}")
