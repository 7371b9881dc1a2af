from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.stores import places, point_in_time
from features.stores.errors import SpineError
from features.stores.point_in_time import join
from pipelines.lake import Lake
from tests.features.stores.tables import (
    INSTANT,
    MICROSECOND,
    START,
    TTLS,
    At,
    Row,
    newest_known,
    publish,
    random_rows,
    random_spines,
    spine_of,
    view_of,
    write_rows,
)

DAY = timedelta(days=1)
# How many rows a view may have for each of the spine, that keys become numbers in the one way or the other.
BY_HASH, BY_NUMBER = 1000, 0


def joined(spine: pa.Table, lake: Lake, ttl: timedelta, chunk: int = 1000) -> pa.Table:
    return pa.concat_tables(join(spine, (view_of(lake.root / "t", ttl),), chunk))


@settings(max_examples=150)
@given(
    rows=random_rows,
    spine=random_spines,
    ttl=st.sampled_from(TTLS),
    chunk=st.sampled_from([3, 1000]),
    large=st.sampled_from([BY_HASH, BY_NUMBER]),
    key_hash=st.sampled_from(["hash({})", "hash({}) % 2"]),
)
def test_join_equals_brute_force_when_keys_ties_and_late_rows_are_random(
    rows: list[Row], spine: list[At], ttl: timedelta, chunk: int, large: int, key_hash: str
) -> None:
    """With a hash of which half of the keys have the same, too."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(point_in_time, "LARGE", large),
        mock.patch.object(places, "_HASH", key_hash),
    ):
        lake = Lake(Path(folder))
        write_rows(lake, "t", rows)
        result = joined(spine_of(spine), lake, ttl, chunk)
    assert result.select(["user_id", "item_id", "event_timestamp"]).equals(spine_of(spine))
    assert result["value"].to_pylist() == [newest_known(at, rows, ttl) for at in spine]


@settings(max_examples=100)
@given(
    rows=random_rows,
    spine=random_spines,
    ttl=st.sampled_from(TTLS),
    large=st.sampled_from([BY_HASH, BY_NUMBER]),
)
def test_join_equals_brute_force_when_rows_are_snapshots(
    rows: list[Row], spine: list[At], ttl: timedelta, large: int
) -> None:
    unique = {(row.user, row.item, row.event): row for row in rows}
    snapshots = [Row(row.user, row.item, row.event, row.event, row.value) for row in unique.values()]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(point_in_time, "LARGE", large):
        lake = Lake(Path(folder))
        write_rows(lake, "t", snapshots)
        result = joined(spine_of(spine), lake, ttl)
    assert result["value"].to_pylist() == [newest_known(at, snapshots, ttl) for at in spine]


def test_feature_is_null_when_it_lies_one_microsecond_past_its_event(tmp_path: Path) -> None:
    write_rows(Lake(tmp_path), "t", [Row("u", "i", START, START, 1.0)])
    spine = spine_of([At("u", "i", START - MICROSECOND), At("u", "i", START)])
    assert joined(spine, Lake(tmp_path), DAY)["value"].to_pylist() == [None, 1.0]


def test_row_is_not_used_until_it_was_created(tmp_path: Path) -> None:
    late = Row("u", "i", START + DAY, START + 2 * DAY, 2.0)
    write_rows(Lake(tmp_path), "t", [Row("u", "i", START, START, 1.0), late])
    spine = spine_of([At("u", "i", START + 2 * DAY - MICROSECOND), At("u", "i", START + 2 * DAY)])
    assert joined(spine, Lake(tmp_path), timedelta(0))["value"].to_pylist() == [1.0, 2.0]


def test_newest_creation_wins_among_equal_events_that_were_known_before(tmp_path: Path) -> None:
    newer, older = START + DAY - MICROSECOND, START
    rows = [Row("u", "i", START + DAY, newer, 1.0), Row("u", "i", START + DAY, older, 2.0)]
    write_rows(Lake(tmp_path), "t", rows)
    spine = spine_of([At("u", "i", START + DAY)])
    assert joined(spine, Lake(tmp_path), DAY)["value"].to_pylist() == [1.0]


@pytest.mark.parametrize("instant", [START, None])
def test_large_tables_are_joined_when_rows_were_created_in_a_far_future(
    tmp_path: Path, instant: datetime | None
) -> None:
    """Instants and places are told in one number, which has its limits."""
    far = datetime(9999, 1, 1, tzinfo=UTC)
    rows = [Row(str(u), "i", START, far if u % 2 else START, float(u)) for u in range(6000)]
    write_rows(Lake(tmp_path), "t", rows)
    result = joined(spine_of(At(str(u), "i", instant) for u in range(1000)), Lake(tmp_path), DAY)
    expected = [None if instant is None or u % 2 else float(u) for u in range(1000)]
    assert result["value"].to_pylist() == expected


def test_row_is_used_to_the_end_of_its_ttl_and_not_after(tmp_path: Path) -> None:
    write_rows(Lake(tmp_path), "t", [Row("u", "i", START, START, 1.0)])
    spine = spine_of([At("u", "i", START + DAY), At("u", "i", START + DAY + MICROSECOND)])
    assert joined(spine, Lake(tmp_path), DAY)["value"].to_pylist() == [1.0, None]


def test_order_and_duplicates_are_kept_when_the_spine_spans_many_chunks(tmp_path: Path) -> None:
    write_rows(Lake(tmp_path), "t", [Row(str(u), "i", START, START, float(u)) for u in range(50)])
    chosen = [random.Random(7).randrange(60) for _ in range(20_000)]
    spine = spine_of(At(str(u), "i", START + DAY) for u in chosen)
    result = joined(spine, Lake(tmp_path), timedelta(0), chunk=4096)
    assert result["user_id"].to_pylist() == [str(u) for u in chosen]
    assert result["value"].to_pylist() == [float(u) if u < 50 else None for u in chosen]


@pytest.mark.parametrize("chunk", [1, 1000])
def test_keys_are_told_apart_when_their_hashes_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(places, "_HASH", "hash(concat({}))")
    keys = [("1", "23"), ("12", "3"), ("123", ""), ("4", "5")]
    write_rows(Lake(tmp_path), "t", [Row(*key, START, START, float(n)) for n, key in enumerate(keys)])
    spine = spine_of([At(*key, START) for key in [*keys, ("", "123"), (None, "123")]])
    assert joined(spine, Lake(tmp_path), DAY, chunk)["value"].to_pylist() == [0.0, 1.0, 2.0, 3.0, None, None]


@pytest.mark.parametrize("chunk", [1, 1000])
def test_rows_come_once_when_one_key_hides_another_from_some_instant_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """What was found rightly for an earlier row is what is found again for a later one."""
    monkeypatch.setattr(places, "_HASH", "hash({}) % 1")
    write_rows(
        Lake(tmp_path), "t", [Row("u", "i", START, START, 1.0), Row("v", "i", START + DAY, START + DAY, 2.0)]
    )
    spine = spine_of([At("u", "i", START), At("u", "i", START + DAY), At("v", "i", START + DAY)])
    assert joined(spine, Lake(tmp_path), timedelta(0), chunk)["value"].to_pylist() == [1.0, 1.0, 2.0]


def test_keys_that_are_neither_text_nor_whole_numbers_are_joined(tmp_path: Path) -> None:
    keys = pa.array([bytes([n]) * 16 for n in range(3)], pa.uuid())
    times = pa.array([START] * 3, INSTANT)
    spine = pa.table({"user_id": keys, "item_id": ["i"] * 3, "event_timestamp": times})
    values = pa.array([0.0, 1.0, 2.0], pa.float32())
    rows = spine.append_column("created_timestamp", times).append_column("value", values)
    publish(Lake(tmp_path), "t", START.date(), rows)
    assert joined(spine, Lake(tmp_path), DAY)["value"].to_pylist() == [0.0, 1.0, 2.0]


def test_features_are_null_when_nothing_has_been_written(tmp_path: Path) -> None:
    result = joined(spine_of([At("u", "i", START)]), Lake(tmp_path), DAY)
    assert result["value"].to_pylist() == [None]
    assert result.schema.field("value").type == pa.float32()


def test_values_are_null_when_a_day_was_written_before_its_column_was_declared(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_rows(lake, "t", [Row("u", "i", START, START, 1.0), Row("u", "i", START + DAY, START + DAY, 2.0)])
    old = pa.table(
        {"user_id": ["u"], "item_id": ["i"], "event_timestamp": [START], "created_timestamp": [START]}
    )
    publish(lake, "t", START.date(), old)
    spine = spine_of([At("u", "i", START), At("u", "i", START + DAY)])
    assert joined(spine, lake, timedelta(0))["value"].to_pylist() == [None, 2.0]


def test_files_that_no_manifest_names_are_never_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    write_rows(lake, "t", [Row("u", "i", START, START, 1.0)])
    (lake.folder("t", START.date()) / "stray.parquet").write_bytes(b"half a file")
    (lake.root / "t" / "ds=2026-01-09").mkdir()
    assert joined(spine_of([At("u", "i", START)]), lake, DAY)["value"].to_pylist() == [1.0]


def test_error_names_the_key_column_when_the_spine_lacks_it(tmp_path: Path) -> None:
    spine = spine_of([At("u", "i", START)]).drop_columns(["item_id"])
    with pytest.raises(SpineError, match="no column 'item_id', a key of view view"):
        joined(spine, Lake(tmp_path), DAY)


def test_error_names_the_feature_when_it_would_replace_a_spine_column(tmp_path: Path) -> None:
    spine = spine_of([At("u", "i", START)]).append_column("value", pa.array([0.0]))
    with pytest.raises(SpineError, match="'value'"):
        joined(spine, Lake(tmp_path), DAY)
