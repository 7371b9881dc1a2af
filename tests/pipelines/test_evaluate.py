from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.errors import MissingPartitionError
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.settings import Settings
from pipelines.tables import metrics_table, scenario_table
from pipelines.train import train
from tests.pipelines.assembled import DS, assembled, encode, let_through, write_training_set
from tests.training.rows import training_rows


@pytest.fixture
def trained(home: Callable[..., Path]) -> Settings:
    settings = assembled(home)
    for model in settings.params.train.models:
        train(settings, DS, model)
    return settings


def test_evaluate_measures_every_model_and_the_trees_on_the_test_rows(trained: Settings):
    evaluation = evaluate(trained, DS)
    assert list(evaluation.models) == ["pooled_mlp", "pepnet", "lightgbm"]
    for metrics in evaluation.models.values():
        assert metrics.overall["click"].auc > 0.6
        assert metrics.overall["click"].rows == evaluation.rows["test"]
    assert list(evaluation.hashes) == ["pooled_mlp", "pepnet"]
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


def test_tables_show_every_model_and_scenario(trained: Settings):
    evaluation = evaluate(trained, DS)
    screen = Console(file=StringIO(), width=160)
    screen.print(metrics_table(evaluation), scenario_table(evaluation))
    text = screen.file.getvalue()
    for word in ("pooled_mlp", "pepnet", "lightgbm", "click", "like", "scenario0", "scenario2"):
        assert word in text
    assert f"{evaluation.models['pepnet'].overall['click'].auc:.4f}" in text
