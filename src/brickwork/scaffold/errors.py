"""Errors of generated code."""

from pydantic import ValidationError

EXIT_FAILURE = 3
"""The exit status of a process that a database failed."""


class ScaffoldError(Exception):
    """An impossible request for generated code. Its text names the remedy."""


def settings_text(error: ValidationError) -> str:
    """Return a line about each invalid setting of a project, with its environment variable."""
    lines: list[str] = []
    for detail in error.errors():
        name = "_".join(map(str, detail["loc"])).upper()
        lines.append(f"{name}: {detail['msg']}" if name else detail["msg"])
    return "\n".join(lines)
