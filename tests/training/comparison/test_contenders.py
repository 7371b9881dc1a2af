from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.comparison.contenders import Contender, Task
from training.comparison.cost import ROWS
from training.comparison.entrants import entrants
from training.comparison.networks import Network
from training.comparison.results import BASES
from training.comparison.trees import Trees
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.errors import UnknownModelError
from training.metrics import log_loss
from training.models.build import available

BOTH = pytest.mark.parametrize("contender", [Network("pooled_mlp"), Trees()], ids=lambda own: own.name)


@pytest.fixture
def task(arrays: EncodedArrays, config: TrainConfig) -> Task:
    return Task(arrays, config.model_copy(update={"epochs": 1}), "cpu")


def test_all_models_and_lightgbm_take_part_by_default():
    assert [contender.name for contender in entrants()] == [*available(), "lightgbm"]


def test_the_bases_take_part_whoever_is_asked_for():
    assert {contender.name for contender in entrants(["pepnet"])} == {"pepnet", *BASES}


def test_an_unknown_contender_is_named():
    with pytest.raises(UnknownModelError, match="pipnet"):
        entrants(["pipnet"])


@BOTH
@pytest.mark.parametrize("lr", [1e-6, 3e-4, 0.5])
def test_committed_values_lie_in_the_space_whatever_they_are(contender: Contender, lr: float):
    config = TrainConfig(lr=lr, weight_decay=0.03, id_dropout=0.9)
    space, committed = contender.space(config), contender.committed(config)
    assert space.keys() == committed.keys()
    for name, value in committed.items():
        assert space[name]._contains(space[name].to_internal_repr(value)), name


@BOTH
def test_fit_does_not_read_the_test_days(contender: Contender, task: Task, encoded: Path):
    blinded = EncodedArrays(encoded)
    for name in ("ids", "numeric", "labels", "mask"):
        blinded.column(name, "test")[:] = 0  # copy-on-write: the file keeps its rows
    values = contender.committed(task.config)
    honest = contender.fit(task, values, seed=4)
    blind = contender.fit(Task(blinded, task.config, "cpu"), values, seed=4)
    assert honest.validation_loss == blind.validation_loss
    assert not np.array_equal(honest.predict_test(), blind.predict_test())


@BOTH
def test_fit_depends_on_the_values_it_is_given(contender: Contender, task: Task):
    (name, *_) = contender.space(task.config)
    committed = contender.committed(task.config)
    one = contender.fit(task, committed, seed=4)
    other = contender.fit(task, {**committed, name: committed[name] * 4}, seed=4)
    assert one.validation_loss != other.validation_loss


def test_validation_loss_of_trees_is_the_sum_over_tasks_of_the_labelled_rows(task: Task):
    fit = Trees().fit(task, Trees().committed(task.config), seed=4)
    labels, said = task.arrays.column("labels", "validation"), fit.trees.predict(task.arrays, "validation")
    assert np.isnan(labels).any()
    expected = sum(
        log_loss(own[~np.isnan(own)], p[~np.isnan(own)]) for own, p in zip(labels.T, said.T, strict=True)
    )
    assert fit.validation_loss == pytest.approx(expected)


def test_flops_of_a_row_are_two_for_each_weight_of_a_plain_network(task: Task):
    """The pooled MLP multiplies each row with each matrix once."""
    fit = Network("pooled_mlp").fit(task, Network("pooled_mlp").committed(task.config), seed=4)
    matrices = [
        weight
        for name, weight in fit.model.named_parameters()
        if weight.ndim >= 2 and "embedding" not in name
    ]
    assert task.arrays.rows("test") < ROWS
    assert fit.flops_per_row == pytest.approx(2 * sum(weight.numel() for weight in matrices))
