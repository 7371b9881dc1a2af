"""PPNet: user, item and author gate every layer of one network, or of a network per scenario."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.gates import PriorGates
from training.layers.routing import RoutedLinear, Routes, route
from training.layers.towers import gated_tower
from training.models.base import Ranker

_PRIORS = (Role.USER, Role.ITEM)
_GENERAL = (Role.SCENARIO, Role.GENERAL, Role.SEQUENCE)


class PPNet(Ranker):
    """Parameter personalised network.

    h_0 = [priors, E]; h_{l+1} = f((g_l * h_l) W_l + b_l); f is ReLU, and nothing in the last layer, which
    gives the logits of all tasks. The gate of a layer's input, g_l = 2 s(W2 relu(W1 [priors, sg(E)])),
    trains the priors (user, item and author) and not E (everything else).

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the network.
        gate_hidden: hidden width of every gate.
        scenario_towers: whether every scenario has layers and gates of its own, which its rows alone
            train; a scenario unseen in training (index 0) takes the mean of all scenarios' weights.

    Source: Kuaishou's Parameter Personalised Net, from which PEPNet (arXiv 2302.01115) grew.
    """

    def __init__(
        self, spec: InputSpec, config: TrainConfig, *, gate_hidden: int = 64, scenario_towers: bool = False
    ) -> None:
        super().__init__(spec, config)
        self.scenario_towers = scenario_towers
        linear = partial(RoutedLinear, spec.scenarios) if scenario_towers else nn.Linear
        self.priors, general = self.inputs.width(*_PRIORS), self.inputs.width(*_GENERAL)
        widths = (self.priors + general, *config.hidden, self.targets)
        self.layers = nn.ModuleList(linear(narrow, wide) for narrow, wide in pairwise(widths))
        self.gates = PriorGates(self.priors, general, gate_hidden, widths[:-1], linear)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        everything = inputs.of(*_PRIORS, *_GENERAL)
        if not self.scenario_towers:
            return self._towers(everything)
        routes = route(inputs.scenario_index, self.spec.scenarios)
        return routes.to_rows(self._towers(routes.to_tiles(everything), routes))

    def _towers(self, everything: Tensor, *routes: Routes) -> Tensor:
        """Logits [..., T] of h_0 [..., D]: of rows, or of tiles with their routes."""
        priors, general = everything.tensor_split((self.priors,), dim=-1)
        gates = self.gates(priors, general, *routes)
        return gated_tower(self.layers, gates, everything, *routes)


MODEL = PPNet
