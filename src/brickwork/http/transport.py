"""Coalescing of writes to the socket."""

import asyncio
from typing import Any


class WriteCoalescingTransport:
    """A transport that sends two consecutive writes in one system call.

    The head and the body of a response are such writes. Each alone would often be a packet.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Wrap *transport*."""
        self._transport = transport
        self._buffer = b""

    def __getattr__(self, name: str) -> Any:
        """Return the attribute *name* of the wrapped transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data* together with a buffered write, or buffer it until the loop's next turn."""
        if self._buffer:
            buffered, self._buffer = self._buffer, b""
            self._transport.writelines((buffered, data))
        elif data:
            self._buffer = data
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send the buffered write."""
        buffered, self._buffer = self._buffer, b""
        if buffered and not self._transport.is_closing():
            self._transport.write(buffered)

    def close(self) -> None:
        """Send the buffered write, and close the transport."""
        self.flush()
        self._transport.close()
