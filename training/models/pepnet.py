"""PEPNet: the scenario gates the embeddings, the user, item and author gate every layer of every task."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import GateNU, LayerGates, gate_input
from training.layers.inputs import Inputs
from training.layers.towers import ParallelLinear, gated_tower, repeated
from training.models.base import Ranker

_GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)
_PRIORS = (Role.USER, Role.ITEM)


class PEPNet(Ranker):
    """Parameter and embedding personalised network.

    E is everything but the scenario's features: priors, general features and the pooled sequence.

    EPNet: O_ep = GateNU([scenario, sg(E)]) * E
    PPNet: H_0 = O_ep for every task, and for every layer l of task t's tower
           H_{l+1} = f((delta_l * H_l) W_l + b_l), delta_l = GateNU_l([priors, sg(O_ep)]) split by task;
           f is ReLU, and nothing in the last layer, which gives the logit.

    The stop-gradient sg covers E and O_ep where a gate reads them, and nothing else: the towers read
    the O_ep that trains, and the priors and the scenario's embedding learn from the gates.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each task's tower.
        gate_hidden: hidden width of every gate.

    Source: Chang et al., PEPNet, KDD 2023, arXiv 2302.01115.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, gate_hidden: int = 64) -> None:
        super().__init__(spec, config)
        general, priors = self.inputs.width(*_GENERAL), self.inputs.width(*_PRIORS)
        widths = (general, *config.hidden, 1)
        self.epnet = GateNU(self.inputs.width(Role.SCENARIO) + general, gate_hidden, general)
        self.ppnet = LayerGates(priors, general, gate_hidden, self.targets, widths[:-1])
        self.towers = nn.ModuleList(
            ParallelLinear(self.targets, narrow, wide) for narrow, wide in pairwise(widths)
        )

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        general = inputs.of(*_GENERAL)
        personalised = self._embedding_gate(inputs, general) * general
        gates = self._layer_gates(inputs, personalised)
        return gated_tower(self.towers, gates, repeated(personalised, self.targets)).squeeze(-1)

    def _embedding_gate(self, inputs: Inputs, general: Tensor) -> Tensor:
        """EPNet's gate delta_dom, [B, D_E]."""
        gate: Tensor = self.epnet(gate_input(inputs.scenario, general))
        return gate

    def _layer_gates(self, inputs: Inputs, personalised: Tensor) -> list[Tensor]:
        """PPNet's gates delta_l, one [B, T, width of the input] per layer."""
        gates: list[Tensor] = self.ppnet(inputs.of(*_PRIORS), personalised)
        return gates


MODEL = PEPNet
