"""A good day of somebody's own log, the files it may come in, and the events it must become."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 60
DAY_MS = 86_400_000
MAPPING = {
    "events": {
        "path": "log/*",
        "user": "uid",
        "item": "sku",
        "scenario": "page",
        "time": "at",
        "created": "seen",
        "time_unit": "ms",
    },
    "labels": {
        "click": {"column": "clicked", "prior": 0.3},
        "buy": {"column": "paid", "at_least": 0.01, "prior": 0.1},
    },
    "quantities": {"looked": {"column": "seconds", "low": 0}},
    "users": {"path": "users.csv", "id": "uid", "categories": ["country"], "numbers": ["age"]},
    "items": {"path": "items.csv", "id": "sku", "numbers": ["price"]},
    "windows": [1],
    "sequence_length": 5,
}
LABELS = {"clicked": 1.0, "paid": 0.01}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the log: how its name ends, and its bytes."""

    suffix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Day:
    """What a kind of bad data is made of.

    Attributes:
        ds: the day.
        rows: its good rows, as `good_rows` gives them.
        numbers: random numbers of this injection's own.
    """

    ds: date
    rows: pd.DataFrame
    numbers: Random

    @property
    def start(self) -> int:
        """Its first instant, in milliseconds since 1970."""
        return first_millisecond(self.ds)

    def some(self, count: int = 2) -> list[int]:
        """Numbers of rows, few enough that a day with as many in quarantine passes."""
        return sorted(self.numbers.sample(range(len(self.rows)), count))

    def text(self) -> pd.DataFrame:
        """The rows as they stand in a CSV file."""
        return self.rows.astype(str)

    def with_text(self, column: str, values: dict[int, str]) -> pd.DataFrame:
        """The rows as text, some fields of a column replaced."""
        frame = self.text()
        for row, value in values.items():
            frame.loc[row, column] = value
        return frame


def first_millisecond(ds: date) -> int:
    return int(datetime(ds.year, ds.month, ds.day, tzinfo=UTC).timestamp()) * 1000


def good_rows(ds: date, numbers: Random, rows: int = ROWS) -> pd.DataFrame:
    """Rows in the order of their times, each reported a second later."""
    at = first_millisecond(ds) + pd.Series(sorted(numbers.sample(range(1, DAY_MS - 1), rows)))
    clicked = [int(numbers.random() < 0.4) for _ in range(rows)]
    clicked[:4] = [0, 1, 0, 1]
    return pd.DataFrame(
        {
            "uid": [f"user {numbers.randrange(20)}" for _ in range(rows)],
            "sku": [f"sku-{numbers.randrange(12)}" for _ in range(rows)],
            "page": [numbers.choice(["home", "home", "search"]) for _ in range(rows)],
            "at": at,
            "seen": at + 1000,
            "clicked": clicked,
            "paid": [9.99 if yes and numbers.random() < 0.5 else 0.0 for yes in clicked],
            "seconds": [numbers.randrange(400) / 4 for _ in range(rows)],
        }
    )


def csv(frame: pd.DataFrame, suffix: str = ".csv", **options: Any) -> File:
    return File(suffix, frame.to_csv(index=False, **options).encode())


def gz(file: File) -> File:
    return File(f"{file.suffix}.gz", gzip.compress(file.content, mtime=0))


def parquet(frame: pd.DataFrame | pa.Table) -> File:
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return File(".parquet", stream.getvalue())


def events_of(rows: pd.DataFrame) -> list[tuple[object, ...]]:
    """What good rows must stand in the lake as, in any order.

    Numbers of labels and quantities are null where they are NaN, and ids are taken as they are.
    """
    return sorted(
        (
            row["uid"],
            row["sku"],
            row["page"],
            int(row["at"]) * 1000,
            int(row["seen"]) * 1000,
            *(
                None if pd.isna(row[name]) else int(float(row[name]) >= least)
                for name, least in LABELS.items()
            ),
            None if pd.isna(row["seconds"]) else float(row["seconds"]),
        )
        for row in rows.to_dict("records")
    )


def stored_events(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Rows of the event table in the form of `events_of`."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    micro = [
        tuple(
            round((row[name] - epoch).total_seconds() * 1_000_000)
            for name in ("event_timestamp", "created_timestamp")
        )
        for row in rows
    ]
    return sorted(
        (
            row["user_id"],
            row["item_id"],
            row["scenario_id"],
            *times,
            row["label_click"],
            row["label_buy"],
            row["looked"],
        )
        for row, times in zip(rows, micro, strict=True)
    )
