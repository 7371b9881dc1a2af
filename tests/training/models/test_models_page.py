"""docs/models.md names tests and shows a model; both must be real."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.settings import CHECKOUT
from training import models
from training.config import TrainConfig
from training.data.batch import Batch
from training.data.spec import InputSpec
from training.models.build import available, build

PAGE = (CHECKOUT / "docs" / "models.md").read_text(encoding="utf-8")


def test_every_test_the_page_names_is_there() -> None:
    sources = (CHECKOUT / "tests" / "training").rglob("test_*.py")
    there = {
        name
        for source in sources
        for name in re.findall(r"^def (test_\w+)", source.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named <= there


def test_the_page_has_a_row_for_every_model() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| \[\w+\.py\]", PAGE, re.MULTILINE)) == set(available())


def test_the_pages_example_is_a_model_once_it_lies_among_the_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_spec: InputSpec,
    random_batch: Callable[..., Batch],
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "gated_linear.py").write_text(example)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    config = TrainConfig(embedding_dim=3, models={"gated_linear": {"scale": 2.0}})
    assert "gated_linear" in available()
    assert build("gated_linear", tiny_spec, config)(random_batch(rows=5)).shape == (5, 3)
