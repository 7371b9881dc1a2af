"""The running mean of a model's weights, which is validated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightMean:
    """The mean of the weights after every step so far, a step further back counting `decay` times as much.

    m_t = d m_{t-1} + (1 - d) w_t from m_0 = 0, and the mean is m_t / (1 - d^t), in which the weights
    that training set out from have no part.

    The network and tables with dense gradients are averaged in every step. Of a table with sparse
    gradients a step moves the rows it reads and no other: what n steps with the same w do to m is
    w + d^n (m - w), so a row is brought up to date just before it moves, and all rows when the mean is
    asked for. The cost is that of the rows read, and the mean is the same.

    Args:
        model: its weights, optimisers made already, for those choose which gradients are sparse.
        decay: d, above 0 and below 1.

    Source: Kingma and Ba, Adam, ICLR 2015, section 7.2 (temporal averaging).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._step = 0
        self._means = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
        by_rows = {
            id(table.weight) for table in model.modules() if isinstance(table, nn.Embedding) and table.sparse
        }
        # For each row of such a table, how many steps its mean knows of.
        self._known = {
            name: torch.zeros(len(weight), dtype=torch.int64, device=weight.device)
            for name, weight in model.named_parameters()
            if id(weight) in by_rows
        }

    @torch.no_grad()
    def before_step(self) -> None:
        """To be called between backward and the optimisers' steps."""
        for name, weight in self._tables():
            if weight.grad is not None:
                weight.grad = weight.grad.coalesce()
                self._catch_up(name, weight, weight.grad.indices()[0])

    @torch.no_grad()
    def after_step(self) -> None:
        """To be called after the optimisers' steps."""
        self._step += 1
        dense = {name: weight for name, weight in self._model.named_parameters() if name not in self._known}
        torch._foreach_lerp_([self._means[name] for name in dense], list(dense.values()), 1 - self._decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the model carry the mean instead of its weights, which come back afterwards."""
        weights = {name: weight.detach().clone() for name, weight in self._model.named_parameters()}
        self._load(self._corrected())
        try:
            yield
        finally:
            self._load(weights)

    def state(self) -> dict[str, Any]:
        """Everything the mean to come depends on, weights apart."""
        return {"step": self._step, "means": self._means, "known": self._known}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where `state` was taken."""
        self._step = state["step"]
        for own, stored in ((self._means, state["means"]), (self._known, state["known"])):
            for name, values in own.items():
                values.copy_(stored[name])

    @torch.no_grad()
    def _corrected(self) -> dict[str, Tensor]:
        for name, weight in self._tables():
            self._catch_up(name, weight, torch.arange(len(weight), device=weight.device))
        share = 1 - self._decay**self._step
        return {name: mean / share for name, mean in self._means.items()}

    @torch.no_grad()
    def _load(self, weights: Mapping[str, Tensor]) -> None:
        for name, weight in self._model.named_parameters():
            weight.copy_(weights[name])

    def _tables(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, weight) for name, weight in self._model.named_parameters() if name in self._known)

    def _catch_up(self, name: str, weight: Tensor, rows: Tensor) -> None:
        """Let the mean of `rows` know all steps so far, after each of which they were as they are now."""
        mean, known = self._means[name], self._known[name]
        missed = (self._step - known[rows]).to(mean.dtype).unsqueeze(1)
        mean[rows] = torch.lerp(weight[rows], mean[rows], self._decay**missed)
        known[rows] = self._step
