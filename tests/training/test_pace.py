from __future__ import annotations

from training.pace import Pace


def test_pace_is_the_rows_of_all_epochs_over_their_seconds() -> None:
    pace = _told([0.0, 1.0, 2.0, 10.0, 14.0], [[0, 100, 100], [0, 200]])
    assert pace.rows_per_second == 400 / 6  # the eight seconds between the epochs are validation


def test_pace_leaves_out_rows_that_a_checkpoint_had_behind_it() -> None:
    assert _told([5.0, 7.0], [[1000, 10]]).rows_per_second == 5


def test_pace_is_unknown_when_nothing_was_trained() -> None:
    assert Pace().rows_per_second is None


def _told(instants: list[float], epochs: list[list[int]]) -> Pace:
    """A pace that is told of steps as the loop tells them: first what is done already, then each batch."""
    pace = Pace(iter(instants).__next__)
    for number, batches in enumerate(epochs, start=1):
        pace.epoch_started(number, len(epochs), sum(batches))
        for rows in batches:
            pace.advanced(rows)
    return pace
