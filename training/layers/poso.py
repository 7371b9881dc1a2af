"""POSO's gates: how new and how active a user is opens and shuts what a network computes for the user."""

from __future__ import annotations

from training.data.spec import InputSpec
from training.errors import ModelSettingsError
from training.layers.gates import GateNU
from training.layers.inputs import InputLayer


def activity_gate(spec: InputSpec, inputs: InputLayer, hidden: int, outputs: int) -> GateNU:
    """C g(x_pc), C = 2: reads `Inputs.activity` [B, D_activity], gives [B, outputs]; exactly 1 at the start.

    Args:
        spec: names the service whose features lack, if they do.
        inputs: says how wide the activity features are.
        hidden: width of the gate's hidden layer.
        outputs: how many values are gated.

    Raises:
        ModelSettingsError: there are no such features, so no gate could tell users apart.

    Source: POSO, arXiv 2108.04690, section 3; the user id is not in x_pc.
    """
    if not inputs.activity_width:
        raise ModelSettingsError(
            f"POSO gates by how new and how active a user is, and service {spec.service} has no number of "
            "role user; give numbers that tell new users from old ones Role.USER in features/declarations, "
            "or train the ungated model"
        )
    return GateNU(inputs.activity_width, hidden, outputs)
