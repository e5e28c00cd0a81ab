"""Templates, and the format of Python code."""

import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from brickwork.scaffold.errors import ScaffoldError

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).parent / "templates"

_ORDER: Final = "I"  # of imports
_FIXES: Final = f"F401,{_ORDER}"  # unused imports, too


def render(template: str, **values: Any) -> str:
    """Return the text of *template* with *values*. Each name in it needs a value."""
    return _environment().get_template(f"{template}.jinja").render(values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 — an extra

    return Environment(  # noqa: S701 — code and no HTML
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def format_python(source: str, file: Path) -> str:
    """Return *source* without unused imports, in the format of the project of *file*."""
    return _format(source, file, _FIXES)


def format_change(before: str, after: str, file: Path) -> str:
    """Return *after*, the new text of *file*. It is formatted if *before* was, too.

    Nothing else changes. An import that looks unused may have an effect.
    """
    is_formatted = _format(before, file, _ORDER) == before
    return _format(after, file, _ORDER) if is_formatted else after


def _format(source: str, file: Path, fixes: str) -> str:
    name = f"--stdin-filename={file}"
    fixed = _ruff(source, "check", "--fix", "--exit-zero", "--quiet", f"--select={fixes}", name)
    return _ruff(fixed, "format", "--quiet", name)


def format_files(*paths: Path) -> None:
    """Format the Python code in *paths*, files or folders, as `format_python` does."""
    names = map(str, paths)
    _ruff("", "check", "--fix", "--exit-zero", "--quiet", f"--select={_FIXES}", *names)
    _ruff("", "format", "--quiet", *map(str, paths))


def _ruff(source: str, *arguments: str) -> str:
    if find_spec("ruff") is None:
        raise ModuleNotFoundError("No module named 'ruff'", name="ruff")
    stdin = ["-"] if source else []
    done = subprocess.run(  # noqa: S603 — its arguments are ours
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", *stdin],
        input=source.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise ScaffoldError(f"ruff cannot format the code: {done.stderr.decode().strip()}")
    return done.stdout.decode()
