"""Start time, and memory of lists of 1 000."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final, ParamSpec

import httpx2

from benchmarks.contenders import CONTENDERS, FAST, TUTORIAL, Contender
from benchmarks.serving import ROOT, core, serving
from benchmarks.wrk import loaded

P = ParamSpec("P")

_TIMES: Final = 3
_CLIENTS: Final = 8
_STANDS_ON: Final = "fastapi, sqlalchemy.ext.asyncio, pydantic, asyncpg, aiosqlite"


@dataclass(frozen=True)
class Figure:
    """One line of the table: a name, a value, a unit."""

    name: str
    value: float
    unit: str


def figures(url: str, seconds: int) -> Iterator[Figure]:
    """Yield the seconds to start and the peaks of memory, over the articles at *url*."""
    nothing = _middle(_imported, "sys")
    for what in (_STANDS_ON, "brickwork"):
        yield Figure(f"import {what}", _middle(_imported, what) - nothing, "s")
    for contender in CONTENDERS:
        if contender.name in {TUTORIAL, FAST}:
            took = _middle(_first, contender.target, url)
            yield Figure(f"{contender.name}: process to first answer", took, "s")
            yield from _memory(contender, url, seconds)


def _middle(measured: Callable[P, float], *args: P.args, **kwargs: P.kwargs) -> float:
    return median(measured(*args, **kwargs) for _ in range(_TIMES))


def _imported(what: str) -> float:
    begun = time.perf_counter()
    command = [*core(0), sys.executable, "-c", f"import {what}"]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 — the command is made here
    return time.perf_counter() - begun


def _first(target: str, url: str) -> float:
    begun = time.perf_counter()
    with serving(target, url, plain=True) as served:
        httpx2.get(f"{served.url}/articles?limit=1").raise_for_status()
        return time.perf_counter() - begun


def _memory(contender: Contender, url: str, seconds: int) -> Iterator[Figure]:
    with serving(contender.target, url, plain=True) as served:
        path = f"{served.url}/articles?limit=1000"
        assert len(httpx2.get(path).json()) == 1000  # noqa: PLR2004 — as the path says
        yield Figure(f"{contender.name}: peak after one list of 1 000", served.memory(), "MB")
        assert not loaded(path, clients=_CLIENTS, seconds=seconds).refused
        name = f"{contender.name}: peak after lists of 1 000 to {_CLIENTS} clients"
        yield Figure(name, served.memory(), "MB")
