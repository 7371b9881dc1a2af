"""KuaiRand-Pure: every kind of dirt of the real log, both layouts, the download, and the real files."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.counts import read_counts
from pipelines.datasets.kuairand_pure import LOGS, USERS, VIDEOS, download_archive
from pipelines.days import Days
from pipelines.errors import RawDataError
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.settings import CHECKOUT, Settings
from tests.homes import make_home
from tests.pipelines.datasets.raw_kuairand import (
    log_row,
    user_row,
    video_row,
    write_csv,
    write_features,
    write_parquet_log,
    write_publisher_log,
)
from tests.pipelines.lake_reading import bytes_of, rows_of

pytestmark = pytest.mark.spark

FIRST, SECOND, THIRD = date(2022, 5, 1), date(2022, 5, 2), date(2022, 5, 3)
DAYS = Days(start=FIRST, end=THIRD)
DIRTY = [
    log_row("2022-05-01 08:00:00"),
    log_row("2022-05-01 08:00:00"),  # the same row again
    log_row("2022-05-01 08:00:00", hourmin=1600),  # the same event with another hourmin
    log_row("2022-05-01 23:59:59.999", date=20220502, video_id=11, duration_ms=0),
    log_row("2022-05-01 09:00:00", user_id=None),
    log_row("2022-05-01 09:00:01", video_id=None),
    log_row("2022-05-01 09:00:02", tab=None),
    log_row("2022-05-01 09:00:03", is_click=2),
    log_row("2022-05-01 09:00:04", is_like=None),
    log_row("2022-05-03 00:00:00", video_id=99, date=20220502),  # a video without features
    log_row("2022-05-03 01:00:00", time_ms=None),
    log_row("2022-05-03 01:00:00", time_ms=9_223_372_036_854_775_000),
]
USER_ROWS = [
    user_row(1, is_live_streamer="-124", onehot_feat4=""),
    user_row(2),
    user_row(2, register_days="7"),
]
VIDEO_ROWS = [
    video_row(10),
    video_row(11, tag="", video_duration="0", music_type="", upload_dt="2022-04-30"),
    video_row(12, video_duration="-5.0"),
]


def _settings(folder: Path, raw: Path) -> Settings:
    section = {
        "days": {"start": str(FIRST), "end": str(THIRD)},
        "split": {"train": 1, "validation": 1, "test": 1},
    }
    return Settings(home=make_home(folder, "kuairand-pure", datasets={"kuairand-pure": section}), raw=raw)


@pytest.fixture(scope="module")
def dirty(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A log with every kind of dirt, ingested."""
    folder = tmp_path_factory.mktemp("kuairand")
    write_features(folder / "raw/kuairand-pure", USER_ROWS, VIDEO_ROWS)
    write_parquet_log(folder / "raw/kuairand-pure", DIRTY)
    settings = _settings(folder / "home", folder / "raw")
    ingest(settings, DAYS)
    return settings


def test_events_keep_one_row_of_each_event_when_rows_repeat(dirty: Settings) -> None:
    events = rows_of(Lake(dirty.lake), "events", FIRST)

    assert [(row["item_id"], row["hour"]) for row in events] == [("10", "8"), ("10", "9"), ("11", "23")]
    assert read_counts(Lake(dirty.lake), FIRST).duplicates == 2


def test_day_and_time_come_from_time_ms_when_date_disagrees(dirty: Settings) -> None:
    last = rows_of(Lake(dirty.lake), "events", FIRST)[-1]

    assert last["event_timestamp"] == datetime(2022, 5, 1, 23, 59, 59, 999000, tzinfo=UTC)
    assert last["created_timestamp"] == last["event_timestamp"]
    assert last["event_id"] == "1:11:1651449599999000"


def test_event_has_author_and_first_tag_when_its_video_is_known(dirty: Settings) -> None:
    (first, *_, last), (unknown,) = (rows_of(Lake(dirty.lake), "events", day) for day in (FIRST, THIRD))

    assert (first["author_id"], first["tag_id"]) == ("110", "12")
    assert (last["author_id"], last["tag_id"]) == ("111", None)
    assert (unknown["author_id"], unknown["tag_id"]) == (None, None)


def test_played_time_is_kept_in_seconds(dirty: Settings) -> None:
    assert {row["played_seconds"] for row in rows_of(Lake(dirty.lake), "events", FIRST)} == {9.0}


def test_played_share_is_of_the_videos_length_and_null_where_that_is_unknown(dirty: Settings) -> None:
    first, second, other = rows_of(Lake(dirty.lake), "events", FIRST)

    length = float(video_row(10)["video_duration"]) / 1000
    assert first["played_share"] == second["played_share"] == pytest.approx(9.0 / length)
    assert other["played_share"] is None


def test_missing_label_stays_null_while_other_values_are_quarantined(dirty: Settings) -> None:
    unlabelled = rows_of(Lake(dirty.lake), "events", FIRST)[1]

    assert unlabelled["label_like"] is None
    assert read_counts(Lake(dirty.lake), FIRST).reasons["label click is not readable"] == 1


def test_unusable_rows_are_quarantined_with_reason_and_origin(dirty: Settings) -> None:
    quarantined = rows_of(Lake(dirty.lake), "quarantine", FIRST)

    assert [(row["source"], row["line"], row["reason"]) for row in quarantined] == [
        ("test.parquet", 1, "scenario_id is missing or unreadable"),
        ("test.parquet", 2, "label click is not readable"),
        ("test.parquet", 5, "the time is missing or unreadable"),
        ("test.parquet", 6, "the time is missing or unreadable"),
        ("val.parquet", 5, "user_id is missing or unreadable"),
        ("val.parquet", 6, "item_id is missing or unreadable"),
    ]
    assert json.loads(quarantined[0]["row"])["tab"] is None


def test_every_row_is_accounted_for_when_the_log_is_dirty(dirty: Settings) -> None:
    counts = [read_counts(Lake(dirty.lake), day) for day in DAYS]

    assert [(day.rows, day.kept, day.duplicates, day.quarantined) for day in counts] == [
        (11, 3, 2, 6),
        (0, 0, 0, 0),
        (1, 1, 0, 0),
    ]
    assert sum(day.rows for day in counts) == len(DIRTY)


def test_day_without_rows_has_an_empty_partition(dirty: Settings) -> None:
    assert Lake(dirty.lake).manifest("events", SECOND).files == ()


def test_unknown_sentinel_and_empty_values_become_null_in_profiles(dirty: Settings) -> None:
    first, second = rows_of(Lake(dirty.lake), "users")

    assert (first["is_live_streamer"], first["onehot_feat4"], first["is_video_author"]) == (None, None, "1")
    assert second["register_days"] == 1.0  # the first of two rows


def test_video_profile_has_no_duration_when_it_is_not_positive(dirty: Settings) -> None:
    videos = rows_of(Lake(dirty.lake), "items")

    assert [row["video_duration"] for row in videos] == [1.0, None, None]
    assert [row["music_type"] for row in videos] == ["9", None, "9"]
    assert [row["item_age_days"] for row in videos] == [12.0, 0.0, 12.0]


def test_rerun_gives_the_same_bytes(dirty: Settings) -> None:
    before = bytes_of(Lake(dirty.lake))

    ingest(dirty, DAYS)

    assert bytes_of(Lake(dirty.lake)) == before


def test_day_is_the_same_when_ingested_alone(dirty: Settings, tmp_path: Path) -> None:
    alone = _settings(tmp_path, dirty.raw or tmp_path)
    ingest(alone, Days.one(THIRD))

    both = [Lake(settings.lake).manifest("events", THIRD) for settings in (alone, dirty)]
    assert both[0] == both[1]
    assert Lake(alone.lake).days("events") == [THIRD]


def test_publishers_layout_gives_the_same_events(dirty: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "raw/kuairand-pure/KuaiRand-Pure/data"
    write_features(folder, USER_ROWS, VIDEO_ROWS)
    write_publisher_log(folder, DIRTY)
    published = _settings(tmp_path / "home", tmp_path / "raw")

    ingest(published, DAYS)

    for table, days in (("events", DAYS), ("users", None), ("items", None)):
        assert rows_of(Lake(published.lake), table, days) == rows_of(Lake(dirty.lake), table, days)
    # A row without a time goes to the day of its file, and the files are others.
    assert _reasons(published) == _reasons(dirty)


def _reasons(settings: Settings) -> Counter[str]:
    """Why rows of all days were quarantined."""
    return sum((Counter(read_counts(Lake(settings.lake), ds).reasons) for ds in DAYS), Counter())


def test_renamed_column_is_reported_with_the_closest_one(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "raw/kuairand-pure"
    write_features(folder, USER_ROWS, VIDEO_ROWS)
    renamed = [{("is_liked" if name == "is_like" else name): row[name] for name in row} for row in DIRTY]
    write_publisher_log(folder, renamed)

    with pytest.raises(RawDataError) as caught:
        ingest(_settings(tmp_path / "home", tmp_path / "raw"), DAYS)

    message = str(caught.value)
    for part in (
        "log_standard_4_08_to_4_21_pure.csv (6 rows)",
        "'is_like'",
        "'is_liked'",
        "long_view",
        "Put ",
    ):
        assert part in message


def test_days_beyond_the_log_are_refused(dirty: Settings) -> None:
    with pytest.raises(RawDataError, match="from 2022-05-01 to 2022-05-03"):
        ingest(dirty, Days.one(date(2022, 6, 1)))


def test_folder_without_logs_is_reported(spark: Any, tmp_path: Path) -> None:
    write_features(tmp_path / "raw/kuairand-pure", USER_ROWS, VIDEO_ROWS)

    with pytest.raises(RawDataError, match=r"has no log_standard.*there is user_features_pure.csv"):
        ingest(_settings(tmp_path / "home", tmp_path / "raw"), DAYS)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The publisher's archive, small, on a server of our own: its URL and its checksum."""
    data = tmp_path / "made/KuaiRand-Pure/data"
    write_features(data, USER_ROWS, VIDEO_ROWS)
    write_publisher_log(data, DIRTY)
    write_csv(data / "log_random_4_22_to_5_08_pure.csv", DIRTY)
    site = tmp_path / "site"
    site.mkdir()
    with tarfile.open(site / "KuaiRand-Pure.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made/KuaiRand-Pure", "KuaiRand-Pure")
    checksum = hashlib.md5((site / "KuaiRand-Pure.tar.gz").read_bytes()).hexdigest()  # noqa: S324
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/KuaiRand-Pure.tar.gz", checksum
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_unpacks_what_is_read_of_the_archive(published: tuple[str, str], tmp_path: Path) -> None:
    target = tmp_path / "home/raw/kuairand-pure"

    download_archive(target, *published)

    assert sorted(path.name for path in target.iterdir()) == sorted(
        [USERS, VIDEOS, *(LOGS.replace("*", days) for days in ("4_08_to_4_21", "4_22_to_5_08"))]
    )
    assert [path.name for path in target.parent.iterdir() if path.is_dir()] == ["kuairand-pure"]


def test_download_leaves_nothing_behind_when_the_checksum_differs(
    published: tuple[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "home/raw/kuairand-pure"

    with pytest.raises(RawDataError, match=r"its publisher says 0{32}.*GATEHOUSE_RAW"):
        download_archive(target, published[0], "0" * 32)

    assert list(target.iterdir()) == []


def test_download_names_the_way_out_when_the_network_fails(
    published: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(RawDataError, match=r"404.*Unpack the archive into"):
        download_archive(tmp_path / "raw/kuairand-pure", published[0] + ".gone", published[1])


@pytest.mark.slow
def test_real_log_has_the_reference_row_counts(spark: Any, home: Callable[..., Path], tmp_path: Path) -> None:
    shared = CHECKOUT.parent / "shared/data"
    if not (shared / "kuairand-pure").is_dir():
        pytest.skip("no folder with the real KuaiRand-Pure files next to the checkout")
    settings = Settings(home=home("kuairand-pure"), raw=shared)

    ingest(settings, Days(start=date(2022, 4, 28), end=date(2022, 5, 8)))

    kept = {
        day: Lake(settings.lake).manifest("events", day).rows for day in Lake(settings.lake).days("events")
    }
    assert sum(rows for day, rows in kept.items() if day <= date(2022, 5, 5)) == 137_368
    assert kept[date(2022, 5, 6)] == 13_616
    assert kept[date(2022, 5, 7)] + kept[date(2022, 5, 8)] == 26_732
