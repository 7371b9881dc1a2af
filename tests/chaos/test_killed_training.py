"""Training is killed: the model that is there stays whole, and the run goes on to the same weights."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.chaos.commands import Nursery, Steps, drawn, killed
from tests.chaos.faults import Chaos, Fault
from tests.chaos.retraining import MODEL, Retraining, model_of
from tests.chaos.states import files_of, sealed_state

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
            killed(nursery.start_until(home, "train", MODEL, steps=Steps(home), at=at))
            assert sealed_state(model_of(settings)) in retraining.states, f"killed at step {at}"
            again = nursery.start(home, "train", MODEL)
            assert again.wait() == 0, again.said
            assert files_of(home, ["models"]) == retraining.new
        finally:
            shutil.rmtree(home)

    chaos.inject(KILLED, kill, quick=2)
