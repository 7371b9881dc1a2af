"""Choosing the data set: one line of params.yaml changes and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.settings import CHECKOUT, Settings
from pipelines.use import use


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((CHECKOUT / "params.yaml").read_bytes())
    return path


def test_use_changes_one_line_and_keeps_its_comment(params: Path) -> None:
    before = params.read_text()

    use(Settings(home=params.parent), "simulated")

    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), params.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert len(changed) == 1
    old, new = changed[0]
    assert new == f"dataset: simulated{old[old.index(' #') :]}"
    assert Settings(home=params.parent).dataset == "simulated"
    assert list(params.parent.iterdir()) == [params]


def test_use_changes_nothing_when_the_data_set_is_unknown(params: Path) -> None:
    before = params.read_bytes()

    with pytest.raises(SettingsError, match=r"'movielens'.*movielens-100k, kuairand-pure, simulated"):
        use(Settings(home=params.parent), "movielens")

    assert params.read_bytes() == before


def test_use_can_leave_a_data_set_without_its_mapping(params: Path) -> None:
    use(Settings(home=params.parent), "custom")
    use(Settings(home=params.parent), "kuairand-pure")

    assert Settings(home=params.parent).dataset == "kuairand-pure"
