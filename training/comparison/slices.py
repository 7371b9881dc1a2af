"""Slices of the test rows that are not scenarios: newcomers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.declarations.entities import ITEM, USER
from training.data.arrays import EncodedArrays
from training.data.vocabulary import UNSEEN

NEWCOMERS = {"new users": USER.column, "new items": ITEM.column}
"""Slice to the id column that is unseen in it."""


def newcomers(arrays: EncodedArrays) -> dict[str, NDArray[np.int64]]:
    """Test rows whose user, or item, no model can know: positions by slice.

    Their id is not in the vocabulary of the training days, which leaves out ids that were there only once.
    """
    columns = [field.column for field in arrays.encoder.spec.ids]
    ids = arrays.column("ids", "test")
    return {
        name: np.flatnonzero(ids[:, columns.index(column)] == UNSEEN) for name, column in NEWCOMERS.items()
    }
