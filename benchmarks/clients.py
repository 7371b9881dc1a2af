"""Several client processes that ask at once, each in its own loop, and what they had to wait for."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Ask = Callable[[int], object]
"""Makes the request of a number; a client makes them one after the other."""


def ask_at_once(connect: Callable[[], Ask], clients: int, seconds: float) -> np.ndarray:
    """Milliseconds of every request that `clients` processes made within `seconds`."""
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=_client, args=(connect, barrier, seconds, queue)) for _ in range(clients)
    ]
    for process in processes:
        process.start()
    taken = np.concatenate([queue.get() for _ in processes])
    for process in processes:
        process.join()
    return taken


def _client(connect: Callable[[], Ask], barrier: Any, seconds: float, queue: Any) -> None:
    ask = connect()
    for number in range(3):
        ask(number)
    barrier.wait()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        ask(len(taken))
        taken.append((time.perf_counter() - begun) * 1e3)
    queue.put(np.array(taken))
