"""Number of worker processes."""

import multiprocessing
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

_SERVERS: Final[Mapping[str, str]] = {
    "fastapi": "WEB_CONCURRENCY",
    "granian": "GRANIAN_WORKERS",
    "gunicorn": "WEB_CONCURRENCY",
    "hypercorn": "",
    "uvicorn": "WEB_CONCURRENCY",
}
"""The servers with a --workers option, and the variables that set its default."""

_OPTION: Final = re.compile(r"(?:--workers=?|-w=?)(\d+)?")


def count_workers() -> int:
    """Return the number of processes that serve the application. 1 if it is unknown.

    A process of uvicorn or hypercorn has the settings of its server. For other servers, the command
    line and the environment are read, which each process inherits.
    """
    settings = next(_settings(), None)
    if settings is not None:
        reloads = getattr(settings, "reload", False) or getattr(settings, "use_reloader", False)
        return 1 if reloads else int(getattr(settings, "workers", 1))
    return _count_in_command(sys.argv)


def _settings() -> Iterator[object]:
    """Yield the settings of the server that started this process as one of its workers."""
    for value in _process_arguments():
        if isinstance(getattr(value, "workers", None), int):
            yield value


def _process_arguments() -> Sequence[object]:
    """Return `_args` and `_kwargs` of a process that another started with `multiprocessing`.

    Empty for other processes. There is no public name for them.
    """
    if multiprocessing.parent_process() is None:
        return ()
    process: Any = multiprocessing.current_process()
    return (*process._args, *process._kwargs.values())  # noqa: SLF001


def _count_in_command(command: Sequence[str]) -> int:
    """Return the number of workers that *command* starts."""
    program = PurePath(command[0])
    name = program.parent.name if program.stem == "__main__" else program.stem
    if name not in _SERVERS:
        return 1
    for option, value in zip(command[1:], [*command[2:], ""], strict=True):
        if match := _OPTION.fullmatch(option):
            return _parse_count(match[1] or value)
    return _parse_count(os.environ.get(_SERVERS[name], ""))


def _parse_count(text: str) -> int:
    return int(text) if text.isdecimal() else 1
