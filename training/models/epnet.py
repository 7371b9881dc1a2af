"""EPNet: the scenario gates the embeddings; the half of PEPNet that knows scenarios."""

from __future__ import annotations

from torch import Tensor

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import GateNU, gate_input
from training.layers.towers import TaskTowers
from training.models.base import Ranker

_GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)


class EPNet(Ranker):
    """logit_t = tower_t(GateNU([scenario, sg(E)]) * E), E everything but the scenario's features.

    It is PEPNet without the gates in its towers.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each task's tower.
        gate_hidden: hidden width of the gate.

    Source: Chang et al., PEPNet, KDD 2023, arXiv 2302.01115, of whose ablations it is one.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, gate_hidden: int = 64) -> None:
        super().__init__(spec, config)
        general = self.inputs.width(*_GENERAL)
        self.epnet = GateNU(self.inputs.width(Role.SCENARIO) + general, gate_hidden, general)
        self.towers = TaskTowers(self.targets, general, config.hidden)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        general = inputs.of(*_GENERAL)
        logits: Tensor = self.towers(self.epnet(gate_input(inputs.scenario, general)) * general)
        return logits


MODEL = EPNet
