from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from torch import nn

from features.declarations import simulated
from tests.training.rows import days, training_rows
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.encode import fit, write_encoded
from training.evaluation import UNSEEN_SCENARIO
from training.models.build import build
from training.understanding import GateMeans, mean_gates

CPU = torch.device("cpu")
CONFIG = TrainConfig(embedding_dim=4, hidden=(8, 6), id_dropout=0.5)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> EncodedArrays:
    """A training set whose scenario "scenario2" has a new name, unknown to the encoder."""
    rows = training_rows(simulated.CATALOG, rows=900)
    encoder = fit(simulated.CATALOG, "ranker_v1", rows)
    place = rows.schema.get_field_index("scenario_id")
    renamed = pc.replace_substring(rows["scenario_id"], "scenario2", "new_tab")
    rows = rows.set_column(place, "scenario_id", renamed)
    folder = tmp_path_factory.mktemp("encoded") / "ds=2026-01-04"
    write_encoded(encoder, rows, days(), folder, source="abc")
    return EncodedArrays(folder)


def _pepnet(arrays: EncodedArrays, *, opened: bool) -> nn.Module:
    """A fresh PEPNet; `opened` moves its gates away from 1."""
    torch.manual_seed(0)
    model = build("pepnet", arrays.encoder.spec, CONFIG)
    if opened:
        for gate in (model.epnet, *model.ppnet):
            nn.init.normal_(gate.out.weight, std=0.5)
            nn.init.normal_(gate.out.bias)
    return model


def _means(arrays: EncodedArrays, *, opened: bool) -> GateMeans:
    means = mean_gates(_pepnet(arrays, opened=opened), arrays, CPU)
    assert means is not None
    return means


def test_mean_gates_are_exactly_one_when_the_model_is_fresh(arrays: EncodedArrays) -> None:
    means = _means(arrays, opened=False)
    np.testing.assert_allclose(means.epnet, 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(means.ppnet, 1.0, rtol=0, atol=1e-12)
    assert not means.epnet_distance.any()
    assert not means.ppnet_distance.any()


def test_mean_gates_equal_a_row_by_row_average(arrays: EncodedArrays) -> None:
    model = _pepnet(arrays, opened=True).eval()
    means = mean_gates(model, arrays, CPU)
    assert means is not None
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies["scenario_id"].values)
    columns = np.array(model.general_columns)
    epnet: dict[str, list[list[float]]] = {}
    ppnet: dict[str, list[list[list[float]]]] = {}
    for row in arrays.batches("test", 1, CPU):
        gates = model.gates(row)
        gate = gates["epnet"][0].double().numpy()
        scenario = names[int(row.scenario)]
        epnet.setdefault(scenario, []).append([gate[columns == field].mean() for field in means.fields])
        layers = [layer[0].double() for layer in gates["ppnet"]]
        ppnet.setdefault(scenario, []).append(
            [[float(layer[task].mean()) for layer in layers] for task in range(len(means.tasks))]
        )
    assert means.scenarios == tuple(sorted(epnet, key=lambda name: -len(epnet[name])))
    assert means.rows.tolist() == [len(epnet[name]) for name in means.scenarios]
    np.testing.assert_allclose(
        means.epnet, [np.mean(epnet[name], axis=0) for name in means.scenarios], rtol=1e-5
    )
    np.testing.assert_allclose(
        means.ppnet, [np.mean(ppnet[name], axis=0) for name in means.scenarios], rtol=1e-5
    )
    assert np.ptp(means.epnet, axis=0).max() > 0.01


def test_mean_gates_name_a_scenario_unseen_when_training_did_not_have_it(arrays: EncodedArrays) -> None:
    assert set(_means(arrays, opened=True).scenarios) == {"scenario0", "scenario1", UNSEEN_SCENARIO}


def test_distance_does_not_cancel_when_gates_open_and_shut(arrays: EncodedArrays) -> None:
    model = _pepnet(arrays, opened=False)
    with torch.no_grad():
        signs = torch.ones(len(model.epnet.out.bias))
        signs[::2] = -1.0
        model.epnet.out.bias.copy_(signs)
    means = mean_gates(model, arrays, CPU)
    assert means is not None
    identifier = means.fields.index("user_id")
    np.testing.assert_allclose(means.epnet[:, identifier], 1.0, atol=1e-6)
    assert means.epnet_distance[identifier] == pytest.approx(np.tanh(0.5), abs=1e-6)


@pytest.mark.parametrize("name", ["pooled_mlp", "lhuc"])
def test_mean_gates_are_none_when_the_model_has_none_to_show(name: str, arrays: EncodedArrays) -> None:
    assert mean_gates(build(name, arrays.encoder.spec, CONFIG), arrays, CPU) is None
