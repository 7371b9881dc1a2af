"""Materialize is killed while lookups go on: every answer is of one snapshot, and the next run mends all."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines.settings import Settings
from tests.chaos.commands import Nursery, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.serving import NEW, OLD, Serving, serve, write_two_days
from tests.features.stores.stores import on_redis
from tests.valkeys import valkey

PROMISE = (
    "every lookup is answered, wholly of the old snapshot or wholly of the new; a rerun serves the new one"
)
SQLITE = Fault("materialize is killed, store in SQLite", PROMISE)
VALKEY = Fault("materialize is killed, store in Valkey", PROMISE)


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hand-made, validated snapshots of two days; nothing is served."""
    return write_two_days(tmp_path_factory.mktemp("lake") / "home").home


@pytest.fixture(params=[SQLITE, pytest.param(VALKEY, marks=pytest.mark.redis)], ids=["sqlite", "valkey"])
def serving(
    request: pytest.FixtureRequest, lake_home: Path, tmp_path: Path
) -> Iterator[tuple[Fault, Serving]]:
    """The fault, and a home of its own for it."""
    home = Path(shutil.copytree(lake_home, tmp_path / "home"))
    with ExitStack() as stack:
        if request.param is SQLITE:
            yield SQLITE, Serving(Settings(home=home))
        else:
            url = stack.enter_context(valkey())
            yield VALKEY, Serving(Settings(home=home), on_redis(tmp_path / "feature_store.yaml", url), url)


def test_lookups_see_one_snapshot_and_a_rerun_serves_the_other_when_materialize_is_killed(
    chaos: Chaos, nursery: Nursery, serving: tuple[Fault, Serving]
) -> None:
    fault, home = serving
    known = {OLD: serve(nursery, home, OLD)}
    steps = nursery.count(
        home.settings.home, *home.arguments(NEW), steps=home.steps, environment=home.environment
    )
    known[NEW] = home.answers().now()
    assert known[OLD] != known[NEW]

    def kill(numbers: random.Random) -> None:
        answers, seen = home.answers(), set()
        served, _ = answers.now()
        wanted = NEW if served == OLD else OLD
        doomed = nursery.start_until(
            home.settings.home, *home.arguments(wanted),
            steps=home.steps, at=drawn(numbers, steps), environment=home.environment,
        )  # fmt: skip
        try:
            killed(doomed, meanwhile=lambda: seen.add(answers.now()))
        finally:
            assert seen <= set(known.values()), "a lookup saw a mixture"
        assert home.answers().now() in known.values(), "what is served after the kill is a mixture"
        assert serve(nursery, home, wanted) == known[wanted]
        assert answers.now() == known[wanted], "a reader that was there all the time sees another snapshot"

    chaos.inject(fault, kill)
