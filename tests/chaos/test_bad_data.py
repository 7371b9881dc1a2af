"""Bad data is refused with a message that says where, or handled as the data contract says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from tests.chaos.bad_data.kinds import Kind
from tests.chaos.bad_data.road import Road
from tests.chaos.bad_data.table import KINDS
from tests.chaos.faults import Chaos, Fault

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def road(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Road]:
    """The road of a seed and a number, on which all kinds are met."""

    @cache
    def walked(seed: int, number: int) -> Road:
        return Road(tmp_path_factory.mktemp("road") / "home", KINDS, Random(f"{seed} bad data {number}"))

    return walked


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_bad_data_is_refused_or_handled_and_what_was_there_before_stays(
    chaos: Chaos, road: Callable[[int, int], Road], kind: Kind
) -> None:
    numbers = itertools.count()

    def meet(_: Random) -> None:
        road(chaos.seed, next(numbers)).require(kind)

    chaos.inject(Fault(f"bad data: {kind.name}", kind.outcome.words), meet)
