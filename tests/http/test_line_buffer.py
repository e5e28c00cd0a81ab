"""The line buffer."""

import asyncio
import os
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from brickwork.http import line_buffer
from brickwork.http.line_buffer import BLOCK, MAX_BLOCKS, LineBuffer
from tests.support.journal import Log
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.anyio


class Pipe:
    """A pipe whose write end is standard output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        stdout = SimpleNamespace(fileno=lambda: self.write_end)
        monkeypatch.setattr(sys, "stdout", stdout)
        self.buffer = LineBuffer(str)

    def read(self) -> str:
        """Return the text written since the last call."""
        parts: list[bytes] = []
        try:
            while part := os.read(self._read_end, 65_536):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    async def read_until(self, end: str) -> str:
        """Wait for text that ends with *end*, and return it."""
        text = self.read()
        async with asyncio.timeout(DEADLINE):
            while not text.endswith(end):
                await asyncio.sleep(0)
                text += self.read()
        return text

    def block(self) -> None:
        """Fill the pipe."""
        os.set_blocking(self.write_end, False)
        try:
            while True:
                os.write(self.write_end, b"x" * BLOCK)
        except BlockingIOError:
            os.set_blocking(self.write_end, True)

    def close_read_end(self) -> None:
        os.close(self._read_end)
        self._read_end = -1

    def close(self) -> None:
        for descriptor in {self._read_end, self.write_end} - {-1}:
            os.close(descriptor)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    monkeypatch.setattr(line_buffer, "_PATIENCE", 0.05)
    pipe = Pipe(monkeypatch)
    yield pipe
    pipe.buffer.close()
    pipe.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


async def test_lines_are_written_soon(pipe: Pipe) -> None:
    pipe.buffer.add("first\n")
    pipe.buffer.add("second\n")
    assert pipe.read() == ""
    assert await pipe.read_until("second\n") == "first\nsecond\n"
    pipe.buffer.add("third\n")
    assert await pipe.read_until("third\n") == "third\n"


async def test_many_lines_do_not_wait(pipe: Pipe) -> None:
    for number in range(70):
        pipe.buffer.add(f"{number}\n")
    assert pipe.read().count("\n") == 64
    pipe.buffer.close()
    assert pipe.read() == "".join(f"{number}\n" for number in range(64, 70))


async def test_a_line_after_the_end_is_written_immediately(pipe: Pipe) -> None:
    pipe.buffer.add("before\n")
    pipe.buffer.close()
    assert pipe.read() == "before\n"
    pipe.buffer.add("after\n")
    assert pipe.read() == "after\n"


async def test_no_write_ends_within_a_line(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[bytes] = []

    def write(_: int, block: bytes) -> int:
        blocks.append(block)
        return len(block)

    monkeypatch.setattr(os, "write", write)
    lines = [f"{'x' * size}\n" for size in range(0, BLOCK, 97)]
    for line in lines:
        pipe.buffer.add(line)
    pipe.buffer.close()
    assert b"".join(blocks).decode() == "".join(lines)
    assert all(len(block) <= BLOCK and block.endswith(b"\n") for block in blocks)


async def test_the_rest_of_a_line_is_written_later(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def write_part(descriptor: int, block: bytes) -> int:
        return write(descriptor, block[:3])

    monkeypatch.setattr(os, "write", write_part)
    pipe.buffer.add("a long line\n")
    pipe.buffer.close()
    assert pipe.read() == "a long line\n"


async def test_lines_wait_for_a_blocked_output(pipe: Pipe, log: Log) -> None:
    pipe.block()
    for number in range(100):
        pipe.buffer.add(f"{number}\n")
    await asyncio.sleep(0.6)
    assert set(pipe.read()) == {"x"}
    assert await pipe.read_until("99\n") == "".join(f"{number}\n" for number in range(100))
    assert log.take() == []


async def test_lost_lines_are_counted(pipe: Pipe, log: Log) -> None:
    pipe.block()
    line = f"{'x' * (BLOCK - 1)}\n"
    for _ in range(MAX_BLOCKS + 64):
        pipe.buffer.add(line)
    warning = "WARNING Standard output takes no lines (it is blocked): the access log loses them."
    assert log.take() == [warning]
    received = ""
    for _ in range(100):
        received += pipe.read()
        pipe.buffer.flush()
    assert received.count("\n") == MAX_BLOCKS
    warning = "WARNING Standard output is ready again. The access log lost 64 lines."
    assert log.take() == [warning]


async def test_a_closed_output_raises_nothing(pipe: Pipe, log: Log) -> None:
    pipe.close_read_end()
    for _ in range(MAX_BLOCKS * 32 + 32):
        pipe.buffer.add("x\n")
    (warning,) = log.take()
    assert warning.startswith("WARNING Standard output takes no lines ([Errno 32] Broken pipe)")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Only Linux has /dev/full.")
async def test_a_full_output_raises_nothing(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: full))
    buffer = LineBuffer(str)
    for _ in range(MAX_BLOCKS * 32 + 32):
        buffer.add("x\n")
    buffer.close()
    os.close(full)
    (warning,) = log.take()
    assert "[Errno 28] No space left on device" in warning


@pytest.mark.parametrize("stdout", [None, StringIO()], ids=["none", "in memory"])
async def test_a_process_without_output_is_no_error(
    stdout: StringIO | None, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    buffer = LineBuffer(str)
    buffer.add("x\n")
    buffer.close()
    assert log.take() == []


async def test_windows_writes_without_polling(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    pipe.buffer.add("x\n")
    pipe.buffer.close()
    assert pipe.read() == "x\n"
