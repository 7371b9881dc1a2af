"""Limits are those of the true probabilities on a run's own test rows; regret is what is missing to them."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from pipelines.datasets.regret import expected_limits, limits, regret, regret_table
from pipelines.datasets.truth import OVERALL, true_rows
from pipelines.errors import MissingPartitionError
from pipelines.evaluate import evaluate
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.train import train
from tests.pipelines.assembled import DS, assembled
from tests.pipelines.known_truth import known_truth
from training.data.arrays import EncodedArrays


@pytest.fixture
def known(home: Callable[..., Path]) -> Settings:
    return known_truth(home)


def _arrays(settings: Settings) -> EncodedArrays:
    return EncodedArrays(settings.lake / "encoded" / "ranker_v1" / f"ds={DS}")


def test_true_rows_are_the_test_rows_in_the_order_of_a_models_predictions(known: Settings) -> None:
    rows = true_rows(known, DS)

    assert rows.labels.tolist() == _arrays(known).column("labels", "test").tolist()
    assert not np.array_equal(rows.labels, rows.labels[::-1])


def test_limits_are_the_areas_of_the_true_probabilities_over_all_rows_and_by_scenario(
    known: Settings,
) -> None:
    lake, arrays = Lake(known.lake), _arrays(known)
    truth = pq.read_table(lake.files("truth", known.dataset_params.split.days(DS)["test"])).to_pandas()
    rows = (
        pq.read_table(lake.folder("training_sets/ranker_v1", DS))
        .to_pandas()
        .iloc[slice(*arrays.span("test"))]
    )
    rows = rows.merge(truth, on="event_id")

    found = limits(known, DS)

    assert list(found) == [OVERALL, *rows["scenario_id"].value_counts().index]
    for scenario, tasks in found.items():
        part = rows if scenario == OVERALL else rows[rows["scenario_id"] == scenario]
        for task in ("click", "like"):
            expected = roc_auc_score(part[f"label_{task}"], part[f"p_{task}"])
            assert tasks[task] == pytest.approx(expected)


def test_expected_limits_are_near_the_drawn_ones(known: Settings) -> None:
    drawn, expected = limits(known, DS), expected_limits(known, DS)

    assert drawn[OVERALL] != expected[OVERALL]
    for scenario, tasks in expected.items():
        assert tasks["click"] == pytest.approx(drawn[scenario]["click"], abs=0.06)


def test_regret_is_the_limit_less_a_models_area_and_the_table_shows_it(known: Settings) -> None:
    train(known, DS, "pepnet")
    evaluation = evaluate(known, DS)

    found, best = regret(known, DS), limits(known, DS)

    assert list(found) == list(evaluation.models)
    overall = evaluation.models["pepnet"].overall["click"].auc
    assert found["pepnet"][OVERALL]["click"] == pytest.approx(best[OVERALL]["click"] - overall)
    inside = evaluation.models["pepnet"].scenarios["scenario1"]["like"].auc
    assert found["pepnet"]["scenario1"]["like"] == pytest.approx(best["scenario1"]["like"] - inside)
    screen = Console(file=StringIO(), width=160)
    screen.print(regret_table(known, DS))
    assert (
        f"{best['scenario1']['click'] - evaluation.models['pepnet'].scenarios['scenario1']['click'].auc:.4f}"
        in (screen.file.getvalue())
    )


def test_limits_are_refused_when_there_is_no_truth(home: Callable[..., Path]) -> None:
    with pytest.raises(MissingPartitionError, match="only the simulated log has them"):
        limits(assembled(home), DS)


def test_limits_are_refused_when_the_log_was_made_anew_since(known: Settings) -> None:
    lake = Lake(known.lake)
    truth = pq.read_table(lake.files("truth", known.dataset_params.split.days(DS)["test"]))
    with lake.staging() as staged:
        pq.write_table(truth.slice(0, 10), staged / "0.parquet")
        lake.publish("truth", DS, [staged / "0.parquet"], {})

    with pytest.raises(MissingPartitionError, match="gatehouse assemble --ds 2026-01-04"):
        limits(known, DS)
