"""KuaiRand-Pure, from the publisher's archive or a folder of its files (CC BY-SA 4.0).

https://kuairand.com, Gao et al., CIKM 2022. Read are the standard logs and the user and basic
video features. docs/data-contract.md lists what is dirty in them and what becomes of it.
"""

from __future__ import annotations

import tarfile
from datetime import date
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as sf

from features.declarations.features import DType, Feature
from features.declarations.kuairand_pure import (
    CATALOG,
    ITEM_PROFILE,
    PLAYED_SECONDS,
    PLAYED_SHARE,
    USER_PROFILE,
)
from pipelines.datasets.raw_files import arriving, content_hashes, download, raw_folders
from pipelines.datasets.reading import read_files
from pipelines.datasets.tables import (
    RawTables,
    event_rows,
    finite,
    instant,
    linked,
    profile_rows,
    raw_field,
    text,
    whole_number_id,
    zero_or_one,
)
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.settings import CHECKOUT, Settings

ARCHIVE = "https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz"
ARCHIVE_MD5 = "0820331067a3784d9691136f772b35a7"
USERS = "user_features_pure.csv"
VIDEOS = "video_features_basic_pure.csv"
LOGS = "log_standard_*_pure.csv"
LOG_PARTS = "splits/*.parquet"  # the same log, as a public repository splits it
LABELS = {"click": "is_click", "long_view": "long_view", "like": "is_like"}
PLAYED = "play_time_ms"
UNKNOWN = -124
AGE_REFERENCE = date(2022, 4, 22)  # the log's first day; a fixed one, so that an item's age is a constant


def read(spark: SparkSession, settings: Settings, days: Days) -> RawTables:
    """Read the whole log; `days` are cut out later, because a row's day follows from its time alone."""
    folder = _raw_folder(settings)
    logs, users_file, videos_file = _files(folder)
    way_out = f"Put the publisher's files into {folder} again, or remove the folder to have them downloaded."

    log = read_files(
        spark, logs, ["user_id", "video_id", "time_ms", "tab", PLAYED, *LABELS.values()], way_out
    )
    users = profile_rows(
        read_files(spark, [users_file], ["user_id", *(f.name for f in USER_PROFILE.columns)], way_out),
        "user_id",
        whole_number_id(raw_field("user_id")),
        {feature.name: _profile_column(feature) for feature in USER_PROFILE.columns},
    )
    videos = _videos(spark, videos_file, way_out)

    video = whole_number_id(raw_field("video_id"))
    rows = linked(log, video, videos, "item_id", "author_id", "tag_id", "video_duration")
    played = finite(raw_field(PLAYED), PLAYED_SECONDS, scale=1e-3)
    events = event_rows(
        rows,
        CATALOG,
        ids={
            "user": whole_number_id(raw_field("user_id")),
            "item": video,
            "scenario": whole_number_id(raw_field("tab")),
            "author": sf.col("author_id"),
            "tag": sf.col("tag_id"),
        },
        time=instant(sf.try_multiply(raw_field("time_ms").try_cast("bigint"), sf.lit(1000))),
        labels={task: zero_or_one(raw_field(column)) for task, column in LABELS.items()},
        quantities={
            PLAYED_SECONDS.name: played,
            PLAYED_SHARE.name: finite(played.value / (sf.col("video_duration") * 1e-3), PLAYED_SHARE),
        },
    )
    return RawTables(events, users, videos, content_hashes([*logs, users_file, videos_file]))


def _videos(spark: SparkSession, path: Path, way_out: str) -> DataFrame:
    stored = [feature for feature in ITEM_PROFILE.columns if feature.name != "item_age_days"]
    needed = ["video_id", "author_id", "tag", "upload_dt", *(feature.name for feature in stored)]
    uploaded = raw_field("upload_dt").try_cast("date")
    age = sf.greatest(sf.date_diff(sf.lit(AGE_REFERENCE), uploaded), sf.lit(0)).cast("float")
    columns = {feature.name: _profile_column(feature) for feature in stored}
    return profile_rows(
        read_files(spark, [path], needed, way_out),
        "item_id",
        whole_number_id(raw_field("video_id")),
        {
            **columns,
            "video_duration": sf.when(columns["video_duration"] > 0, columns["video_duration"]),
            "item_age_days": sf.when(uploaded.isNotNull(), age),
            "author_id": whole_number_id(raw_field("author_id")),
            "tag_id": text(sf.split(raw_field("tag"), ",")[0]),
        },
    )


def _profile_column(feature: Feature) -> Column:
    """A number, or a category in which "9.0" and "9" are one; the publisher's -124 means unknown."""
    found = text(raw_field(feature.name))
    if feature.dtype is DType.FLOAT:
        number = found.try_cast("float")
        return sf.when(number != UNKNOWN, number)
    return sf.nullif(sf.regexp_replace(found, r"^(-?\d+)\.0+$", "$1"), sf.lit(str(UNKNOWN)))


def _raw_folder(settings: Settings) -> Path:
    shared = CHECKOUT.parent / "shared" / "data" / CATALOG.dataset  # next to a developer's checkout
    for folder in (*raw_folders(settings, CATALOG.dataset), shared):
        if any(folder.rglob(USERS)):
            return folder
    target = settings.home / "raw" / CATALOG.dataset
    download_archive(target)
    return target


def _files(folder: Path) -> tuple[list[Path], Path, Path]:
    """The log's files, the user features and the video features."""
    found = {
        pattern: sorted(path for path in folder.rglob(pattern) if path.is_file())
        for pattern in (LOGS, LOG_PARTS, USERS, VIDEOS)
    }
    logs = found[LOGS] or found[LOG_PARTS]
    if not (logs and found[USERS] and found[VIDEOS]):
        wanted = f"{LOGS} (or {LOG_PARTS})" if not logs else VIDEOS
        present = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise RawDataError(
            f"{folder} has no {wanted}; there is {present}. Unpack {ARCHIVE} there, "
            "or remove the folder to have it downloaded"
        )
    return logs, found[USERS][0], found[VIDEOS][0]


def download_archive(target: Path, url: str = ARCHIVE, md5: str = ARCHIVE_MD5) -> None:
    """Download the publisher's archive and unpack what is read of it into `target`.

    Raises:
        RawDataError: the network failed, or the archive is not the one its publisher describes.
    """
    way_out = (
        f"Unpack the archive into {target} yourself, "
        f"or set GATEHOUSE_RAW to a folder that has {CATALOG.dataset}/{USERS} and the logs"
    )
    with arriving(target) as draft:
        archive = draft / "archive.tar.gz"
        download(url, md5, archive, way_out)
        with tarfile.open(archive) as tar:
            for member in tar:
                path = Path(member.name)
                if member.isfile() and (path.name in (USERS, VIDEOS) or path.match(LOGS)):
                    member.name = path.name
                    tar.extract(member, draft, filter="data")
        archive.unlink()
