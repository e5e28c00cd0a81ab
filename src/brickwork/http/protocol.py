"""uvicorn's HTTP protocol with bounded request heads.

For `uvicorn --http brickwork.protocol:Protocol`. An application cannot bound a request head.
uvicorn's own protocol accepts a URL and headers of any length, and adds trailers to the headers. It
answers invalid HTTP in plain text, where this one sends a problem.
"""

import asyncio
from http import HTTPStatus
from typing import ClassVar, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from brickwork.context import new_context, new_request_id
from brickwork.http.problem_response import problem_response
from brickwork.http.transport import WriteCoalescingTransport
from brickwork.limits import Limits
from brickwork.problems import BadRequest, HeadersTooLarge, Problem, URITooLong


class Protocol(HttpToolsProtocol):
    """A connection, which is closed when this class rejects a request."""

    longest_head: ClassVar = 65_536
    """The bytes outside the body: request line, headers, chunk sizes and trailers."""

    framing: ClassVar = 8
    """The overhead of chunks, in bytes for each byte of the body."""

    _in_head = True
    _has_line = False
    _line = 0
    _overhead = 0
    _is_rejected = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", WriteCoalescingTransport(transport))

    @override
    def data_received(self, data: bytes) -> None:
        if self._overhead > self.longest_head and not self._is_rejected:
            self.send_400_response("")
        if not (self._is_rejected or self.transport.is_closing()):
            if not self._has_line:
                line, newline, _ = data.partition(b"\n")
                self._line, self._has_line = self._line + len(line), bool(newline)
            self._overhead += len(data)
            super().data_received(data)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer, which is ignored (RFC 9110, section 6.5.1)
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    @override
    def on_body(self, body: bytes) -> None:
        self._overhead = max(0, self._overhead - len(body) * (1 + self.framing))
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._in_head, self._has_line, self._line, self._overhead = True, False, 0, 0
        super().on_message_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        self._is_rejected = True
        last = cast("RequestResponseCycle | None", self.cycle)
        if last and self._in_head and not last.response_complete:
            last.keep_alive = False  # finish the responses to earlier requests only
            return
        is_begun = last and not self._in_head and last.response_started
        if not (is_begun or self.pipeline):
            self._send_problem()
        self.transport.close()

    def _send_problem(self) -> None:
        scope = {"root_path": self.root_path}
        new_context(scope, new_request_id())
        response = problem_response(self._find_problem(), scope)
        status = HTTPStatus(response.status_code)
        head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), b"connection: close"]
        head += [b"%s: %s" % header for header in response.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"", bytes(response.body)]))

    def _find_problem(self) -> Problem:
        if self._line > Limits().url:
            return URITooLong(f"The URL may have {Limits().url} bytes.")
        if self._overhead > self.longest_head:
            return HeadersTooLarge(f"The headers may have {Limits().headers} bytes.")
        return BadRequest("The request is not HTTP.")
