"""What is done about callers that are slow on purpose: uvicorn's protocol, with deadlines it does not have.

uvicorn closes a connection that is idle between two requests, and no other: one that sends nothing at all, or
a byte of a header now and then, or that never takes its answer, would stay for good and hold a file
descriptor. See https://en.wikipedia.org/wiki/Slowloris_(cyber_attack). The body has its deadline in
features.serving.web.limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Impatient(HttpToolsProtocol):
    """Closes a connection whose next head takes too long or is too large, or whose answer lies unread.

    Attributes:
        seconds: from the connection, or the first byte of a later request, to the end of the head; and
            that an answer may lie unread.
        head_bytes: of the request line and the headers.
    """

    seconds: ClassVar[float] = 10.0
    head_bytes: ClassVar[int] = 65_536

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head = Timer()
        self._reader = Timer()
        self._read = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._reader.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        answered: RequestResponseCycle | None = self.cycle
        if not self._head.runs and answered is not None and answered.response_complete:
            self._expect_head()
        self._read += len(data)
        super().data_received(data)
        if self._head.runs and self._read > self.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        self._head.stop()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.start(self.loop, self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._reader.stop()
        super().resume_writing()

    def _expect_head(self) -> None:
        self._read = 0
        self._head.start(self.loop, self.seconds, lambda: self._refuse(b"408 Request Timeout"))

    def _refuse(self, status: bytes) -> None:
        """Say why, and close."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            self.transport.close()


class Timer:
    """Does something once, unless it is stopped before."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]) -> None:
        self.stop()
        self._handle = loop.call_later(seconds, then)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
