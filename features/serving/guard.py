"""What a lookup does about a store that does not answer: try again, then leave it alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from features.stores.errors import StoreError, StoreUnavailableError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is waited for.

    Attributes:
        attempts: how often a read is tried; each may take the store's own timeout.
        failures: reads in a row that must fail before the store is left alone.
        pause: seconds it is left alone before one read tries it again.
    """

    attempts: int = 2
    failures: int = 3
    pause: float = 1.0


class CircuitBreaker:
    """Closed while the store answers; open, so that nobody waits, after it has failed too often.

    Of all threads one at a time tries an open circuit again once `pause` has gone by.

    Args:
        patience: its bounds.
        clock: seconds that only go forward.
    """

    def __init__(self, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._again = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._patience.failures

    def call(self, read: Callable[[], Answer]) -> Answer:
        """The answer of `read`.

        Raises:
            StoreUnavailableError: it failed at every attempt, or the circuit is open.
            StoreError: the store answers that it cannot serve this.
        """
        if not self._may_try():
            raise StoreUnavailableError("the online store has not answered; it is left alone for a while")
        for attempt in range(1, self._patience.attempts + 1):
            try:
                answer = read()
            except StoreUnavailableError:
                if self._failed(last=attempt == self._patience.attempts):
                    raise
            except StoreError:
                self._failures = 0  # it answered, though not with rows
                raise
            else:
                self._failures = 0
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _may_try(self) -> bool:
        if not self.is_open:
            return True
        with self._lock:
            now = self._clock()
            if now < self._again:
                return False
            self._again = now + self._patience.pause
            return True

    def _failed(self, *, last: bool) -> bool:
        """Note a failed attempt; whether it was the last that is to be made."""
        if not last and not self.is_open:
            return False
        with self._lock:
            self._failures += 1
            self._again = self._clock() + self._patience.pause
        return True
