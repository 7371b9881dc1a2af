"""The held-out rows with what challenger and champion said of them: all that a verdict is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.arrays import EncodedArrays
from training.evaluation import scenario_rows


@dataclass(frozen=True, slots=True)
class HeldOut:
    """N held-out rows of U users, T tasks.

    Attributes:
        tasks: their names.
        scenarios: positions of each scenario's rows, most rows first.
        user: number of each row's user, int64 [N], 0 to U - 1.
        labels: of 0 and 1, NaN where missing, float32 [N, T].
        challenger: its probabilities, float32 [N, T].
        champion: likewise; None where there is none, or it cannot be scored.
    """

    tasks: tuple[str, ...]
    scenarios: Mapping[str, NDArray[np.int64]]
    user: NDArray[np.int64]
    labels: NDArray[np.float32]
    challenger: NDArray[np.float32]
    champion: NDArray[np.float32] | None

    @classmethod
    def of(
        cls,
        arrays: EncodedArrays,
        challenger: NDArray[np.float32],
        champion: NDArray[np.float32] | None,
    ) -> HeldOut:
        """The test rows of a training set."""
        _, user = np.unique(arrays.column("user", "test"), return_inverse=True)
        return cls(
            tasks=arrays.encoder.spec.tasks,
            scenarios=scenario_rows(arrays),
            user=user.astype(np.int64),
            labels=arrays.column("labels", "test"),
            challenger=challenger,
            champion=champion,
        )

    @property
    def users(self) -> int:
        return int(self.user.max()) + 1

    def parts(self) -> Iterator[tuple[str | None, NDArray[np.int64]]]:
        """None and all rows, then each scenario and its rows."""
        yield None, np.arange(len(self.user))
        yield from self.scenarios.items()

    def labelled(self, rows: NDArray[np.int64], task: int) -> NDArray[np.int64]:
        """Those of `rows` whose label of a task is known."""
        known: NDArray[np.int64] = rows[~np.isnan(self.labels[rows, task])]
        return known
