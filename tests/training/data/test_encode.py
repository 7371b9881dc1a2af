from __future__ import annotations

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from features.declarations.catalog import AuxiliaryTask
from features.declarations.features import Role
from features.declarations.simulated import CATALOG, DWELL_SECONDS
from tests.training.rows import days, training_rows
from training.data.arrays import EncodedArrays
from training.data.encode import Encoder, fit, write_encoded
from training.data.errors import EncodedDataError, EncodingError

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


def test_load_gives_back_the_encoder_that_was_saved(tmp_path: Path):
    ENCODER.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert loaded == ENCODER
    assert np.array_equal(loaded.transform(ROWS).ids, ENCODER.transform(ROWS).ids)


def test_write_encoded_writes_slices_that_hold_exactly_the_days_of_their_split(tmp_path: Path):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    splits = json.loads((tmp_path / "encoded" / "splits.json").read_text())["splits"]
    day = np.load(tmp_path / "encoded" / "day.npy")
    first = (days()["train"].start - days()["train"].start.replace(year=1970, month=1, day=1)).days
    assert [splits[name]["start"] for name in splits] == [
        0,
        splits["train"]["stop"],
        splits["validation"]["stop"],
    ]
    assert splits["test"]["stop"] == ROWS.num_rows
    assert set(day[splits["test"]["start"] :]) == {first + 3}
    assert set(day[: splits["train"]["stop"]]) == {first, first + 1}


def test_write_encoded_keeps_missing_labels_as_nan(tmp_path: Path):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    labels = np.load(tmp_path / "encoded" / "labels.npy")
    expected = ROWS["label_like"].to_pylist()
    assert [None if math.isnan(value) else int(value) for value in labels[:, 1]] == expected


def test_labels_of_auxiliary_tasks_follow_those_of_the_tasks(tmp_path: Path):
    auxiliaries = (
        AuxiliaryTask("dwelt", DWELL_SECONDS, at_least=1.0),
        AuxiliaryTask("dwelt_long", DWELL_SECONDS, at_least=2.0),
    )
    catalog = replace(CATALOG, auxiliaries=auxiliaries)
    rows = training_rows(catalog, rows=600)
    seconds = pa.array([1.0, 0.999, None, 2.0, *rows[DWELL_SECONDS.name].to_pylist()[4:]], pa.float32())
    place = rows.schema.get_field_index(DWELL_SECONDS.name)
    rows = rows.set_column(place, DWELL_SECONDS.name, seconds)
    encoder = fit(catalog, "ranker_v1", rows.slice(0, 300))
    assert DWELL_SECONDS.name not in encoder.spec.columns  # an outcome: asked for at no look-up
    write_encoded(encoder, rows, days(), tmp_path / "encoded", source="abc")

    arrays = EncodedArrays(tmp_path / "encoded")
    assert arrays.column("labels", "train").shape[1] == len(CATALOG.tasks)
    batch = next(arrays.batches("train", 600, torch.device("cpu")))
    np.testing.assert_array_equal(batch.labels[:, :-2], arrays.column("labels", "train"))
    expected = [[1.0, 0.0], [0.0, 0.0], [math.nan, math.nan], [1.0, 1.0]]
    np.testing.assert_array_equal(batch.labels[:4, -2:], expected)


def test_write_encoded_numbers_users_apart_even_when_the_vocabulary_has_not_seen_them(tmp_path: Path):
    rows = ROWS.set_column(2, "user_id", pa.array([f"new{i % 9}" for i in range(ROWS.num_rows)]))
    write_encoded(ENCODER, rows, days(), tmp_path / "encoded", source="abc")
    assert len(np.unique(np.load(tmp_path / "encoded" / "user.npy"))) == 9


def test_write_encoded_gives_equal_bytes_when_run_twice_and_in_small_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_encoded(ENCODER, ROWS, days(), tmp_path / "one", source="abc")
    monkeypatch.setattr("training.data.encode.CHUNK", 37)
    write_encoded(ENCODER, ROWS, days(), tmp_path / "two", source="abc")
    assert (tmp_path / "one" / "hashes.json").read_bytes() == (tmp_path / "two" / "hashes.json").read_bytes()


def test_write_encoded_leaves_the_old_arrays_when_it_fails(tmp_path: Path):
    folder = tmp_path / "encoded"
    write_encoded(ENCODER, ROWS, days(), folder, source="abc")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(EncodingError):
        write_encoded(ENCODER, ROWS.drop_columns(["hour"]), days(), folder, source="abc")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoded"]


def test_write_encoded_is_refused_room_by_an_error_before_it_writes_through_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without it a full disk is SIGBUS, which no Python code can tell of."""
    room: list[int] = []

    def full(file: int, start: int, size: int) -> None:
        assert start == 0
        room.append(size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        write_encoded(ENCODER, ROWS, days(), tmp_path / "encoded", source="abc")
    assert room > [4 * ROWS.num_rows]
    assert list(tmp_path.iterdir()) == []


def test_write_encoded_refuses_rows_out_of_order(tmp_path: Path):
    with pytest.raises(EncodedDataError, match="not sorted"):
        write_encoded(
            ENCODER, ROWS.take(list(range(ROWS.num_rows))[::-1]), days(), tmp_path / "encoded", source="abc"
        )


def test_write_encoded_refuses_a_split_without_rows(tmp_path: Path):
    with pytest.raises(EncodedDataError, match="test days"):
        write_encoded(ENCODER, ROWS.slice(0, 400), days(), tmp_path / "encoded", source="abc")
