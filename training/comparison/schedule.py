"""The schedule: the contenders' courses side by side over the workers; what is stored is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait

from training.comparison.contenders import Contender
from training.comparison.tuning import Budget, Finished, course
from training.comparison.units import Outcome, Store, Unit
from training.comparison.workers import Place, do, workers

Watcher = Callable[[Unit, Outcome], None]
"""Is told of each unit that is done, or was done before; possibly in another thread."""


def run_all(
    contenders: Sequence[Contender], place: Place, budget: Budget, *, jobs: int, watcher: Watcher
) -> dict[str, Finished]:
    """Take every contender through its course, `jobs` of them at a time.

    Args:
        contenders: who takes part.
        place: the data, the store and what all share.
        budget: of each.
        jobs: units done at a time.
        watcher: is told how it goes.

    Returns:
        By contender, in their order. Seconds apart, it depends neither on `jobs` nor on kills in between.

    Raises:
        DivergedError: a loss became NaN with the values of every trial, or with the best ones and a new seed.
    """
    _, store = place.open()
    with workers(jobs) as pool, ThreadPoolExecutor(jobs) as courses:

        def run(units: Sequence[Unit]) -> list[Outcome]:
            return _outcomes(units, place, store, pool, watcher)

        futures = {
            contender.name: courses.submit(course, contender, place.config, budget, run)
            for contender in contenders
        }
        try:
            done = wait(futures.values(), return_when=FIRST_EXCEPTION).done
            for future in done:
                future.result()  # raises what stopped a course, before the others have ended
            return {name: future.result() for name, future in futures.items()}
        finally:
            for executor in (courses, pool):
                executor.shutdown(wait=False, cancel_futures=True)


def _outcomes(
    units: Sequence[Unit], place: Place, store: Store, pool: Executor, watcher: Watcher
) -> list[Outcome]:
    """The units' outcomes; the pool does those that are not stored yet."""
    waited = [None if store.has(unit) else pool.submit(do, unit, place) for unit in units]
    outcomes = []
    for unit, future in zip(units, waited, strict=True):
        if future is not None:
            future.result()
        outcome = store.outcome(unit)
        outcomes.append(outcome)
        watcher(unit, outcome)
    return outcomes
