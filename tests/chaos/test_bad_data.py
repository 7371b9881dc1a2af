"""Bad data is refused with a message that says where, or handled as the data contract says."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from pipelines.settings import CHECKOUT
from tests.chaos.bad_data.__main__ import page
from tests.chaos.bad_data.kinds import Handled
from tests.chaos.bad_data.road import Road
from tests.chaos.bad_data.table import KINDS, by_outcome
from tests.chaos.faults import Chaos, Fault

REFUSED = Fault(
    "ingest is given a file that is broken",
    "one line names the file and the way out; nothing is published, and lookups go on",
)
STOPPED = Fault(
    "a day of the log is unusable",
    "the gate stops it and names rows and reason; days before it and lookups stay as they are",
)
HANDLED = Fault(
    "a day of the log is odd",
    "its events are exactly those that the data contract says; days before it and lookups stay as they are",
)


@pytest.fixture(scope="module")
def road(spark: object, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Road]:
    """The road of a seed and a number, on which all kinds are met."""

    @cache
    def walked(seed: int, number: int) -> Road:
        return Road(tmp_path_factory.mktemp("road") / "home", KINDS, Random(f"{seed} bad data {number}"))

    return walked


@pytest.mark.spark
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(REFUSED, "ingest"), (STOPPED, "events"), (HANDLED, "handled")],
    ids=["refused", "stopped", "handled"],
)
def test_bad_data_is_refused_or_handled_and_what_was_there_before_stays(
    chaos: Chaos, road: Callable[[int, int], Road], fault: Fault, outcome: str
) -> None:
    kinds = by_outcome()[outcome]
    meetings = ((number, kind) for number in itertools.count() for kind in kinds)

    def meet(_: Random) -> None:
        number, kind = next(meetings)
        road(chaos.seed, number).require(kind)

    chaos.inject(fault, meet, kinds=len(kinds), at_most=1)


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40


def test_page_is_what_the_list_says() -> None:
    committed = (CHECKOUT / "docs" / "bad-data.md").read_text(encoding="utf-8")
    assert committed == page(), "run `python -m tests.chaos.bad_data > docs/bad-data.md` and commit it"


def test_rules_of_what_is_handled_stand_in_the_data_contract() -> None:
    contract = " ".join((CHECKOUT / "docs" / "data-contract.md").read_text(encoding="utf-8").split()).lower()
    rules = {kind.outcome.how for kind in KINDS if isinstance(kind.outcome, Handled)}
    assert not [rule for rule in sorted(rules) if rule.lower() not in contract]
