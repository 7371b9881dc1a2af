"""`gatehouse benchmark` on a tiny training set, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import MissingPartitionError
from pipelines.settings import Settings
from tests.pipelines.assembled import DS, assembled
from training.comparison.results import BASES, Comparison
from training.data.arrays import EncodedArrays
from training.evaluation import evaluate_predictions

OPTIONS = ("--seeds", "2", "--epochs", "1", "--jobs", "1")


@pytest.fixture
def settings(home: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a home with a training set, in which commands run."""
    settings = assembled(home)
    monkeypatch.setenv("GATEHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("GATEHOUSE_DEVICE", "cpu")
    return settings


def benchmark(into: Path, *options: str) -> Result:
    return CliRunner().invoke(
        app, ["benchmark", *options, *OPTIONS, "--into", str(into)], catch_exceptions=False
    )


def test_benchmark_compares_models_and_writes_results_and_page(settings: Settings, tmp_path: Path):
    assert benchmark(tmp_path, "--models", "pooled_mlp", "--trials", "2").exit_code == 0
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


@pytest.mark.usefixtures("settings")
def test_a_final_is_of_the_models_with_the_lowest_validation_loss(tmp_path: Path):
    assert benchmark(tmp_path, "--models", "pooled_mlp,lhuc", "--trials", "1").exit_code == 0
    results = tmp_path / "benchmarks" / "results"
    first = (results / "benchmark-simulated.json").read_bytes()
    losses = {
        name: own.trials[0].validation_loss
        for name, own in Comparison.model_validate_json(first).contenders.items()
        if name not in BASES
    }
    assert set(losses) == {"pooled_mlp", "lhuc"}
    assert benchmark(tmp_path, "--finalists", "1", "--trials", "2").exit_code == 0
    final = Comparison.model_validate_json((results / "benchmark-simulated-final.json").read_bytes())
    assert set(final.contenders) == {min(losses, key=losses.__getitem__), *BASES}
    assert (final.finalists, final.trials) == (1, 2)
    assert (results / "benchmark-simulated.json").read_bytes() == first
    assert "## simulated, the final" in (tmp_path / "docs" / "benchmark.md").read_text()


@pytest.mark.usefixtures("settings")
def test_a_final_needs_a_comparison_to_choose_from(tmp_path: Path):
    with pytest.raises(
        MissingPartitionError, match=r"benchmark-simulated\.json is missing; run `gatehouse ben"
    ):
        benchmark(tmp_path, "--finalists", "2")


def test_models_are_named_or_chosen(tmp_path: Path):
    done = benchmark(tmp_path, "--models", "lhuc", "--finalists", "1")
    assert done.exit_code == 2
    assert "not both" in done.output
