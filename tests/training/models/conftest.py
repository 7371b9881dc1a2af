from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.training.tiny import random_batch, tiny_config, tiny_spec

__all__ = ["random_batch", "tiny_config", "tiny_spec"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of a few hundred numbers gain nothing from threads, which busy machines make wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
