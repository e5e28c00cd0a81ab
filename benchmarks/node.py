"""Node.js and its packages."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "peers" / "fastify"
_PACKAGES: Final = ("fastify", "pg")
_OLDEST: Final = 20


def has_fastify() -> bool:
    """Return whether Node.js is new enough, and `make bench` has installed the packages."""
    installed = all((FOLDER / "node_modules" / name).is_dir() for name in _PACKAGES)
    return installed and (read_release() or (0,))[0] >= _OLDEST


def versions() -> Iterator[str]:
    """Yield the versions of Node.js and the packages. Nothing if one is missing."""
    if has_fastify():
        yield f"node {'.'.join(map(str, read_release()))}"
        for name in _PACKAGES:
            file = FOLDER / "node_modules" / name / "package.json"
            yield f"{name} {json.loads(file.read_text(encoding='utf-8'))['version']}"


@cache
def read_release() -> tuple[int, ...]:
    """Return the release of Node.js. It is empty if there is none."""
    if (node := shutil.which("node")) is None:
        return ()
    output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 — Node.js
    return tuple(map(int, re.findall(r"\d+", output)))
