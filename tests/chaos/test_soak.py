"""The short form of `make soak`: one round of changes under load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.soak import figures, soak

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(
        "GATEHOUSE_CHAOS_INJECTIONS" not in os.environ, reason="`make chaos` does; it takes minutes"
    ),
]


def test_every_answer_is_right_while_day_and_model_change_under_load(tmp_path: Path) -> None:
    outcome = soak(0.0, tmp_path)
    assert outcome.wrong() == []
    assert outcome.operator.done == {"materialize": 1, "publish": 1, "rollback": 1}
    assert len(outcome.seen.days) == 2
    assert outcome.seen.models == {"pepnet@v1.0.0", "pepnet@v2.0.0"}
    written = figures(outcome)
    assert written["requests"] > 0
    assert set(written["series"]) == {"serve", "valkey", "worker 1", "worker 2"}
