"""Load from `wrk`, and what it tells of the answers."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.serving import core

_MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_SCRIPT: Final = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True)
class Load:
    """What one run told: requests a second, p99 in milliseconds, all requests, those refused."""

    rate: float
    slowest: float
    requests: int
    refused: int


def loaded(url: str, *, clients: int, seconds: int) -> Load:
    """Return what *clients* see who read *url* again and again for *seconds*."""
    return _run([url], {}, clients, seconds)


def sent(url: str, operation: str, *, start: int, clients: int, seconds: int) -> Load:
    """Return what *clients* see of an *operation* on one row after another, from *start*."""
    known = {"OPERATION": operation, "START": str(start)}
    return _run(["-s", str(_SCRIPT), url], known, clients, seconds)


def _run(arguments: Sequence[str], known: dict[str, str], clients: int, seconds: int) -> Load:
    command = [*core(1), "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "60s", *arguments]  # p99 tells who is slow
    told = subprocess.run(  # noqa: S603 — the command is made here
        command, capture_output=True, text=True, check=True, env=os.environ | known
    ).stdout
    return parsed(told)


def parsed(told: str) -> Load:
    """Return what wrk *told*; connections that failed count as refused."""
    ((slowest, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s|m)\b", told)
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", told)
    (requests,) = re.findall(r"(\d+) requests in", told)
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", told)))
    for errors in re.findall(r"Socket errors: (.*)", told):
        refused += sum(map(int, re.findall(r"\d+", errors)))
    return Load(float(rate), float(slowest) * _MILLISECONDS[unit], int(requests), refused)


def spread(values: Sequence[float]) -> float:
    """Return how far apart the rounds are, as a part of their median."""
    return (max(values) - min(values)) / middle if (middle := median(values)) else 0.0
