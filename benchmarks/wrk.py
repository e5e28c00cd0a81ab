"""Load from `wrk`, and its output."""

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
    """The result of a run: requests a second, p99 in milliseconds, requests, rejected requests."""

    rate: float
    slowest: float
    requests: int
    refused: int


def loaded(url: str, *, clients: int, seconds: int) -> Load:
    """Return the result of *clients* that request *url* repeatedly for so many *seconds*."""
    return _run([url], {}, clients, seconds)


def sent(url: str, operation: str, *, start: int, clients: int, seconds: int) -> Load:
    """Return the result of an *operation* that *clients* send for one row after another."""
    known = {"OPERATION": operation, "START": str(start)}
    return _run(["-s", str(_SCRIPT), url], known, clients, seconds)


def _run(arguments: Sequence[str], known: dict[str, str], clients: int, seconds: int) -> Load:
    command = [*core(1), "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency"]
    command += ["--timeout", "60s", *arguments]  # p99 counts the slow requests
    output = subprocess.run(  # noqa: S603 — the command is made here
        command, capture_output=True, text=True, check=True, env=os.environ | known
    ).stdout
    return parsed(output)


def parsed(output: str) -> Load:
    """Parse the *output* of wrk. Connections that failed count as refused."""
    ((slowest, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", output)
    (requests,) = re.findall(r"(\d+) requests in", output)
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", output)))
    for errors in re.findall(r"Socket errors: (.*)", output):
        refused += sum(map(int, re.findall(r"\d+", errors)))
    return Load(float(rate), float(slowest) * _MILLISECONDS[unit], int(requests), refused)


def spread(values: Sequence[float]) -> float:
    """Return the range of *values* as a fraction of their median."""
    return (max(values) - min(values)) / middle if (middle := median(values)) else 0.0
