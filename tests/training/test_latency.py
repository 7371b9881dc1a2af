from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.data.arrays import EncodedArrays
from training.latency import one_users_list


@pytest.mark.parametrize("candidates", [1, 7, 5000])
def test_list_is_as_long_as_asked_and_of_one_user_in_one_scenario(encoded: Path, candidates: int) -> None:
    arrays = EncodedArrays(encoded)
    rows = one_users_list(arrays, candidates)
    assert len(rows) == len(rows.numeric) == candidates
    assert len(rows.sequence) == len(rows.ages) == len(rows.mask) == 1
    assert np.unique(rows.scenario).tolist() == [arrays.column("scenario", "test")[0]]
