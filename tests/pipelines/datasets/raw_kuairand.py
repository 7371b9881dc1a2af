"""Small raw files in KuaiRand-Pure's two layouts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.declarations.kuairand_pure import ITEM_PROFILE, USER_PROFILE

Row = dict[str, Any]
LOG = {
    "user_id": 1, "video_id": 10, "date": 20220501, "hourmin": 800, "time_ms": 0, "is_click": 1, "is_like": 0,
    "long_view": 1, "play_time_ms": 9000, "duration_ms": 20000, "tab": 1,
}  # fmt: skip


def milliseconds(text: str) -> int:
    """Milliseconds since 1970 of a UTC time such as "2022-05-01 08:00:00.250"."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def log_row(at: str, **changes: Any) -> Row:
    """An impression of video 10 by user 1 in tab 1 at a UTC time."""
    return {**LOG, "time_ms": milliseconds(at), **changes}


def user_row(user: int, **changes: Any) -> Row:
    numbers = dict.fromkeys((feature.name for feature in USER_PROFILE.columns), "1")
    return {"user_id": user, **numbers, "user_active_degree": "full_active", **changes}


def video_row(video: int, **changes: Any) -> Row:
    row = {"video_id": video, **dict.fromkeys((feature.name for feature in ITEM_PROFILE.columns), "1")}
    row |= {"author_id": 100 + video, "tag": "12,65", "upload_dt": "2022-04-10", "music_type": "9.0"}
    del row["item_age_days"]
    return row | changes


def write_features(folder: Path, users: Sequence[Row], videos: Sequence[Row]) -> None:
    write_csv(folder / "user_features_pure.csv", users)
    write_csv(folder / "video_features_basic_pure.csv", videos)


def write_parquet_log(folder: Path, rows: Sequence[Row]) -> None:
    """The log as splits/*.parquet; the second half of the rows lies in the second file."""
    (folder / "splits").mkdir(parents=True)
    half = len(rows) // 2
    for name, part in (("test", rows[half:]), ("val", rows[:half])):
        pq.write_table(pa.Table.from_pylist(list(part)), folder / "splits" / f"{name}.parquet")


def write_publisher_log(folder: Path, rows: Sequence[Row]) -> None:
    """The log as the two CSV files of the publisher's archive."""
    half = len(rows) // 2
    write_csv(folder / "log_standard_4_08_to_4_21_pure.csv", rows[:half])
    write_csv(folder / "log_standard_4_22_to_5_08_pure.csv", rows[half:])


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
