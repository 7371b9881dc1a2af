"""Optimisers: AdamW for the network and small embedding tables, Adam by rows for large tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from training.config import TrainConfig
from training.layers.tables import Table

ROWS_PER_LOOKUP = 4
"""Tables of more rows than this for each look-up of a batch are stepped by rows: a dense step would touch
every row of the table for those that are read. With the 113,664 look-ups of KuaiRand's 111 fields and 1,024
rows a batch the two ways cross between 250,000 and 500,000 rows (`make bench-train`)."""


class RowAdam(Optimizer):
    """Adam on the rows of embedding tables that the batch reads; other rows do not move at all.

    A row that is read gets the step that Adam takes, with bias corrections by the number of steps so
    far. Weight decay is decoupled, and pulls no row that the batch does not read.

    Args:
        tables: weights of embeddings with sparse gradients, [rows, width].
        lr: learning rate.
        betas: of the running means of the gradient and of its square.
        eps: added to the root of the latter.
        weight_decay: share of a row that a step with learning rate 1 would take away.

    Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1; Loshchilov and Hutter, AdamW, ICLR 2019.
    """

    def __init__(
        self,
        tables: Iterable[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(tables, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Step all tables that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._step(table, group)

    def _step(self, table: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(table), "square": torch.zeros_like(table)}
        state["step"] += 1
        gradient = table.grad.coalesce()  # type: ignore[union-attr]
        rows, values = gradient.indices()[0], gradient.values()
        slow, slower = group["betas"]
        mean = state["mean"].index_select(0, rows).lerp_(values, 1 - slow)
        square = state["square"].index_select(0, rows).mul_(slower).addcmul_(values, values, value=1 - slower)
        state["mean"].index_copy_(0, rows, mean)
        state["square"].index_copy_(0, rows, square)
        unbiased = (square / (1 - slower ** state["step"])).sqrt_().add_(group["eps"])
        change = mean.div_(unbiased).mul_(-group["lr"] / (1 - slow ** state["step"]))
        if group["weight_decay"]:
            change.sub_(table.index_select(0, rows), alpha=group["lr"] * group["weight_decay"])
        table.index_add_(0, rows, change)


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimisers whose steps together update every parameter of `model` once.

    The network's weight decay applies to its matrices only: not to biases and gains. Embedding rows
    have a decay of their own, and only where a batch reads them: it would pull the others towards zero
    for no reason of the data. Where there is such a decay, tables of every size are stepped by rows.
    """
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    for table in tables:
        table.sparse = config.embedding_decay > 0.0 or _few_are_read(table, config.batch_size)
    sparse = [table.weight for table in tables if table.sparse]
    dense = [table.weight for table in tables if not table.sparse]
    embedded = {id(weight) for weight in chain(sparse, dense)}
    network = {name: weight for name, weight in model.named_parameters() if id(weight) not in embedded}
    # Layers side by side keep their biases as one matrix.
    decayed = [name for name, weight in network.items() if weight.ndim >= 2 and not name.endswith("bias")]
    groups: list[dict[str, Any]] = [
        {
            "params": [network[name] for name in network if name in decayed],
            "weight_decay": config.weight_decay,
        },
        {"params": [network[name] for name in network if name not in decayed]},
        {"params": dense, "lr": config.embedding_lr},
    ]
    optimizers: list[Optimizer] = [AdamW(groups, lr=config.lr, weight_decay=0.0, fused=True)]
    if sparse:
        optimizers.append(RowAdam(sparse, config.embedding_lr, weight_decay=config.embedding_decay))
    return optimizers


def _few_are_read(table: nn.Embedding, batch_size: int) -> bool:
    """Whether a batch reads so few of the table's rows that they are better stepped one by one."""
    return isinstance(table, Table) and table.num_embeddings > ROWS_PER_LOOKUP * batch_size * table.lookups
