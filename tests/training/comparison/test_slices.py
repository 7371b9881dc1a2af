from __future__ import annotations

from pathlib import Path

import numpy as np

from features.declarations.simulated import CATALOG
from tests.training.rows import days, training_rows
from training.comparison.slices import newcomers
from training.data.arrays import EncodedArrays
from training.data.fit import fit
from training.data.write import write_encoded


def test_newcomers_are_the_test_rows_whose_id_the_training_days_had_at_most_once(tmp_path: Path):
    rows = training_rows(CATALOG, rows=800, users=300, items=40)
    write_encoded(fit(CATALOG, "ranker_v1", rows.slice(0, 400)), rows, days(), tmp_path / "a", source="abc")
    arrays = EncodedArrays(tmp_path / "a")
    start, stop = arrays.span("test")
    users = rows["user_id"].to_pylist()
    trained = users[:400]
    expected = [row for row, user in enumerate(users[start:stop]) if trained.count(user) < 2]
    found = newcomers(arrays)
    assert expected
    assert found["new users"].tolist() == expected
    assert len(found["new users"]) < stop - start
    assert found["new items"].tolist() == []


def test_newcomer_rows_differ_by_side(arrays: EncodedArrays):
    column = [field.column for field in arrays.encoder.spec.ids].index("item_id")
    arrays.column("ids", "test")[:7, column] = 0  # copy-on-write: the file keeps its ids
    assert newcomers(arrays)["new items"].tolist() == list(range(7))
    assert np.array_equal(newcomers(arrays)["new users"], [])
