from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import GateError, MissingPartitionError
from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.promotion.champion import require_unseen
from pipelines.promotion.verdict import Promotion, promotion_path
from pipelines.publish import publish
from pipelines.registry.moves import rollback
from pipelines.settings import Settings, Split
from pipelines.train import train
from tests.homes import LENIENT, make_home
from tests.pipelines.assembled import DS, assembled
from tests.training.rows import training_rows
from training.data.arrays import EncodedArrays
from training.data.errors import EncodingError
from training.data.write import write_encoded
from training.sealed import sealed_folder

BEFORE = DS - timedelta(days=1)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a trained and evaluated pepnet; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("evaluated") / "home"
    settings = assembled(lambda *names, **sections: make_home(folder, *names, **_one_model(sections)))
    train(settings, DS, "pepnet")
    evaluate(settings, DS)
    return folder


@pytest.fixture
def settings(evaluated: Path, tmp_path: Path) -> Settings:
    shutil.copytree(evaluated, tmp_path / "home")
    return Settings(home=tmp_path / "home", device="cpu")


def _one_model(sections: dict) -> dict:
    trained = {**sections["train"], "models": {"pepnet": {}}}
    return {**sections, "train": trained, "promote": LENIENT}


def _change(settings: Settings, change: Callable[[np.ndarray], np.ndarray], ds: date = DS) -> None:
    """Make the model say something else of the test rows, as another training would."""
    folder = settings.models / "pepnet" / f"ds={ds}"
    copy = shutil.copytree(folder, folder.with_name("copy"))
    with sealed_folder(folder) as staging:
        for path in copy.iterdir():
            shutil.copy(path, staging)
        (staging / "hashes.json").unlink()
        np.save(staging / "predictions.npy", change(np.load(copy / "predictions.npy")))
    shutil.rmtree(copy)


def _publish_as(settings: Settings, ds: date) -> None:
    """Publish the model that is there as that of an earlier day, with the verdict that it passed."""
    shutil.copytree(settings.models / "pepnet" / f"ds={DS}", settings.models / "pepnet" / f"ds={ds}")
    passed = promote(settings, DS)
    promotion_path(settings, ds).write_text(passed.model_dump_json())
    shutil.copy(settings.evaluation / f"ds={DS}.json", settings.evaluation / f"ds={ds}.json")
    publish(settings, ds)


def test_first_model_passes_without_a_champion_and_is_published(settings: Settings) -> None:
    verdict = promote(settings, DS)
    assert verdict.passed, verdict.reasons
    assert verdict.champion is None
    assert Promotion.load(promotion_path(settings, DS)) == verdict
    note = json.loads((settings.runs / "promote.json").read_text())
    assert note["milliseconds"] > 0.0


def test_verdict_is_the_same_bytes_when_it_is_given_again(settings: Settings) -> None:
    promote(settings, DS)
    first = promotion_path(settings, DS).read_bytes()
    promote(settings, DS)
    assert promotion_path(settings, DS).read_bytes() == first


def test_model_whose_predictions_are_not_finite_is_refused_by_publish_for_good(settings: Settings) -> None:
    def broken(predictions: np.ndarray) -> np.ndarray:
        predictions[3, 0] = np.nan
        return predictions

    _change(settings, broken)
    evaluate(settings, DS)
    assert not promote(settings, DS).passed
    with pytest.raises(GateError, match="not finite") as refused:
        publish(settings, DS)
    assert refused.value.exit_code == 3


def test_model_that_was_trained_again_since_its_evaluation_is_not_judged(settings: Settings) -> None:
    _change(settings, lambda predictions: predictions * 0.9)
    with pytest.raises(MissingPartitionError, match="gatehouse evaluate --ds 2026-01-04"):
        promote(settings, DS)


@pytest.mark.slow
def test_champion_is_scored_on_the_same_rows_and_the_version_in_production_comes_first(
    settings: Settings,
) -> None:
    """It is scored from raw columns; being the same weights here, it must say the same."""
    _publish_as(settings, BEFORE)  # v1.0.0
    _change(settings, lambda predictions: predictions**1.0001)
    evaluate(settings, DS)
    promote(settings, DS)
    publish(settings, DS)  # v2.0.0
    again = promote(settings, DS)
    assert (again.champion.version, again.champion.ds) == ("v1.0.0", str(BEFORE)), (
        "it became its own champion"
    )
    first = again.differences[0]
    assert (first.scenario, first.champion) == (None, again.champion.metrics.overall["click"].auc)
    assert abs(first.gain) < 1e-4

    _change(settings, lambda predictions: predictions**1.01)
    evaluate(settings, DS)
    newest = promote(settings, DS).champion
    assert (newest.version, newest.production) == ("v2.0.0", True)
    rollback(settings, "pepnet")
    chosen = promote(settings, DS).champion
    assert (chosen.version, chosen.production) == ("v1.0.0", True)


def test_champion_that_was_trained_on_the_held_out_days_is_not_compared(settings: Settings) -> None:
    folder, encoded = (
        settings.models / "pepnet" / f"ds={DS}",
        settings.lake / "encoded/ranker_v1" / f"ds={DS}",
    )
    require_unseen(folder, EncodedArrays(encoded))
    splits = Split(train=1, validation=1, test=2).days(DS)
    rows = training_rows(settings.catalog, rows=4000)
    write_encoded(EncodedArrays(encoded).encoder, rows, splits, encoded, source="abc")
    with pytest.raises(EncodingError, match="up to 2026-01-03, and the held-out rows begin on 2026-01-03"):
        require_unseen(folder, EncodedArrays(encoded))
