"""Modules whose packages are extras."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("brickwork.testing", "faker", "testing"),
        ("brickwork.testing", "polyfactory", "testing"),
        ("brickwork.migrations", "alembic", "cli"),
    ],
)
def test_a_missing_package_names_its_extra(module: str, package: str, extra: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; import {module}"
    done = subprocess.run(  # noqa: S603 — ours
        (sys.executable, "-c", program), capture_output=True, text=True, check=False
    )
    line = done.stderr.splitlines()[-1]
    assert line.endswith(f"{module} needs {package}: pip install 'brickwork[{extra}]'"), line
