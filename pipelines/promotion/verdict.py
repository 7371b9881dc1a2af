"""What promote writes: every number that the chosen model was judged by, and the verdict for publishing."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import ClassVar, Literal

from pipelines.records import Record, StageRecord
from pipelines.settings import PromoteParams, Settings
from training.evaluation import ModelMetrics


class Champion(Record):
    """The version that the challenger would replace, on this run's test rows.

    Attributes:
        model, version: for example "pepnet" and "v3.0.0".
        ds: last day of the run that made it.
        hashes: SHA-256 of its hashes.json.
        production: whether it is the version in production; else the newest of this or an earlier day.
        metrics: null where it cannot be scored on today's rows.
        reason: why not; null where it was scored.
    """

    model: str
    version: str
    ds: str
    hashes: str
    production: bool
    metrics: ModelMetrics | None
    reason: str | None = None

    @property
    def tag(self) -> str:
        return f"{self.model}@{self.version}"


class Difference(Record):
    """Challenger against champion, one task on the rows of one scenario.

    Attributes:
        scenario: null over all rows.
        task: its name.
        metric: "auc", or "log_loss" (nats a row) where too few users have a positive or a negative.
        rows, positives: labelled rows.
        users: who they are of.
        champion, challenger: the metric of each; null, as what follows, where the rows are not judged.
        gain: how much better the challenger is, in the metric's unit; below 0 it is worse.
        low, high: bounds of the gain.
        tolerance: how far the gain may lie below 0.
        passed: whether `high` is not below -`tolerance`.
        reason: why the rows are not judged; null where they are.
    """

    scenario: str | None
    task: str
    metric: Literal["auc", "log_loss"]
    rows: int
    positives: int
    users: int
    champion: float | None = None
    challenger: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    passed: bool
    reason: str | None = None


class Calibration(Record):
    """Predicted over observed positives of one task on the rows of one scenario.

    Attributes:
        scenario: null over all rows.
        task: its name.
        positives: observed.
        challenger: the ratio, 1 is best; null without a positive.
        champion: the champion's; null without one that was scored.
        passed: within the bounds, or no further from 1 than the champion.
        reason: why the rows are not judged; null where they are.
    """

    scenario: str | None
    task: str
    positives: int
    challenger: float | None
    champion: float | None
    passed: bool
    reason: str | None = None


class Scores(Record):
    """How the challenger's scores of one task are distributed over the held-out rows.

    Attributes:
        task: its name.
        lowest, highest: null where some score is not finite.
        saturated: share of scores that are 0 or 1 but for rounding.
        psi: population stability index against the champion's scores; null without them.
        passed: finite, not constant, and within both bounds.
    """

    task: str
    lowest: float | None
    highest: float | None
    saturated: float | None
    psi: float | None
    passed: bool


class Promotion(StageRecord):
    """The verdict on the chosen model of one run.

    Attributes:
        dataset: name of the data set.
        ds: last day of the run.
        model: the challenger, `publish.model`.
        hashes: SHA-256 of its hashes.json; the verdict is on these files and no others.
        data: fingerprint of the encoded arrays.
        champion: null before another version is published.
        target: the task that must hold over all rows.
        bounds: what it was held to, from params.yaml.
        users: how many the held-out rows are of.
        differences: the target over all rows first; empty without a scored champion.
        calibrations, scores: by task; calibrations by scenario, too.
        quick: whether a list is scored within the budget. The milliseconds are a clock's, and stand in the
            stage's note.
        reasons: everything that speaks against the challenger, in words.
        passed: whether nothing does.
    """

    written_by: ClassVar[str] = "promote"

    dataset: str
    ds: str
    model: str
    hashes: str
    data: str
    champion: Champion | None
    target: str
    bounds: PromoteParams
    users: int
    differences: tuple[Difference, ...]
    calibrations: tuple[Calibration, ...]
    scores: tuple[Scores, ...]
    quick: bool
    reasons: tuple[str, ...]
    passed: bool


def promotion_path(settings: Settings, ds: date) -> Path:
    """Where the verdict on the run that ends on `ds` lies."""
    return settings.promotion / f"ds={ds}.json"
