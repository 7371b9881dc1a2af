"""A step of an embedding table: dense Adam, PyTorch's SparseAdam and our Adam by rows, on growing tables."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer, SparseAdam

from training.optimizers import RowAdam

ROWS = (125_000, 250_000, 500_000, 1_000_000, 2_000_000)
WIDTH = 16
LOOKUPS = {"a field, batch 4096": 4096, "KuaiRand's 111 fields, batch 1024": 111 * 1024}
STEPS = 5
OPTIMIZERS: dict[str, tuple[bool, Callable[[list[nn.Parameter]], Optimizer]]] = {
    "dense": (False, lambda tables: Adam(tables, foreach=True)),
    "dense, fused": (False, lambda tables: AdamW(tables, weight_decay=0.0, fused=True)),
    "SparseAdam": (True, lambda tables: SparseAdam(tables)),
    "by rows": (True, lambda tables: RowAdam(tables, 1e-3)),
}


def optimizer_figures() -> dict[str, dict[str, dict[str, float]]]:
    """CPU seconds of forward, backward and step by lookups, table and optimiser; and the ratios."""
    seconds = {
        f"{what}, {rows:,} rows": {name: _seconds(rows, lookups, name) for name in OPTIMIZERS}
        for what, lookups in LOOKUPS.items()
        for rows in ROWS
    }
    one = seconds["a field, batch 4096, 1,000,000 rows"]
    many = seconds["KuaiRand's 111 fields, batch 1024, 1,000,000 rows"]
    ratios = {
        "rows_vs_dense_adam_1m": one["dense"] / one["by rows"],
        "rows_vs_fused_adam_1m": one["dense, fused"] / one["by rows"],
        "rows_vs_dense_adam_1m_111_fields": many["dense"] / many["by rows"],
        "rows_vs_sparse_adam_1m_111_fields": many["SparseAdam"] / many["by rows"],
    }
    return {"seconds": seconds, "ratios": ratios}


def _seconds(rows: int, lookups: int, name: str) -> float:
    sparse, optimizer_of = OPTIMIZERS[name]
    random = torch.Generator().manual_seed(7)
    read = (torch.rand(lookups, generator=random) ** 3 * rows).long()  # some rows often, most seldom
    gradient = torch.randn(lookups, WIDTH, generator=random)
    table = nn.Embedding(rows, WIDTH, sparse=sparse)
    optimizer = optimizer_of(list(table.parameters()))
    ticks = []
    for _ in range(STEPS + 2):
        ticks.append(time.process_time())
        optimizer.zero_grad(set_to_none=True)
        table(read).backward(gradient)
        optimizer.step()
    return float(np.median(np.diff(ticks[1:])))
