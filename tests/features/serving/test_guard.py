from __future__ import annotations

import pytest

from features.serving.guard import CircuitBreaker, Patience
from features.stores.errors import StoreError, StoreUnavailableError


class Store:
    """Answers when it is there, and counts how often it was asked."""

    def __init__(self) -> None:
        self.there = False
        self.asked = 0

    def read(self) -> str:
        self.asked += 1
        if not self.there:
            raise StoreUnavailableError("away")
        return "rows"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(Patience(attempts=2, failures=3, pause=10.0), clock)


def fail(breaker: CircuitBreaker, store: Store, times: int) -> None:
    for _ in range(times):
        with pytest.raises(StoreUnavailableError):
            breaker.call(store.read)


def test_a_read_is_tried_again_before_it_fails(breaker: CircuitBreaker, store: Store) -> None:
    fail(breaker, store, 1)
    assert store.asked == 2


def test_a_second_attempt_that_succeeds_leaves_no_trace(breaker: CircuitBreaker, store: Store) -> None:
    def recover() -> str:
        store.there = store.asked > 0
        return store.read()

    for _ in range(5):
        store.asked, store.there = 0, False
        assert breaker.call(recover) == "rows"
    assert not breaker.is_open


def test_the_store_is_left_alone_after_it_has_failed_too_often(breaker: CircuitBreaker, store: Store) -> None:
    fail(breaker, store, 3)
    assert breaker.is_open
    store.there, store.asked = True, 0
    fail(breaker, store, 5)
    assert store.asked == 0


def test_one_read_tries_it_again_after_the_pause(breaker: CircuitBreaker, store: Store, clock: Clock) -> None:
    fail(breaker, store, 3)
    store.asked, clock.now = 0, 10.0
    fail(breaker, store, 4)
    assert store.asked == 1, "the trial fails at its first attempt, and the others do not wait for it"
    store.there, clock.now = True, 20.0
    assert breaker.call(store.read) == "rows"
    assert not breaker.is_open
    assert breaker.call(store.read) == "rows"


def test_failures_count_only_in_a_row(breaker: CircuitBreaker, store: Store) -> None:
    fail(breaker, store, 2)
    store.there = True
    breaker.call(store.read)
    store.there = False
    fail(breaker, store, 2)
    assert not breaker.is_open


def test_a_store_that_answers_that_it_serves_nothing_is_not_away(
    breaker: CircuitBreaker, store: Store, clock: Clock
) -> None:
    fail(breaker, store, 3)
    clock.now = 10.0

    def empty() -> str:
        raise StoreError("nothing is served")

    with pytest.raises(StoreError, match="nothing is served"):
        breaker.call(empty)
    assert not breaker.is_open
