from __future__ import annotations

from tests.training.tiny import random_batch, tiny_config, tiny_spec

__all__ = ["random_batch", "tiny_config", "tiny_spec"]
