"""APG: the scenario, or the scenario and the user, generates the small core of every layer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.lowrank import GeneratedCore
from training.layers.routing import route
from training.layers.towers import MLP
from training.models.base import Ranker

_CONDITION = (Role.SCENARIO, Role.USER)


class APG(Ranker):
    """Adaptive parameter generation, of low rank k.

    h_{l+1} = relu(U_l (S_l(z) (V_l h_l)) + b_l), S_l(z) = reshape(G_l z + g_l) in [k, k]; logits = W h + c.

    z is a vector learned per scenario, so that S_l is generated once per scenario and not once per row.
    It is 0 for a scenario unseen in training (index 0), which has the core g_l that all share.
    With `by_user`, z = MLP([scenario, user]) is a row's own.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of the layers.
        rank: k.
        condition: width of z.
        by_user: whether z also knows the user and the statistics within the scenario.

    Source: Yan et al., APG, NeurIPS 2022, arXiv 2203.16218, without its over-parameterised U and V.
    """

    def __init__(
        self,
        spec: InputSpec,
        config: TrainConfig,
        *,
        rank: int = 16,
        condition: int = 8,
        by_user: bool = False,
    ) -> None:
        super().__init__(spec, config)
        self.by_user = by_user
        if by_user:
            self.user_condition = MLP(self.inputs.width(*_CONDITION), [2 * condition, condition])
        else:
            self.scenario_condition = nn.Parameter(torch.randn(spec.scenarios - 1, condition))
        widths = (self.inputs.width(*Role), *config.hidden)
        self.layers = nn.ModuleList(
            GeneratedCore(condition, narrow, rank, wide) for narrow, wide in pairwise(widths)
        )
        self.out = nn.Linear(config.hidden[-1], self.targets)

    def logits(self, batch: Batch) -> Tensor:
        inputs = self.inputs(batch)
        if self.by_user:
            condition, routes = self.user_condition(inputs.of(*_CONDITION)), None
        else:
            condition = F.pad(self.scenario_condition, (0, 0, 1, 0))
            routes = route(inputs.scenario_index, self.spec.scenarios)
        hidden = inputs.of(*Role)
        for layer in self.layers:
            hidden = torch.relu(layer(hidden, condition, routes))
        logits: Tensor = self.out(hidden)
        return logits


MODEL = APG
