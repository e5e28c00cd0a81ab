"""The reference service in a separate process."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Service:
    """The address and the process of the service."""

    url: str
    process: int

    def memory(self) -> float:
        """Return the peak of its resident memory in megabytes, which Linux records."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="ascii")
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024


@contextmanager
def running(url: str, secret: str) -> Generator[Service]:
    """Run the service over the database at *url*, its cursors signed with *secret*."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "PORT": str(port),
            "CURSOR_KEYS": json.dumps([secret]),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        service = Service(f"http://127.0.0.1:{port}", process.pid)
        _wait_for(service, process)
        yield service
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(service: Service, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx2.get(f"{service.url}/openapi.json")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The service ended before it answered.")
