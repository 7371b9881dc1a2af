"""PEPNet's PPNet alone: user, item and author gate every layer of every task's tower."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import LayerGates
from training.layers.towers import ParallelLinear, gated_tower, repeated
from training.models.base import Ranker

_PRIORS = (Role.USER, Role.ITEM)


class PEPNetPPNet(Ranker):
    """PEPNet without EPNet: H_0 = E, and H_{l+1} = f((delta_l * H_l) W_l + b_l) per task.

    delta_l = GateNU_l([priors, sg(E)]) split by task; f is ReLU, and nothing in the last layer, which gives
    the logit. With no gate left for them, the scenario's features are part of E.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each task's tower.
        gate_hidden: hidden width of every gate.

    Source: Chang et al., PEPNet, KDD 2023, arXiv 2302.01115, of whose ablations it is one.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, gate_hidden: int = 64) -> None:
        super().__init__(spec, config)
        everything, priors = self.inputs.width(*Role), self.inputs.width(*_PRIORS)
        widths = (everything, *config.hidden, 1)
        self.ppnet = LayerGates(priors, everything, gate_hidden, self.targets, widths[:-1])
        self.towers = nn.ModuleList(
            ParallelLinear(self.targets, narrow, wide) for narrow, wide in pairwise(widths)
        )

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        everything = inputs.of(*Role)
        gates = self.ppnet(inputs.of(*_PRIORS), everything)
        return gated_tower(self.towers, gates, repeated(everything, self.targets)).squeeze(-1)


MODEL = PEPNetPPNet
