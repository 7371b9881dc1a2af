"""Several processes that train one model together, as torchrun starts them; a process alone is one of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others; they may have stages of very different length behind them."""


def rank() -> int:
    """The number of this process among those that torchrun started together, from 0."""
    return int(os.environ["RANK"]) if _started_together() else 0


def processes() -> int:
    """How many of them there are."""
    return int(os.environ["WORLD_SIZE"]) if _started_together() else 1


def leads() -> bool:
    """Whether this is the process that writes files and talks to people."""
    return rank() == 0


def local_rank() -> int:
    """The number of this process on its machine: that of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if _started_together() else 0


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Connect the processes for the time of the block; nothing to do where this one is alone or connected."""
    if not _started_together() or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def part() -> slice:
    """This process's rows of a batch that all of them share."""
    return slice(rank(), None, processes())


def replicated(model: nn.Module) -> nn.Module:
    """The model, with gradients that are the mean of all processes' gradients."""
    return DistributedDataParallel(model) if _started_together() else model


def total(values: Tensor) -> Tensor:
    """The sum of the processes' tensors."""
    if _started_together():
        values = values.clone()
        dist.all_reduce(values)
    return values


def everyones(item: T) -> list[T]:
    """Every process's item, in order of rank; on the CPU or not, it is copied through pickles."""
    if not _started_together():
        return [item]
    items: list[T | None] = [None] * processes()
    dist.all_gather_object(items, item)
    return items  # type: ignore[return-value]


def _started_together() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched()
