from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.declarations.features import Role
from features.declarations.simulated import CATALOG
from tests.training.rows import training_rows
from training.data.encode import Encoder
from training.data.errors import EncodingError
from training.data.fit import fit

ROWS = training_rows(CATALOG, rows=600)
ENCODER = fit(CATALOG, "ranker_v1", ROWS.slice(0, 300))


def by_hand(encoder: Encoder, row: dict[str, object]) -> tuple[list, ...]:
    """The encoding of one row, value by value, in plain Python."""
    spec = encoder.spec

    def index(table: str, value: object) -> int:
        values = encoder.vocabularies[table].values
        return values.index(value) + 1 if value in values else 0

    ids = [index(field.table, row[field.column]) for field in spec.ids]
    now = int(row["event_timestamp"].timestamp() * 1e6)
    numeric = []
    for field in spec.numerics:
        value = field.default if row[field.column] is None else row[field.column]
        if field.elapsed and row[field.column] is not None:
            value = (now - value) / 3600e6
        value = math.log1p(max(value, 0.0)) if field.log else value
        numeric.append((value - field.mean) / field.std)
    length = spec.sequence_length
    sequence = np.zeros((length, len(spec.sequences)))
    for position, field in enumerate(spec.sequences):
        for slot, value in enumerate((row[field.column] or [])[:length]):
            sequence[slot, position] = index(field.table, value)
    ages = [(now - time) / 86400e6 for time in (row[spec.ages] or [])[:length]]
    mask = [True] * len(ages) + [False] * (length - len(ages))
    return ids, numeric, sequence, ages + [0.0] * (length - len(ages)), mask


def test_transform_equals_encoding_row_by_row():
    rows = ROWS.slice(250, 100)
    encoded = ENCODER.transform(rows)
    for position, row in enumerate(rows.to_pylist()):
        ids, numeric, sequence, ages, mask = by_hand(ENCODER, row)
        assert encoded.ids[position].tolist() == ids
        np.testing.assert_allclose(encoded.numeric[position], numeric, rtol=1e-5, atol=1e-6)
        assert encoded.sequence[position].tolist() == sequence.tolist()
        np.testing.assert_allclose(encoded.ages[position], ages, rtol=1e-5)
        assert encoded.mask[position].tolist() == mask
        assert encoded.scenario[position] == ids[2]


def test_transform_gives_the_same_for_a_row_alone_and_among_others():
    together = ENCODER.transform(ROWS)
    alone = ENCODER.transform(ROWS.slice(417, 1))
    for name in ("ids", "numeric", "sequence", "ages", "mask", "scenario"):
        assert np.array_equal(getattr(together, name)[417:418], getattr(alone, name))


def test_transform_gives_the_same_when_one_value_stands_for_all_rows():
    items = {field.column for field in ENCODER.spec.ids if field.role is Role.ITEM}
    rows, user = ROWS.slice(100, 50), ROWS.slice(400, 1)
    of_items = {name for name in ROWS.column_names if name in items or name.startswith("item_engagement")}
    once = {name: rows[name] if name in of_items else user[name] for name in ROWS.column_names}
    spread = {name: rows[name] if name in of_items else user[name].take([0] * 50) for name in once}
    found, expected = ENCODER.transform(once), ENCODER.transform(pa.table(spread))
    for name in ("ids", "numeric", "scenario"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    for name in ("sequence", "ages", "mask"):
        assert len(getattr(found, name)) == 1
        assert np.array_equal(getattr(found, name).repeat(50, axis=0), getattr(expected, name))
    assert len(np.unique(found.numeric, axis=0)) > 1
    assert found.mask.any()


def test_transform_refuses_columns_of_other_lengths():
    columns = {name: ROWS[name].slice(0, 1 + place % 3) for place, name in enumerate(ROWS.column_names)}
    with pytest.raises(EncodingError, match="as many values as there are rows"):
        ENCODER.transform(columns)


def test_transform_takes_numpy_columns_as_a_lookup_returns_them():
    rows = ROWS.slice(0, 50)
    columns = {
        name: rows[name].combine_chunks() if pa.types.is_list(rows[name].type) else rows[name].to_numpy()
        for name in rows.column_names
    }
    assert np.array_equal(ENCODER.transform(columns).ids, ENCODER.transform(rows).ids)
    assert np.array_equal(ENCODER.transform(columns).numeric, ENCODER.transform(rows).numeric)
    assert np.array_equal(ENCODER.transform(columns).ages, ENCODER.transform(rows).ages)


def test_elapsed_hours_are_counted_from_the_rows_own_instant():
    field = next(field for field in ENCODER.spec.numerics if field.elapsed)
    position = ENCODER.spec.numerics.index(field)
    rows = ROWS.slice(0, 1)
    now = rows["event_timestamp"].cast(pa.int64())[0].as_py()
    for held, hours in ((now - 2 * 3_600_000_000, 2.0), (now - 1, 0.0), (None, field.default)):
        column = pa.array([held], pa.int64())
        given = rows.set_column(rows.column_names.index(field.column), field.column, column)
        expected = (math.log1p(hours) - field.mean) / field.std
        found = ENCODER.transform(given).numeric[0, position]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_transform_treats_null_lists_as_empty():
    rows = ROWS.slice(0, 3)
    for field in (*ENCODER.spec.sequences, None):
        name = field.column if field else ENCODER.spec.ages
        position = rows.column_names.index(name)
        rows = rows.set_column(position, name, pa.array([None] * 3, rows[name].type))
    encoded = ENCODER.transform(rows)
    assert not encoded.mask.any()
    assert not encoded.sequence.any()
    assert not encoded.ages.any()


def test_transform_maps_unknown_and_missing_ids_to_zero():
    rows = ROWS.slice(0, 2).set_column(2, "user_id", pa.array(["stranger", None]))
    assert ENCODER.transform(rows).ids[:, 0].tolist() == [0, 0]


def test_transform_names_the_column_that_is_missing():
    with pytest.raises(EncodingError, match="item_id"):
        ENCODER.transform(ROWS.drop_columns(["item_id"]))


def test_transform_refuses_lists_of_unequal_length():
    name = ENCODER.spec.sequences[0].column
    lists = [["item1"], *ROWS[name].to_pylist()[1:]]
    rows = ROWS.set_column(ROWS.column_names.index(name), name, pa.array(lists))
    with pytest.raises(EncodingError, match="differ in length"):
        ENCODER.transform(rows)


def test_load_gives_back_the_encoder_that_was_saved(tmp_path: Path):
    ENCODER.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded == ENCODER
    assert np.array_equal(loaded.transform(ROWS).ids, ENCODER.transform(ROWS).ids)
