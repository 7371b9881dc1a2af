"""Ranking works what it says of the user and the scenario out once; the scores must not show it."""

from __future__ import annotations

import numpy as np
import pytest
from feast import FeatureStore

from features.declarations.entities import AUTHOR, ITEM, SCENARIO, USER
from features.serving.lookup import FeatureLookup
from features.serving.ranking import Ranker
from features.store import open_store
from pipelines.settings import Settings
from tests.pipelines.finished_run import DS, write_model_of
from training.artifact import load_model
from training.data.spec import EVENT_TIME
from training.models.build import available
from training.score import score_rows

ITEMS = ["item-0", "item-2", "item-1", "item-0", "never seen"] * 40  # more than are scored at a time


@pytest.fixture(scope="module")
def store(trained: Settings) -> FeatureStore:
    return open_store(trained.home)


@pytest.mark.parametrize("name", available())
def test_rank_scores_as_whole_columns_do(name: str, trained: Settings, store: FeatureStore) -> None:
    write_model_of(trained, name)
    folder = trained.models / name / f"ds={DS}"
    ranker = Ranker(folder, lambda service: FeatureLookup(store, trained.catalog, service))
    ranking = ranker.rank(scenario="scenario-1", user="user-0", items=ITEMS)

    model, encoder = load_model(folder)
    times = np.full(len(ITEMS), int(ranking.batch.instant.timestamp() * 1e6))
    expected = score_rows(model, encoder.transform({**ranking.batch.columns, EVENT_TIME: times}))
    np.testing.assert_allclose(ranking.scores, expected[ranking.order], rtol=0, atol=1e-6)
    assert np.ptp(ranking.scores[:, 0]) > 1e-4


def test_what_the_user_and_the_scenario_say_is_encoded_once(trained: Settings, store: FeatureStore) -> None:
    batch = FeatureLookup(store, trained.catalog, "ranker_v1").batch(
        scenario="scenario-1", user="user-0", items=ITEMS
    )
    whole, once = batch.columns, batch.distinct_columns()
    assert list(whole) == list(once)
    for name, column in once.items():
        view = batch.outputs.get(name, (name, ""))[0]
        keys = trained.catalog.view(view).keys if name in batch.outputs else ()
        of_items = not set(keys) <= {USER, SCENARIO} or name in (ITEM.column, AUTHOR.column)
        assert len(column) == (len(ITEMS) if of_items else 1), name
        assert len(whole[name]) == len(ITEMS)
