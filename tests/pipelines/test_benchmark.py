"""`gatehouse benchmark` on a tiny training set, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.pipelines.assembled import DS, assembled
from training.comparison.results import BASES, Comparison
from training.data.arrays import EncodedArrays
from training.evaluation import evaluate_predictions


def test_benchmark_compares_models_and_writes_results_and_page(
    home: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = assembled(home)
    monkeypatch.setenv("GATEHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("GATEHOUSE_DEVICE", "cpu")
    options = ["--models", "pooled_mlp", "--trials", "2", "--seeds", "2", "--epochs", "1", "--jobs", "1"]
    done = CliRunner().invoke(app, ["benchmark", *options, "--into", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    results = tmp_path / "benchmarks" / "results" / "benchmark-simulated.json"
    comparison = Comparison.model_validate_json(results.read_bytes())
    assert set(comparison.contenders) == {"pooled_mlp", *BASES}
    for name, own in comparison.contenders.items():
        assert len(own.trials) == 2
        assert own.overall["click"].auc is not None
        assert own.overall["click"].auc.mean > 0.55
        assert set(own.against) == set(BASES) - {name}
        assert own.slices["new users"]["click"].rows == 0
    page = (tmp_path / "docs" / "benchmark.md").read_text()
    assert "`pooled_mlp`" in page
    assert f"gatehouse benchmark --ds {DS} --trials 2 --seeds 2 --epochs 1" in page
    # The figures are those that evaluate gives the stored predictions.
    arrays = EncodedArrays(settings.lake / "encoded" / "ranker_v1" / f"ds={DS}")
    stored = sorted((settings.runs / "benchmark" / "pooled_mlp").glob("*.npy"))
    areas = [evaluate_predictions(arrays, np.load(path), 10).overall["click"].auc for path in stored]
    assert len(areas) == 2
    found = comparison.contenders["pooled_mlp"].overall["click"].auc
    assert found is not None
    assert found.mean == pytest.approx(np.mean(areas), abs=1e-6)
