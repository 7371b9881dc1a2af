"""AITM: each task learns, by attention, what to take over from the task before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from features.declarations.features import Role
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.layers.experts import ExpertGate
from training.layers.towers import MLP, ParallelLinear, ParallelMLP
from training.models.base import Ranker


class Transfer(nn.Module):
    """The adaptive information transfer of one task: mixes what is transferred, p, with its own, q.

    z = sum over u in (p, q) of w_u h1(u), w = softmax over u of <h2(u), h3(u)> / sqrt(d). With weight 1 on
    q the task stands alone. Takes p and q [B, d], gives [B, d].

    Source: AITM, arXiv 2105.08489, equations 4 to 6; h1, h2 and h3 are one dense layer each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.h = nn.Linear(width, 3 * width)
        self.gate = ExpertGate()

    def forward(self, transferred: Tensor, own: Tensor) -> Tensor:
        pair = torch.stack([transferred, own], dim=1)  # [B, 2, d]
        value, key, query = self.h(pair).chunk(3, dim=-1)
        weights = self.gate((key * query).sum(dim=-1) * pair.shape[-1] ** -0.5)
        mixed: Tensor = (weights.unsqueeze(-1) * value).sum(dim=1)
        return mixed


class AITM(Ranker):
    """Adaptive information transfer along the tasks, in the order in which they are declared.

    q_t = f_t(all inputs); z_1 = q_1; p_t = relu(W_t z_t + b_t); z_t = Transfer_t(p_{t-1}, q_t) for t > 1;
    logit_t = w_t^T z_t + c_t.

    Left out is the paper's calibrator, a second loss on P(task t) > P(task t - 1): it holds only where a
    task's positives are among those of the task before, which the order of declaration does not promise.

    Args:
        spec: the columns it reads and the tasks it predicts.
        config: `hidden` are the widths of each task's network f_t; the last is the width of p, q and z.

    Source: Xi et al., AITM, KDD 2021, arXiv 2105.08489.
    """

    def __init__(self, spec: InputSpec, config: TrainConfig) -> None:
        super().__init__(spec, config)
        width, tasks = config.hidden[-1], self.targets
        self.networks = ParallelMLP(tasks, self.inputs.width(*Role), config.hidden)
        self.handed_on = nn.ModuleList(MLP(width, [width]) for _ in range(tasks - 1))
        self.transfers = nn.ModuleList(Transfer(width) for _ in range(tasks - 1))
        self.out = ParallelLinear(tasks, width, 1)

    def logits(self, batch: Batch) -> Tensor:
        first, *others = self.networks(self.inputs(batch).of(*Role)).unbind(dim=1)
        known = [first]
        for own, hand_on, transfer in zip(others, self.handed_on, self.transfers, strict=True):
            known.append(transfer(hand_on(known[-1]), own))
        logits: Tensor = self.out(torch.stack(known, dim=1))
        return logits.squeeze(-1)


MODEL = AITM
