from __future__ import annotations

import numpy as np
import pytest

from training.data.arrays import EncodedArrays
from training.evaluation import evaluate_predictions


def test_evaluate_predictions_orders_scenarios_by_rows_and_gives_reasons(arrays: EncodedArrays):
    labels = arrays.column("labels", "test")
    perfect = np.nan_to_num(labels, nan=0.5)
    metrics = evaluate_predictions(arrays, perfect, min_positives=10)
    assert metrics.overall["click"].auc == 1.0
    assert metrics.overall["click"].gauc == 1.0
    assert metrics.overall["click"].calibration == pytest.approx(1.0)
    assert metrics.macro_auc["click"] == 1.0
    rows = [own["click"].rows for own in metrics.scenarios.values()]
    assert rows == sorted(rows, reverse=True)
    assert sum(rows) == len(labels)
    too_few = evaluate_predictions(arrays, perfect, min_positives=10_000).overall["click"]
    assert too_few.auc is None
    assert too_few.reason.endswith("fewer than 10000")


def test_evaluate_predictions_compares_with_the_rate_of_the_training_days(arrays: EncodedArrays):
    labels = arrays.column("labels", "train")[:, 0]
    rate = float(np.nanmean(labels))
    constant = np.full(arrays.column("labels", "test").shape, rate, dtype=np.float32)
    own = evaluate_predictions(arrays, constant, min_positives=10).overall["click"]
    assert own.log_loss == pytest.approx(own.constant_log_loss, abs=2e-6)
    assert own.auc == 0.5
