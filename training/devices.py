"""What a process trains and scores on: a GPU if there is one, and the cores it may use."""

from __future__ import annotations

import os

import torch

from training.distributed import local_rank


def find_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the GPU if there is one, each process's own if there are many."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)


def in_words(device: torch.device) -> str:
    """The device as a log names it, and why it is the CPU if it is."""
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    if device.type == "cpu" and not torch.cuda.is_available():
        return "no CUDA device: training on the CPU"
    return str(device)


def use_available_cores() -> None:
    """Let torch use the cores this process may run on, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(len(os.sched_getaffinity(0)), 16))
