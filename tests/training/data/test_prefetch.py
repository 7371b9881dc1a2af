from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from training.data.prefetch import prefetched


class Counting:
    """Counts up to `stop`, knows how far it got and whether it was closed."""

    def __init__(self, stop: int, error: Exception | None = None) -> None:
        self.stop, self.error, self.made, self.closed = stop, error, 0, False

    def items(self) -> Generator[int]:
        try:
            for item in range(self.stop):
                self.made += 1
                yield item
            if self.error:
                raise self.error
        finally:
            self.closed = True


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_items_come_in_order_and_all_of_them():
    counting = Counting(50)
    assert list(prefetched(counting.items(), 3)) == list(range(50))
    assert counting.closed
    assert threads() == []


def test_nothing_is_made_further_ahead_than_was_said():
    counting = Counting(50)
    items = prefetched(counting.items(), 3)
    next(items)
    next(items)
    items.close()
    assert counting.made <= 2 + 3


def test_an_error_comes_where_its_item_would_have_come():
    items = prefetched(Counting(5, KeyError("lost")).items(), 2)
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError, match="lost"):
        next(items)
    assert threads() == []


def test_no_thread_is_left_behind_when_the_taker_stops_early():
    counting = Counting(50)
    items = prefetched(counting.items(), 2)
    next(items)
    assert len(threads()) == 1
    items.close()
    assert counting.closed
    assert threads() == []
