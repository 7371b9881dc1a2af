"""Items made ahead of time in a thread of their own, so that who takes them need not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Generator[T], ahead: int) -> Generator[T]:
    """The same items in the same order, up to `ahead` of them made before they are asked for.

    An error of `items` is raised where its item would have come. When the iterator is closed or at its
    end, `items` is closed, and its thread has ended.
    """
    waiting: deque[Future[T | _End]] = deque()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        try:
            waiting.extend(thread.submit(next, items, _END) for _ in range(ahead))
            while not isinstance(item := waiting.popleft().result(), _End):
                waiting.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()


class _End:
    """Stands behind the last item."""


_END = _End()
