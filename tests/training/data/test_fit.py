from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.declarations.simulated import CATALOG
from tests.training.rows import training_rows
from training.data.errors import EncodingError
from training.data.fit import fit

ROWS = training_rows(CATALOG, rows=600)
ENCODER = fit(CATALOG, "ranker_v1", ROWS.slice(0, 300))


def test_fit_reads_only_the_rows_it_is_given():
    future = ROWS.slice(300)
    shifted = future.set_column(2, "user_id", pa.array([f"new{i}" for i in range(future.num_rows)]))
    encoder = fit(CATALOG, "ranker_v1", ROWS.slice(0, 300))
    assert encoder.spec == ENCODER.spec
    assert not ENCODER.transform(shifted).ids[:, 0].any()


def test_fit_shares_a_vocabulary_between_ids_and_sequences():
    table = next(field.table for field in ENCODER.spec.sequences if field.table == "item_id")
    assert table == next(field.table for field in ENCODER.spec.ids if field.column == "item_id")


def test_fit_standardises_numbers_on_the_training_rows():
    numeric = ENCODER.transform(ROWS.slice(0, 300)).numeric
    np.testing.assert_allclose(numeric.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(numeric.std(axis=0), 1.0, atol=1e-4)


def test_fit_leaves_a_constant_column_in_its_own_units():
    name = ENCODER.spec.numerics[0].column
    position = ROWS.column_names.index(name)
    encoder = fit(CATALOG, "ranker_v1", ROWS.set_column(position, name, pa.array([2.0] * ROWS.num_rows)))
    moved = encoder.transform(ROWS.set_column(position, name, pa.array([3.0] * ROWS.num_rows)))
    assert abs(moved.numeric[:, 0]).max() <= 1.0


def test_fit_refuses_an_empty_training_set():
    with pytest.raises(EncodingError, match="no training rows"):
        fit(CATALOG, "ranker_v1", ROWS.slice(0, 0))
