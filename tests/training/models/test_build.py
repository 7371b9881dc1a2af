from __future__ import annotations

import pytest
import torch

from features.declarations.errors import DeclarationError
from training.config import TrainConfig
from training.data.spec import InputSpec
from training.errors import ModelSettingsError, UnknownModelError
from training.models.build import available, build
from training.models.pepnet import PEPNet


def test_available_lists_the_models_and_not_their_machinery() -> None:
    assert {"pooled_mlp", "shared_bottom", "lhuc", "pepnet", "m2m"} <= set(available())
    assert not {"base", "build"} & set(available())


def test_build_passes_a_models_own_settings(tiny_spec: InputSpec) -> None:
    config = TrainConfig(embedding_dim=2, hidden=(4,), models={"pepnet": {"gate_hidden": 5}})
    model = build("pepnet", tiny_spec, config)
    assert isinstance(model, PEPNet)
    assert model.epnet.hidden.out_features == 5
    assert model.config is config


def test_build_gives_the_same_weights_when_the_seed_is_the_same(
    tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build("m2m", tiny_spec, tiny_config).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_build_names_the_models_there_are_when_asked_for_another(
    tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    names = ", ".join(available())
    with pytest.raises(UnknownModelError, match=f"no model 'resnet'; choose one of {names}, or add"):
        build("resnet", tiny_spec, tiny_config)


@pytest.mark.parametrize("name", ["base", "build"])
def test_build_does_not_take_its_machinery_for_a_model(
    name: str, tiny_spec: InputSpec, tiny_config: TrainConfig
) -> None:
    with pytest.raises(UnknownModelError):
        build(name, tiny_spec, tiny_config)


def test_build_refuses_a_name_that_is_a_path(tiny_spec: InputSpec, tiny_config: TrainConfig) -> None:
    with pytest.raises(DeclarationError, match="not a valid name"):
        build("../pepnet", tiny_spec, tiny_config)


def test_build_names_the_known_settings_when_one_is_unknown(tiny_spec: InputSpec) -> None:
    config = TrainConfig(models={"m2m": {"expert": 4}})
    with pytest.raises(ModelSettingsError, match=r"no setting expert;.*experts, knowledge"):
        build("m2m", tiny_spec, config)
