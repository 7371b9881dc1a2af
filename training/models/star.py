"""STAR: every layer is what all scenarios share, times what is the scenario's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.routing import route
from training.layers.star import PartitionedNorm, StarLinear
from training.layers.towers import MLP
from training.models.base import Ranker

_GENERAL = (Role.USER, Role.ITEM, Role.GENERAL, Role.SEQUENCE)


class STAR(Ranker):
    """Star topology adaptive recommender, in scenario p.

    h_0 = PartitionedNorm_p(E), E everything but the scenario's features;
    h_{l+1} = relu(h_l (W_l * W_{l,p}) + b_l + b_{l,p}), no relu in the last layer;
    logits = h + MLP([scenario, E]) W_a + b_a, the auxiliary network, which alone reads the scenario's
    features: normalising what is the same in all rows of a scenario leaves nothing of it.

    W_{l,p} starts at 1 and b_{l,p} at 0: all scenarios start with the shared network, and a scenario unseen
    in training (index 0) keeps it.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the star layers.
        auxiliary: hidden widths of the auxiliary network.

    Source: Sheng et al., One Model to Serve All, CIKM 2021, arXiv 2101.11427.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig, *, auxiliary: Sequence[int] = (32,)) -> None:
        super().__init__(spec, config)
        widths = (self.inputs.width(*_GENERAL), *config.hidden, self.targets)
        self.norm = PartitionedNorm(spec.scenarios, widths[0])
        self.layers = nn.ModuleList(
            StarLinear(spec.scenarios, narrow, wide) for narrow, wide in pairwise(widths)
        )
        self.auxiliary = MLP(self.inputs.width(*Role), auxiliary)
        self.auxiliary_out = nn.Linear(auxiliary[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        routes = route(inputs.scenario_index, self.spec.scenarios)
        hidden = routes.to_tiles(self.norm(inputs.of(*_GENERAL), inputs.scenario_index))
        *layers, last = self.layers
        for layer in layers:
            hidden = torch.relu(layer(hidden, routes))
        auxiliary: Tensor = self.auxiliary_out(self.auxiliary(inputs.of(*Role)))
        return routes.to_rows(last(hidden, routes)) + auxiliary


MODEL = STAR
