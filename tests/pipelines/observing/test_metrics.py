from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.lake import Lake
from pipelines.observing.console import stage
from pipelines.observing.metrics import METRICS, count_failure, metrics_folder
from pipelines.observing.run import StageRun
from pipelines.settings import CHECKOUT, Settings
from pipelines.train import train
from tests.pipelines.assembled import DS, assembled
from tests.pipelines.observed_road import DAYS, one_row, publish_part

DAY = date(2026, 1, 4)


def test_a_stage_leaves_its_seconds_rows_bytes_and_when_it_succeeded(simulated_settings: Settings) -> None:
    lake = Lake(simulated_settings.lake)
    with stage(simulated_settings, "ingest", DAYS) as facts:
        publish_part(lake, "events", DAY, one_row(1), {})
        facts["rows"] = 7
    samples = _samples(simulated_settings)
    own = {"stage": "ingest", "dataset": "simulated", "model": ""}
    assert samples["gatehouse_stage_rows", *sorted(own.items())] == 7
    size = sum(file.size for file in lake.manifest("events", DAY).files)
    assert samples["gatehouse_stage_bytes", *sorted(own.items())] == size
    assert samples["gatehouse_stage_seconds", *sorted(own.items())] >= 0
    assert samples["gatehouse_stage_last_success_timestamp_seconds", *sorted(own.items())] > 1.7e9


def test_features_are_as_new_as_the_group_that_is_furthest_behind(simulated_settings: Settings) -> None:
    lake = Lake(simulated_settings.lake)
    key = ("gatehouse_features_newest_timestamp_seconds", ("dataset", "simulated"))
    groups = simulated_settings.catalog.aggregates
    with stage(simulated_settings, "aggregate", DAYS):
        for group in groups[1:]:
            publish_part(lake, f"features/{group.name}", DAY, one_row(1), {})
    assert _samples(simulated_settings)[key] == 0
    with stage(simulated_settings, "aggregate", DAYS):
        publish_part(lake, f"features/{groups[0].name}", date(2026, 1, 2), one_row(1), {})
    assert _samples(simulated_settings)[key] == 1_767_398_400  # date -u -d 2026-01-03 +%s


def test_publish_leaves_the_version_by_model(simulated_settings: Settings) -> None:
    with stage(simulated_settings, "publish", DAY) as facts:
        facts["model"] = "pepnet@v12.0.0"
    labels = (("dataset", "simulated"), ("model", "pepnet"))
    assert _samples(simulated_settings)["gatehouse_published_version", *labels] == 12


def test_training_leaves_losses_and_pace_of_each_model(home) -> None:
    settings = assembled(home, rows=1000)
    for model in ("pepnet", "pooled_mlp"):
        train(settings, DS, model)
    samples = _samples(settings)
    for model in ("pepnet", "pooled_mlp"):
        own = (("dataset", "simulated"), ("model", model))
        note = json.loads((settings.runs / f"train_{model}.json").read_text())
        for split in ("train", "validation"):
            loss = samples["gatehouse_training_loss", *own, ("split", split)]
            assert loss == note[f"{split}_loss"]
            assert 0.1 < loss < 3
        assert samples["gatehouse_training_samples_per_second", *own] > 0
        assert samples["gatehouse_stage_rows", *own, ("stage", "train")] == note["rows"]


def test_failures_are_counted_by_class_across_runs(simulated_settings: Settings) -> None:
    for error in (ValueError("a"), ValueError("b"), KeyError("c")):
        with pytest.raises(type(error)), stage(simulated_settings, "aggregate", DAYS):
            raise error
    samples = _samples(simulated_settings)
    for error, count in (("ValueError", 2), ("KeyError", 1)):
        labels = (("dataset", "simulated"), ("error", error), ("stage", "aggregate"))
        assert samples["gatehouse_stage_failures_total", *labels] == count


def test_no_failure_is_lost_when_models_fail_at_the_same_time(simulated_settings: Settings) -> None:
    def fail(model: str) -> None:
        count_failure(
            simulated_settings, StageRun.of("simulated", "train", DAY, model), ValueError("diverged")
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fail, ["pepnet", "ppnet"] * 10))
    [count] = _samples(simulated_settings).values()
    assert count == 20


def test_a_stage_that_fails_leaves_the_metrics_of_its_last_success(simulated_settings: Settings) -> None:
    with stage(simulated_settings, "ingest", DAYS) as facts:
        facts["rows"] = 7
    path = metrics_folder(simulated_settings) / "simulated-ingest.prom"
    before = path.read_bytes()
    with pytest.raises(ValueError, match="x"), stage(simulated_settings, "ingest", DAYS):
        raise ValueError("x")
    assert path.read_bytes() == before


def test_a_stage_goes_on_when_metrics_cannot_be_written(simulated_settings: Settings) -> None:
    metrics_folder(simulated_settings).parent.mkdir()
    metrics_folder(simulated_settings).write_text("in the way")
    with stage(simulated_settings, "ingest", DAYS) as facts:
        facts["rows"] = 7
    assert (simulated_settings.runs / "ingest.json").exists()


def test_the_page_lists_every_metric_with_its_labels() -> None:
    page = (CHECKOUT / "docs" / "observability.md").read_text(encoding="utf-8")
    listed = {
        name: tuple(re.findall(r"\w+", labels))
        for name, labels in re.findall(r"^\| `(gatehouse_\w+)` \| `([\w, ]+)` \|", page, flags=re.MULTILINE)
    }
    assert listed == {name: meaning.labels for name, meaning in METRICS.items()}


def _samples(settings: Settings) -> dict[tuple[object, ...], float]:
    """Name and sorted labels to value, over all files; a series may stand in one of them only."""
    found: dict[tuple[object, ...], float] = {}
    for path in sorted(metrics_folder(settings).glob("*.prom")):
        for sample in _of_file(path):
            assert sample[0] not in found, path
            found[sample[0]] = sample[1]
    return found


def _of_file(path: Path) -> list[tuple[tuple[object, ...], float]]:
    return [
        ((sample.name, *sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
        for sample in family.samples
    ]
