"""Mixtures of experts: the weights of a mixture, and the extraction layers of PLE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from training.layers.towers import ParallelLinear, ParallelMLP


class ExpertGate(nn.Module):
    """The weights of a mixture: softmax over the experts' scores, [..., k] to [..., k].

    The weights of every mixture in Gatehouse are what such a module returns, so that a forward hook
    sees which expert is used where. `weights [B, N, k] @ experts [B, k, d]` mixes N times, [B, N, d].
    """

    def forward(self, scores: Tensor) -> Tensor:
        return scores.softmax(dim=-1)


class DenseGate(nn.Sequential):
    """N gates softmax(W_n x + b_n) over k experts: [B, N, inputs], or [B, inputs] for all, to [B, N, k].

    Source: Ma et al., MMoE, KDD 2018, equation 7.
    """

    def __init__(self, count: int, inputs: int, experts: int) -> None:
        super().__init__(ParallelLinear(count, inputs, experts), ExpertGate())


class Extraction(nn.Module):
    """One extraction layer of PLE (customised gate control): experts of each task, and shared ones.

    There are T + 1 streams, one per task and the shared one, last. A stream's experts read the stream.
    A task's gate mixes the task's experts and the shared ones; the shared gate mixes all experts.

    Takes [B, T + 1, inputs], or [B, inputs] for all streams; gives [B, T + 1, widths[-1]], or
    [B, T, widths[-1]] if it is the last layer, whose shared stream nobody would read.

    Args:
        tasks: T.
        inputs: width of a stream.
        widths: of the layers of each expert.
        specific: experts of each task.
        shared: experts of all tasks.
        last: whether no layer follows.

    Source: Tang et al., PLE, RecSys 2020, sections 4.2 and 4.3.
    """

    stream: Tensor

    def __init__(
        self, tasks: int, inputs: int, widths: Sequence[int], *, specific: int, shared: int, last: bool
    ) -> None:
        super().__init__()
        self.tasks, self.specific, self.last = tasks, specific, last
        own = tasks * specific
        self.experts = ParallelMLP(own + shared, inputs, widths)
        self.task_gates = DenseGate(tasks, inputs, specific + shared)
        if not last:
            self.shared_gate = DenseGate(1, inputs, own + shared)
        # The stream that each expert reads.
        stream = torch.tensor([*(n // specific for n in range(own)), *[tasks] * shared])
        self.register_buffer("stream", stream, persistent=False)

    def forward(self, streams: Tensor) -> Tensor:
        common = streams.dim() == 2
        experts = self.experts(
            streams if common else streams[:, self.stream]
        )  # [B, T * specific + shared, d]
        own, shared = experts.tensor_split((self.tasks * self.specific,), dim=1)
        own = own.unflatten(1, (self.tasks, self.specific))
        gates = self.task_gates(streams if common else streams[:, :-1])  # [B, T, specific + shared]
        for_own, for_shared = gates.tensor_split((self.specific,), dim=2)
        mixed = (for_own.unsqueeze(2) @ own).squeeze(2) + for_shared @ shared  # [B, T, d]
        if self.last:
            return cast(Tensor, mixed)
        for_all = self.shared_gate(streams if common else streams[:, -1:])  # [B, 1, all experts]
        return torch.cat([mixed, for_all @ experts], dim=1)
