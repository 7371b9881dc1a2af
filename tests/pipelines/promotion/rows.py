"""Held-out rows with known truth, for judging challengers that are made to be better, equal or worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.promotion.heldout import HeldOut

LARGE, SMALL = "large", "small"


def held_out(
    seed: int,
    *,
    sizes: Mapping[str, int],
    users: int = 60,
    tasks: tuple[str, ...] = ("click",),
    noise: float = 0.7,
) -> HeldOut:
    """Rows of `sizes` in each scenario; both models know the truth equally well, with noise of their own.

    A user has a taste of his own, so that his rows resemble each other.
    """
    rng = np.random.default_rng(seed)
    rows = sum(sizes.values())
    user = np.unique(rng.integers(users, size=rows), return_inverse=True)[1]
    logits = rng.normal(size=(rows, len(tasks))) + rng.normal(size=users)[user][:, None] - 0.5
    stops = np.cumsum(list(sizes.values()))
    return HeldOut(
        tasks=tasks,
        scenarios={
            name: np.arange(stop - sizes[name], stop) for name, stop in zip(sizes, stops, strict=True)
        },
        user=user.astype(np.int64),
        labels=(rng.random(logits.shape) < _sigmoid(logits)).astype(np.float32),
        challenger=_sigmoid(logits + noise * rng.normal(size=logits.shape)),
        champion=_sigmoid(logits + noise * rng.normal(size=logits.shape)),
    )


def shuffled(rows: HeldOut, scenario: str, seed: int = 1) -> HeldOut:
    """The same, but the challenger knows nothing in one scenario: its scores there have changed places."""
    challenger, own = rows.challenger.copy(), rows.scenarios[scenario]
    challenger[own] = challenger[np.random.default_rng(seed).permutation(own)]
    return replace(rows, challenger=challenger)


def nearer_the_labels(rows: HeldOut, scenario: str) -> HeldOut:
    """The same, but the challenger is much better in one scenario."""
    challenger, own = rows.challenger.copy(), rows.scenarios[scenario]
    challenger[own] = 0.6 * challenger[own] + 0.4 * rows.labels[own]
    return replace(rows, challenger=challenger)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
