"""One run of a stage: what its log lines, its metrics and its lineage are called by."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version

from pipelines.days import Days

CODE = version("gatehouse")


def _scheduled() -> str | None:
    return os.environ.get("GATEHOUSE_RUN") or None


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage at work on some days.

    Attributes:
        stage: a name of pipelines.stages, or of another command that is timed like one.
        dataset: whose data.
        days: UTC.
        model: of a stage that runs once per model; empty for the others.
        id: a UUID of this attempt alone.
        scheduled: the scheduler's name of the run it belongs to (GATEHOUSE_RUN); None by hand.
    """

    stage: str
    dataset: str
    days: Days
    model: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    scheduled: str | None = field(default_factory=_scheduled)

    @classmethod
    def of(cls, dataset: str, stage: str, days: Days | date, model: str = "") -> StageRun:
        """A new run; a single day is a range of one."""
        return cls(stage, dataset, days if isinstance(days, Days) else Days.one(days), model)

    @property
    def name(self) -> str:
        """What its note in runs/DATASET is called, for example "train_pepnet"."""
        return f"{self.stage}_{self.model}" if self.model else self.stage

    @property
    def fields(self) -> dict[str, str]:
        """What every log line of the run carries."""
        model = {"model": self.model} if self.model else {}
        work = {"stage": self.stage, "dataset": self.dataset, "ds": str(self.days), **model}
        return {**work, "run": self.scheduled or self.id, "code": CODE}
