"""Optimisers: AdamW for the network, Adam without decay for embedding tables."""

from __future__ import annotations

from itertools import chain
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer, SparseAdam

from training.config import TrainConfig

SPARSE_ROWS = 250_000
"""Tables of more rows than this get sparse gradients: a dense step would touch every row of the
table for the few thousand that a batch reads. Below it the dense step is the faster one."""


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimisers whose steps together update every parameter of `model` once.

    Weight decay applies to the network's matrices only: not to biases, gains or embedding rows,
    where it would pull rows that a batch does not even read towards zero.
    """
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    for table in tables:
        table.sparse = table.num_embeddings > SPARSE_ROWS
    sparse = [table.weight for table in tables if table.sparse]
    dense = [table.weight for table in tables if not table.sparse]
    embedded = {id(weight) for weight in chain(sparse, dense)}
    network = [weight for weight in model.parameters() if id(weight) not in embedded]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in network if weight.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [weight for weight in network if weight.ndim < 2]},
        {"params": dense, "lr": config.embedding_lr},
    ]
    optimizers: list[Optimizer] = [AdamW(groups, lr=config.lr, weight_decay=0.0)]
    if sparse:
        optimizers.append(SparseAdam(sparse, lr=config.embedding_lr))
    return optimizers
