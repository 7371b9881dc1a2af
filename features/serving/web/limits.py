"""How much one caller may ask for: bytes and rows of a request, its seconds on the way, requests a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a request.

    Attributes:
        body: bytes of its body.
        rows: items, or rows of entities.
        seconds: that its body may take to arrive.
        rate: requests a second of one token, in each worker; a second's worth may come at once.
    """

    body: int = 1_048_576
    rows: int = 5_000
    seconds: float = 10.0
    rate: float = 1_000.0


class Buckets:
    """A bucket of requests for each caller: `rate` flow in a second, and it holds a second's worth.

    Args:
        rate: requests a second.
        clock: seconds that only go forward.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(rate, 1.0)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> float:
        """Take a request out of the caller's bucket; 0, or the seconds until there is one."""
        now = self._clock()
        left, since = self._left.get(caller, (self._size, now))
        left = min(self._size, left + (now - since) * self._rate)
        if left < 1.0:
            self._left[caller] = left, now
            return (1.0 - left) / self._rate
        self._left[caller] = left - 1.0, now
        return 0.0


class BodyLimit:
    """Refuses a body that is too large, before it is read where its length is told, or too slow."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limit = limits.body
        self._seconds = limits.seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        too_much = told.isdigit() and int(told) > self._limit
        read = 0
        whole = False
        deadline = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal read, whole
            if whole:
                return await receive()  # that the caller has gone
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"a request may take {self._seconds:g} s to arrive") from None
            whole = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if too_much or read > self._limit:
                raise HTTPException(413, f"a request may have {self._limit:,} bytes; ask for fewer rows")
            return message

        await self._app(scope, counted, send)
