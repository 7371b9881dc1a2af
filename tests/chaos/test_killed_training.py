"""Training is killed: the model that is there stays whole, and the run goes on to the same weights."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.chaos.commands import Nursery, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.retraining import Retraining

KILLED = Fault(
    "train is killed",
    "the model that was there or the new one, whole; run again, the weights are equal to the bit",
)


def test_model_stays_whole_and_ends_in_the_same_weights_when_training_is_killed(
    chaos: Chaos, nursery: Nursery, retraining: Retraining, tmp_path: Path
) -> None:
    def kill(numbers: random.Random) -> None:
        settings = retraining.copy(tmp_path / "home")
        home = settings.home
        try:
            at = drawn(numbers, retraining.steps)
            killed(
                nursery.start_until(home, *retraining.arguments, steps=retraining.counted(settings), at=at)
            )
            retraining.require_whole(settings)
            again = nursery.start(home, *retraining.arguments)
            assert again.wait() == 0, again.said
            retraining.require_new(settings)
        finally:
            shutil.rmtree(home)

    chaos.inject(KILLED, kill, quick=2)
