"""Rank items for a user in a scenario: features looked up online, scores from a published model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.serving.batch import FeatureBatch
from features.serving.fit import require_fit
from features.serving.lookup import FeatureLookup


@dataclass(frozen=True, slots=True)
class Ranking:
    """N items, best first.

    Attributes:
        items: their ids.
        scores: float32 [N, T], a probability for each task; the first one ranks.
        tasks: names of the T tasks.
        batch: the features they were ranked by, in the order of the request.
        order: int [N], each ranked item's place in the request.
    """

    items: list[str]
    scores: npt.NDArray[np.float32]
    tasks: tuple[str, ...]
    batch: FeatureBatch
    order: npt.NDArray[np.intp]


class Ranker:
    """A published model with the lookup of the features that it was trained on.

    Args:
        folder: the model's folder, as `gatehouse models pull` leaves it.
        look_up: makes the lookup of the feature service that it is given the name of.

    Raises:
        ArtifactError: the folder holds no model that can be trusted, or its input is declared no longer.
        StoreError: the lookup cannot be made.
    """

    def __init__(self, folder: Path, look_up: Callable[[str], FeatureLookup]) -> None:
        from training.artifact import load_model  # brings torch, which most users of a lookup do without

        self._model, self._encoder = load_model(folder)
        self.lookup = look_up(self._encoder.spec.service)
        require_fit(self.lookup.catalog, self._encoder.spec)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self._encoder.spec.tasks)

    def rank(
        self,
        *,
        scenario: str,
        user: str,
        items: Sequence[str],
        top: int | None = None,
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Ranking:
        """The `top` best of `items`, or all of them, best first; equal scores keep the request's order.

        `scenario`, `user`, `at` and `context` are those of `FeatureLookup.batch`. When the store is away,
        items are ranked by declared defaults, and the batch is flagged as degraded.

        Raises:
            StoreError: nothing is served, or another data set is.
        """
        from training.data.spec import EVENT_TIME
        from training.score import score_rows

        batch = self.lookup.batch(scenario=scenario, user=user, items=items, at=at, context=context)
        if not items:
            none = np.empty((0, len(self.tasks)), np.float32)
            return Ranking([], none, self.tasks, batch, np.empty(0, np.intp))
        # What the user and the scenario say is encoded once, whatever the number of items.
        instant = np.array([int(batch.instant.timestamp() * 1_000_000)], np.int64)
        encoded = self._encoder.transform({**batch.distinct_columns(), EVENT_TIME: instant})
        scores = score_rows(self._model, encoded)
        order = np.argsort(-scores[:, 0], kind="stable")[:top]
        return Ranking([items[place] for place in order], scores[order], self.tasks, batch, order)
