"""Metrics of the stages' last runs, in files that node_exporter's textfile collector reads.

One file a stage and model, replaced whole after each run that succeeded; the failures of a data set
are counted in a file of their own. So the number of files is bounded, no series stands in two of
them, and models that are trained at the same time do not overwrite each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from features.declarations.groups import Profile
from pipelines.days import snapshot_instant
from pipelines.lake import Lake
from pipelines.lineage.parts import Part
from pipelines.observing.run import StageRun
from pipelines.settings import Settings

OF_STAGE = ("stage", "dataset", "model")
FAILURES = "gatehouse_stage_failures_total"
LOCK_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric says and by which labels it is told apart."""

    text: str
    labels: tuple[str, ...]


METRICS = {
    "gatehouse_stage_seconds": Meaning("Seconds the last successful run took", OF_STAGE),
    "gatehouse_stage_rows": Meaning("Rows of the last successful run, as its log line says", OF_STAGE),
    "gatehouse_stage_bytes": Meaning("Bytes the last successful run wrote", OF_STAGE),
    "gatehouse_stage_last_success_timestamp_seconds": Meaning(
        "When a run last succeeded, Unix time", OF_STAGE
    ),
    FAILURES: Meaning("Runs that failed, by class of the error", ("stage", "dataset", "error")),
    "gatehouse_features_newest_timestamp_seconds": Meaning(
        "Instant up to which every feature group has a snapshot, Unix time", ("dataset",)
    ),
    "gatehouse_published_version": Meaning("Number of the last version published", ("dataset", "model")),
    "gatehouse_training_loss": Meaning("Loss of the epoch that was kept", ("dataset", "model", "split")),
    "gatehouse_training_samples_per_second": Meaning(
        "Rows trained on a second, validation not counted", ("dataset", "model")
    ),
}
"""Every metric of the stages; docs/observability.md lists them, which a test holds equal."""


def metrics_folder(settings: Settings) -> Path:
    """One folder for all data sets of the home, so that a collector is pointed at one."""
    return settings.home / "runs" / "metrics"


def write_success(
    settings: Settings, run: StageRun, facts: Mapping[str, object], written: Sequence[Part]
) -> None:
    """Replace the metrics of a stage by those of a run that has just succeeded."""
    name = "-".join(filter(None, (run.dataset, run.stage, run.model)))
    families = {
        metric: _gauge(metric, samples) for metric, samples in _samples(settings, run, facts, written)
    }
    _write(metrics_folder(settings) / f"{name}.prom", families.values())


def count_failure(settings: Settings, run: StageRun, error: BaseException) -> None:
    """Add one to the failures of the stage by this class of error; counts outlive processes."""
    path = metrics_folder(settings) / f"{run.dataset}-failures.prom"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        counts = dict(_counted(path))
        own = (run.stage, run.dataset, type(error).__name__)
        counts[own] = counts.get(own, 0.0) + 1.0
        meaning = METRICS[FAILURES]
        family = CounterMetricFamily(FAILURES, meaning.text, labels=meaning.labels)
        for labels, count in sorted(counts.items()):
            family.add_metric(labels, count)
        _write(path, [family])


def _samples(
    settings: Settings, run: StageRun, facts: Mapping[str, object], written: Sequence[Part]
) -> Iterator[tuple[str, dict[tuple[str, ...], object]]]:
    """Metric to label values to value, for what the run has to say."""
    own = (run.stage, run.dataset, run.model)
    yield "gatehouse_stage_seconds", {own: facts["seconds"]}
    yield "gatehouse_stage_last_success_timestamp_seconds", {own: time.time()}
    if "rows" in facts:
        yield "gatehouse_stage_rows", {own: facts["rows"]}
    if written:
        yield "gatehouse_stage_bytes", {own: sum(part.size or 0 for part in written)}
    if run.stage == "aggregate":
        yield "gatehouse_features_newest_timestamp_seconds", {(run.dataset,): _newest_snapshot(settings)}
    if run.stage == "publish":
        model, _, version = str(facts["model"]).partition("@v")
        yield "gatehouse_published_version", {(run.dataset, model): version.partition(".")[0]}
    if run.stage == "train":
        losses = {"train": facts["train_loss"], "validation": facts["validation_loss"]}
        yield (
            "gatehouse_training_loss",
            {(run.dataset, run.model, split): loss for split, loss in losses.items()},
        )
        if facts["samples_per_second"] is not None:
            speed = facts["samples_per_second"]
            yield "gatehouse_training_samples_per_second", {(run.dataset, run.model): speed}


def _newest_snapshot(settings: Settings) -> float:
    """The stalest feature group's newest snapshot; a group without one makes it 0."""
    lake = Lake(settings.lake)
    days = [
        max(lake.days(f"features/{view.name}"), default=None)
        for view in settings.catalog.views
        if not isinstance(view, Profile)
    ]
    known = [snapshot_instant(day).timestamp() for day in days if day is not None]
    return min(known) if known and len(known) == len(days) else 0.0


def _gauge(metric: str, samples: Mapping[tuple[str, ...], object]) -> GaugeMetricFamily:
    meaning = METRICS[metric]
    family = GaugeMetricFamily(metric, meaning.text, labels=meaning.labels)
    for labels, value in samples.items():
        family.add_metric(labels, float(str(value)))
    return family


def _counted(path: Path) -> Iterator[tuple[tuple[str, str, str], float]]:
    """The counts in a file of failures; none where there is no such file."""
    if not path.exists():
        return
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            if sample.name == FAILURES:
                labels = sample.labels
                yield (labels["stage"], labels["dataset"], labels["error"]), sample.value


def _write(path: Path, families: Iterable[Metric]) -> None:
    registry = CollectorRegistry()
    registry.register(_Fixed(tuple(families)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


class _Fixed(Collector):
    """Hands a registry what is known already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
