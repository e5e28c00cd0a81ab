"""The service in a separate process, and its memory."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx2
import pytest

ROOT = Path(__file__).parents[2]


@contextmanager
def running_service(
    *,
    output: IO[bytes] | int | None = subprocess.DEVNULL,
    end: signal.Signals = signal.SIGTERM,
    **environment: str,
) -> Generator[str]:
    """Run the service in a separate process, and yield its URL.

    *output* is its standard output. `None` closes it. The signal *end* ends the service.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 — ours
        ["/bin/sh", "-c", f'exec "$0" -m app {">&-" if output is None else ""}', sys.executable],
        cwd=ROOT,
        env=os.environ | environment | {"PORT": str(port)},
        stdout=output,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_service(url := f"http://127.0.0.1:{port}", process)
        yield url
    finally:
        process.send_signal(end)
        process.wait(10)


@contextmanager
def running_project(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, absent: str
) -> Generator[str]:
    """Run *command*, the server of a project in *folder*, and yield its URL.

    Its log until then must not have the word *absent*.
    """
    process = subprocess.Popen(  # noqa: S603 — ours
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    log = ""
    try:
        while not (started := re.search(r"running on (\S+)", log)):
            line = process.stderr.readline()
            assert line, f"{command} does not start:\n{log}"
            log += line
        yield started[1]
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert absent not in log


def wait_for_service(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "the service ended"
        try:
            httpx2.get(f"{url}/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the service did not answer in 30 seconds")


MEGABYTE = 2**20


def memory(process: int) -> int:
    """Return the peak of the resident memory of *process* in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) * 1_024


def children() -> set[int]:
    """Return the child processes of this process."""
    found: set[int] = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            _, _, fields = file.read_text(encoding="utf-8", errors="replace").rpartition(") ")
            if int(fields.split()[1]) == os.getpid():
                found.add(int(file.parent.name))
    return found
