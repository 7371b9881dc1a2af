from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.stores.errors import SpineError
from features.stores.point_in_time import CHUNK, join
from features.stores.spine import SpineLike, load_spine
from features.stores.sql import connect, text
from pipelines.lake import Lake
from tests.features.stores.tables import START, At, Row, spine_of, view_of, write_rows

HOUR = timedelta(hours=1)


def values(spine: SpineLike, folder: Path, chunk: int = CHUNK) -> list[float | None]:
    write_rows(Lake(folder), "t", [Row("5", "i", START, START, 1.0)])
    table = pa.concat_tables(join(spine, (view_of(folder / "t", timedelta(days=1)),), chunk))
    return table["value"].to_pylist()  # type: ignore[no-any-return]


def frame(times: list[object], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"user_id": "5", "item_id": "i", "event_timestamp": pd.Series(times), **columns})


def test_naive_time_is_utc_when_the_spine_is_a_frame(tmp_path: Path) -> None:
    naive = START.replace(tzinfo=None)
    assert values(frame([naive - HOUR, naive]), tmp_path) == [None, 1.0]


def test_instant_is_compared_when_the_spine_is_in_another_zone(tmp_path: Path) -> None:
    local = pd.Timestamp(START).tz_convert("Asia/Shanghai")
    assert values(frame([local - HOUR, local]), tmp_path) == [None, 1.0]


def test_nanoseconds_are_cut_off_when_the_spine_has_them(tmp_path: Path) -> None:
    before = pd.Timestamp(START) - pd.Timedelta(1, "ns")
    assert values(frame([before, before + pd.Timedelta(1, "ns")]), tmp_path) == [None, 1.0]


def test_key_matches_when_the_spine_holds_it_as_a_number(tmp_path: Path) -> None:
    assert values(frame([START]).assign(user_id=5), tmp_path) == [1.0]


def test_index_of_a_frame_is_left_out(tmp_path: Path) -> None:
    spine = frame([START, START]).set_index(pd.Index(["x", "y"], name="label"))
    table = next(join(spine, (view_of(tmp_path / "t", HOUR),)))
    assert table.column_names == ["user_id", "item_id", "event_timestamp", "value"]


def test_spine_may_be_a_parquet_file_or_a_query_over_it(tmp_path: Path) -> None:
    path = tmp_path / "it's a spine.parquet"
    pq.write_table(spine_of([At("5", "i", START - HOUR), At("5", "i", START)]), path)
    query = f"FROM read_parquet({text(str(path))}) ORDER BY event_timestamp DESC;"
    assert values(path, tmp_path) == [None, 1.0]
    assert values(str(path), tmp_path) == [None, 1.0]
    assert values(path, tmp_path, chunk=1) == [None, 1.0]  # longer than is read at once
    assert values(query, tmp_path) == [1.0, None]


def test_columns_are_kept_whatever_their_types(tmp_path: Path) -> None:
    spine = spine_of([At("5", "i", START)])
    others = {
        "half": pa.array([np.float16(0.5)]),
        "long": pa.array([Decimal(1)], pa.decimal256(50, 2)),
        "halves": pa.array([[np.float16(0.5)]], pa.list_(pa.float16())),
        "words": pa.array(["a"]).dictionary_encode(),
        "nothing": pa.nulls(1),
    }
    for name, column in others.items():
        spine = spine.append_column(name, column)
    pq.write_table(spine, tmp_path / "spine.parquet")
    write_rows(Lake(tmp_path), "t", [Row("5", "i", START, START, 1.0)])
    for given in (spine, tmp_path / "spine.parquet"):
        (table,) = join(given, (view_of(tmp_path / "t", HOUR),))
        assert table.drop_columns("value").equals(spine)
        assert table["value"].to_pylist() == [1.0]


def test_only_timestamp_column_is_the_instant_when_it_has_another_name(tmp_path: Path) -> None:
    assert values(frame([START]).rename(columns={"event_timestamp": "shown_at"}), tmp_path) == [1.0]


@pytest.mark.parametrize("columns", [["user_id"], ["user_id", "a", "b"]])
def test_error_lists_the_columns_when_no_single_one_is_an_instant(columns: list[str]) -> None:
    times = frame([START]).assign(a=START, b=START)
    with connect() as connection, pytest.raises(SpineError, match="user_id"):
        load_spine(connection, times[columns], 1)
