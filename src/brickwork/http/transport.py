"""What lies between the protocol and the socket."""

import asyncio
from typing import Any


class WriteCoalescingTransport:
    """A transport that sends together what is written at once, as the head and body of an answer.

    Each by itself is a call of the system, and often a packet.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Be *transport* in all but that."""
        self._transport = transport
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        """Return what the transport has of this *name*."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data* after what was held back; alone, it is held back until others had a turn."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif data:
            self._held = data
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what is held back."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)

    def close(self) -> None:
        """Close the transport when all is sent."""
        self.flush()
        self._transport.close()
