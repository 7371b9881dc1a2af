from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pipelines.errors import MissingPartitionError
from pipelines.evaluate import evaluate
from pipelines.evaluation import Champion, Evaluation, judge
from pipelines.publish import publish
from pipelines.settings import Settings
from pipelines.tables import metrics_table, scenario_table
from pipelines.train import train
from tests.pipelines.assembled import DS, assembled, encode, let_through, write_training_set
from tests.training.rows import training_rows
from training.evaluation import ModelMetrics, TaskMetrics
from training.sealed import sealed_folder


@pytest.fixture
def trained(home: Callable[..., Path]) -> Settings:
    settings = assembled(home)
    for model in settings.params.train.models:
        train(settings, DS, model)
    return settings


def made_up(auc: float, log_loss: float = 0.5) -> ModelMetrics:
    own = TaskMetrics(
        rows=100, positives=30, auc=auc, gauc=auc, gauc_user=auc, log_loss=log_loss,
        constant_log_loss=0.6, calibration=1.0, calibration_error=0.0,
    )  # fmt: skip
    return ModelMetrics(overall={"click": own}, macro_auc={"click": auc}, scenarios={"0": {"click": own}})


def champion(auc: float) -> Champion:
    return Champion(model="pepnet", version="v2.0.0", ds="2026-01-01", metrics=made_up(auc))


def test_evaluate_measures_every_model_and_the_trees_on_the_test_rows(trained: Settings):
    evaluation = evaluate(trained, DS)
    assert list(evaluation.models) == ["pooled_mlp", "pepnet", "lightgbm"]
    for metrics in evaluation.models.values():
        assert metrics.overall["click"].auc > 0.6
        assert metrics.overall["click"].rows == evaluation.rows["test"]
    assert evaluation.champion is None
    assert evaluation.verdict.model == "pepnet"
    assert Evaluation.load(trained.evaluation / f"ds={DS}.json") == evaluation


def test_evaluate_writes_what_dvc_compares_and_plots(trained: Settings):
    evaluation = evaluate(trained, DS)
    metrics = json.loads((trained.reports / "metrics.json").read_text())
    assert metrics["pepnet"]["click"]["auc"] == evaluation.models["pepnet"].overall["click"].auc
    plots = trained.reports / "plots"
    curves = list(csv.DictReader((plots / "curves.csv").open()))
    assert [(line["model"], line["epoch"]) for line in curves] == [
        (model, str(epoch)) for model in ("pooled_mlp", "pepnet") for epoch in (1, 2, 3)
    ]
    areas = list(csv.DictReader((plots / "scenario_auc.csv").open()))
    assert {line["model"] for line in areas} == {"pooled_mlp", "pepnet", "lightgbm"}
    assert {line["scenario"] for line in areas} == {"scenario0", "scenario1", "scenario2"}


def test_evaluate_gives_equal_files_when_run_again(trained: Settings):
    def files() -> dict[str, bytes]:
        folders = (trained.evaluation, trained.reports)
        return {str(path): path.read_bytes() for top in folders for path in top.rglob("*") if path.is_file()}

    evaluate(trained, DS)
    first = files()
    evaluate(trained, DS)
    assert files() == first


def test_evaluate_says_which_model_to_train_when_one_is_missing(trained: Settings):
    shutil.rmtree(trained.models / "pepnet")
    with pytest.raises(MissingPartitionError, match="gatehouse train pepnet --ds 2026-01-04"):
        evaluate(trained, DS)


def test_evaluate_refuses_a_model_of_another_training_set(trained: Settings):
    rows = training_rows(trained.catalog, rows=4000, seed=1)
    write_training_set(trained, rows)
    let_through(trained)
    encode(trained, rows)
    with pytest.raises(MissingPartitionError, match="another training set"):
        evaluate(trained, DS)


def test_evaluate_fails_a_model_whose_predictions_are_not_finite(trained: Settings):
    folder = trained.models / "pepnet" / f"ds={DS}"
    broken = np.load(folder / "predictions.npy")
    broken[3, 0] = np.nan
    copy = shutil.copytree(folder, folder.with_name("copy"))
    with sealed_folder(folder) as staging:
        for path in copy.iterdir():
            shutil.copy(path, staging)
        (staging / "hashes.json").unlink()
        np.save(staging / "predictions.npy", broken)
    verdict = evaluate(trained, DS).verdict
    assert not verdict.passed
    assert "not finite" in verdict.reasons[0]


@pytest.mark.slow
def test_evaluate_scores_the_version_published_before_on_the_same_rows(trained: Settings):
    """The champion is scored from raw columns; being the same model here, it must get the same metrics."""
    before = DS - timedelta(days=1)
    shutil.copytree(trained.models / "pepnet" / f"ds={DS}", trained.models / "pepnet" / f"ds={before}")
    first = evaluate(trained, DS)
    (trained.evaluation / f"ds={before}.json").write_text(first.model_dump_json())
    publish(trained, before)
    second = evaluate(trained, DS)
    assert (second.champion.version, second.champion.ds) == ("v1.0.0", str(before))
    ours, theirs = second.models["pepnet"].overall["click"], second.champion.metrics.overall["click"]
    assert theirs.auc == pytest.approx(ours.auc, abs=1e-5)
    assert theirs.log_loss == pytest.approx(ours.log_loss, abs=1e-5)
    publish(trained, DS)
    assert evaluate(trained, DS).champion == second.champion, "a run's own version became its champion"


@pytest.mark.parametrize(
    ("auc", "passed"), [(0.80, True), (0.75, True), (0.741, True), (0.739, False), (0.5, False)]
)
def test_judge_allows_the_auc_to_fall_so_far_below_the_champion(auc: float, passed: bool):
    verdict = judge("pepnet", made_up(auc), champion(0.75), finite=True, max_auc_drop=0.01)
    assert verdict.passed is passed
    assert passed or "pepnet@v2.0.0" in verdict.reasons[0]


def test_judge_compares_with_nobody_when_the_champion_cannot_be_scored():
    lost = champion(0.9).model_copy(update={"metrics": None, "reason": "a column is missing"})
    for nobody in (None, lost):
        assert judge("pepnet", made_up(0.5), nobody, finite=True, max_auc_drop=0.01).passed


def test_judge_fails_a_model_that_is_no_better_than_a_constant():
    verdict = judge("pepnet", made_up(0.7, log_loss=0.6), None, finite=True, max_auc_drop=0.01)
    assert not verdict.passed
    assert "log loss of click" in verdict.reasons[0]


def test_tables_show_every_model_and_scenario(trained: Settings):
    evaluation = evaluate(trained, DS)
    screen = Console(file=StringIO(), width=160)
    screen.print(metrics_table(evaluation), scenario_table(evaluation))
    text = screen.file.getvalue()
    for word in ("pooled_mlp", "pepnet", "lightgbm", "click", "like", "scenario0", "scenario2"):
        assert word in text
    assert f"{evaluation.models['pepnet'].overall['click'].auc:.4f}" in text
