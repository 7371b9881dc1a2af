from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from torch import nn

from tests.training.models.restated import GENERAL, gates_of
from tests.training.rows import ASKING, days, training_rows
from training.config import TrainConfig
from training.data.arrays import EncodedArrays
from training.data.batch import Batch
from training.data.fit import fit
from training.data.write import write_encoded
from training.evaluation import UNSEEN_SCENARIO
from training.layers.meta import MetaLayer
from training.models.build import available, build
from training.score import score
from training.understanding import look_inside

CPU = torch.device("cpu")
CONFIG = TrainConfig(embedding_dim=4, hidden=(8, 6), id_dropout=0.5)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> EncodedArrays:
    """A training set in which the encoder does not know scenario2, nor one user in six."""
    rows = training_rows(ASKING, rows=900)
    encoder = fit(ASKING, "ranker_v1", rows)
    place = rows.schema.get_field_index("scenario_id")
    renamed = pc.replace_substring(rows["scenario_id"], "scenario2", "new_tab")
    rows = rows.set_column(place, "scenario_id", renamed)
    users = pc.replace_substring_regex(rows["user_id"], "^user1(.)$", "new\\\\1")
    rows = rows.set_column(rows.schema.get_field_index("user_id"), "user_id", users)
    folder = tmp_path_factory.mktemp("encoded") / "ds=2026-01-04"
    write_encoded(encoder, rows, days(), folder, source="abc")
    return EncodedArrays(folder)


def _opened(name: str, arrays: EncodedArrays, config: TrainConfig = CONFIG) -> nn.Module:
    """A model whose gates and experts have moved away from their start."""
    torch.manual_seed(0)
    model = build(name, arrays.encoder.spec, config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def _scenario_of(arrays: EncodedArrays) -> list[str]:
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies["scenario_id"].values)
    return [names[index] for index in arrays.column("scenario", "test")]


def _whole(arrays: EncodedArrays) -> Batch:
    (batch,) = arrays.batches("test", 10_000, CPU)
    return batch


def test_gates_are_exactly_one_when_the_model_is_fresh(arrays: EncodedArrays) -> None:
    for gate in look_inside(build("pepnet", arrays.encoder.spec, CONFIG), arrays, CPU).gates:
        np.testing.assert_allclose(gate.means, 1.0, rtol=0, atol=1e-12)
        assert not gate.distance.any()


def test_gates_of_fields_equal_an_average_by_hand(arrays: EncodedArrays) -> None:
    model = _opened("pepnet", arrays)
    seen = look_inside(model, arrays, CPU)
    gate = seen.gates[0]
    assert gate.name == "epnet"
    values = gates_of(model, _whole(arrays))[0].double().numpy()
    columns, scenario = np.array(model.inputs.columns(*GENERAL)), np.array(_scenario_of(arrays))
    assert gate.fields == tuple(dict.fromkeys(columns))
    for place, name in enumerate(seen.scenarios):
        own = values[scenario == name]
        assert seen.rows[place] == len(own)
        expected = [own[:, columns == field].mean() for field in gate.fields]
        np.testing.assert_allclose(gate.means[place], expected, rtol=1e-5)
    distance = [np.abs(values[:, columns == field] - 1.0).mean() for field in gate.fields]
    np.testing.assert_allclose(gate.distance, distance, rtol=1e-5)
    assert np.ptp(gate.means, axis=0).max() > 0.01
    assert list(seen.rows) == sorted(seen.rows, reverse=True)


def test_gates_of_hidden_layers_are_averaged_over_their_units(arrays: EncodedArrays) -> None:
    model = _opened("lhuc", arrays)
    seen = look_inside(model, arrays, CPU)
    assert [(gate.name, gate.fields) for gate in seen.gates] == [("gates.0", ()), ("gates.1", ())]
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies["scenario_id"].values)
    for place, name in enumerate(seen.scenarios):
        expected = float(model.gates[0](torch.tensor(names.index(name))).detach().mean())
        assert seen.gates[0].means[place, 0] == pytest.approx(expected, rel=1e-5)


def test_a_scenario_is_named_unseen_when_training_did_not_have_it(arrays: EncodedArrays) -> None:
    assert set(look_inside(_opened("lhuc", arrays), arrays, CPU).scenarios) == {
        "scenario0", "scenario1", UNSEEN_SCENARIO,
    }  # fmt: skip


def test_distance_does_not_cancel_when_gates_open_and_shut(arrays: EncodedArrays) -> None:
    model = build("pepnet", arrays.encoder.spec, CONFIG)
    with torch.no_grad():
        signs = torch.ones(len(model.epnet.out.bias))
        signs[::2] = -1.0
        model.epnet.out.bias.copy_(signs)
    gate = look_inside(model, arrays, CPU).gates[0]
    identifier = gate.fields.index("user_id")
    np.testing.assert_allclose(gate.means[:, identifier], 1.0, atol=1e-6)
    assert gate.distance[identifier] == pytest.approx(np.tanh(0.5), abs=1e-6)


def test_newcomers_are_the_rows_of_users_that_training_did_not_have(arrays: EncodedArrays) -> None:
    model = _opened("pepnet", arrays)
    seen = look_inside(model, arrays, CPU)
    batch = _whole(arrays)
    user = [field.column for field in arrays.encoder.spec.ids].index("user_id")
    new = (batch.ids[:, user] == 0).numpy()
    assert 0 < seen.newcomers == new.sum() < len(new)
    values = gates_of(model, batch)[1][1].flatten(1).double().numpy()
    gate = next(gate for gate in seen.gates if gate.name == "ppnet.1")
    for rows, found in ((new, gate.newcomers), (~new, gate.known)):
        expected = values[rows].mean(), np.abs(values[rows] - 1.0).mean()
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("auxiliaries", [0, 1])
def test_experts_equal_mixture_weights_averaged_by_hand(arrays: EncodedArrays, auxiliaries: int) -> None:
    model = _opened("m2m", arrays, CONFIG.model_copy(update={"auxiliary_weight": 0.5 * auxiliaries}))
    seen = look_inside(model, arrays, CPU)
    weights: list[torch.Tensor] = []
    with torch.no_grad(), model.expert_gate.register_forward_hook(lambda *call: weights.append(call[2])):
        model(_whole(arrays))
    (mixture,) = seen.mixtures
    scenario = np.array(_scenario_of(arrays))
    tasks, experts = len(seen.tasks), weights[0].shape[-1]
    by_hand = weights[0].reshape(len(scenario), tasks + auxiliaries, experts)[:, :tasks].numpy()
    for place, name in enumerate(seen.scenarios):
        np.testing.assert_allclose(mixture.weights[place], by_hand[scenario == name].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(mixture.weights.sum(axis=-1), 1.0, rtol=1e-5)


def test_generated_weights_are_alike_when_nothing_of_the_scenario_enters_them(arrays: EncodedArrays) -> None:
    model = _opened("m2m", arrays)
    apart = look_inside(model, arrays, CPU).generated
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, MetaLayer):
                layer.V_w.zero_()
    alike = look_inside(model, arrays, CPU).generated
    assert len(apart) == len(alike) == 3
    for found in apart:
        np.testing.assert_allclose(np.diag(found.cosine), 1.0, rtol=1e-6)
        assert found.cosine.min() < 0.9999
    for found in alike:
        np.testing.assert_allclose(found.cosine, 1.0, rtol=1e-6)


def test_weights_generated_once_a_scenario_are_compared_by_the_scenarios_own(arrays: EncodedArrays) -> None:
    model = _opened("apg", arrays)
    seen = look_inside(model, arrays, CPU)
    names = (UNSEEN_SCENARIO, *arrays.encoder.vocabularies["scenario_id"].values)
    conditions = torch.cat([torch.zeros(1, model.scenario_condition.shape[1]), model.scenario_condition])
    layer, found = model.layers[0], seen.generated[0]
    cores = [
        (torch.einsum("r,rij->ij", conditions[names.index(name)], layer.G) + layer.g).flatten().detach()
        for name in seen.scenarios
    ]
    expected = [[torch.cosine_similarity(one, other, dim=0).item() for other in cores] for one in cores]
    np.testing.assert_allclose(found.cosine, expected, atol=1e-5)


def test_there_is_nothing_to_show_when_a_model_has_no_such_layer(arrays: EncodedArrays) -> None:
    assert not look_inside(build("pooled_mlp", arrays.encoder.spec, CONFIG), arrays, CPU)


@pytest.mark.parametrize("name", available())
def test_watching_leaves_a_model_as_it_was(name: str, arrays: EncodedArrays) -> None:
    model = _opened(name, arrays)
    before = score(model, [_whole(arrays)])
    look_inside(model, arrays, CPU)
    assert np.array_equal(score(model, [_whole(arrays)]), before)
    assert not any(module._forward_hooks for module in model.modules())
