from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from features.serving.answered import Answered, DayLog, logged_days
from features.serving.request_log import ROWS_A_REQUEST, RequestLog
from tests.features.serving.batches import SERVED, batch_of

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
DS = NOON.date()
INTS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.sampled_from('a"\\\n\r\0\u2028 {ö🙂'), max_size=8)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "float": st.floats(width=32, allow_nan=False),
    "int": INTS,
    "string": TEXT,
    "strings": st.lists(TEXT, max_size=4),
    "ints": st.lists(INTS, max_size=4),
}
ROW = st.fixed_dictionaries({}, optional={name: st.none() | own for name, own in VALUES.items()})
SMALL = batch_of([{"float": 0.5}])
FORKED = multiprocessing.get_context("fork")


def log_of(folder: Path, share: float = 1.0, **settings: Any) -> RequestLog:
    """A log at noon of DS."""
    return RequestLog(folder, share, seed=7, **{"clock": lambda: NOON, **settings})


def read(folder: Path, ds: date = DS) -> list[Answered]:
    return list(DayLog(folder, ds))


def bits(values: list[float | None]) -> list[int | None]:
    return [None if value is None else int(np.float32(value).view(np.uint32)) for value in values]


@given(rows=st.lists(ROW, max_size=6))
def test_values_of_every_type_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log_of(Path(folder)).note("ranker_v1", batch_of(rows))
        (answered,) = read(Path(folder))
    for name in VALUES:
        logged, asked = answered.features[f"made_up__{name}"], [row.get(name) for row in rows]
        assert bits(logged) == bits(asked) if name == "float" else logged == asked
    assert answered.ids["item_id"] == [f"item-{row}" for row in range(len(rows))]


def test_line_says_who_asked_when_and_what_was_served(tmp_path: Path) -> None:
    log_of(tmp_path).note("ranker_v1", batch_of([{}, {}], stale=[1]))
    (answered,) = read(tmp_path)
    assert (answered.asked, answered.service, answered.size) == (NOON, "ranker_v1", 2)
    assert answered.instant == datetime(2026, 1, 4, tzinfo=UTC)
    assert answered.served == SERVED
    assert answered.stale == {"made_up": [1]}
    assert not answered.degraded


def test_degraded_answer_is_marked_and_has_no_values(tmp_path: Path) -> None:
    log_of(tmp_path).note("ranker_v1", replace(SMALL, degraded=True, served=None))
    (answered,) = read(tmp_path)
    assert answered.degraded
    assert (answered.features, answered.ids) == ({}, {})


def test_some_rows_of_a_large_request_are_logged_each_with_its_own_id(tmp_path: Path) -> None:
    batch = batch_of([{"int": row} for row in range(1000)], stale=range(500))
    log_of(tmp_path).note("ranker_v1", batch)
    (answered,) = read(tmp_path)
    numbers = answered.features["made_up__int"]
    assert len(set(numbers)) == ROWS_A_REQUEST
    assert answered.ids["item_id"] == [f"item-{row}" for row in numbers]
    assert answered.stale["made_up"] == [place for place, row in enumerate(numbers) if row < 500]
    assert answered.size == 1000


def test_line_that_was_cut_off_is_counted_and_costs_no_other(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    for _ in range(3):
        log.note("ranker_v1", SMALL)
    (path,) = tmp_path.glob("ds=2026-01-04/*.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    day = DayLog(tmp_path, DS)
    assert len(list(day)) == 2
    assert day.unreadable == 1


def test_killed_process_leaves_a_log_that_can_be_read(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from features.serving.request_log import RequestLog
from tests.features.serving.batches import batch_of
log = RequestLog(Path(sys.argv[1]), 1.0)
while True:
    log.note("ranker_v1", batch_of([{"string": "x" * 10_000}] * 16))
"""
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    deadline = time.monotonic() + 60
    while (
        time.monotonic() < deadline and sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl")) < 10**6
    ):
        os.sched_yield()
    child.send_signal(signal.SIGKILL)
    child.wait()
    (ds,) = logged_days(tmp_path)
    day = DayLog(tmp_path, ds)
    assert len(list(day)) >= 5
    assert day.unreadable <= 1


def test_threads_share_a_log_without_mixing_lines(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    batches = [batch_of([{"int": number, "string": "x" * 5000}]) for number in range(8)]
    threads = [
        threading.Thread(target=lambda own=own: [log.note("ranker_v1", own) for _ in range(25)])
        for own in batches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    day = DayLog(tmp_path, DS)
    numbers = [answered.features["made_up__int"][0] for answered in day]
    assert sorted(numbers) == sorted(list(range(8)) * 25)
    assert day.unreadable == 0
    assert len(list(tmp_path.glob("ds=*/*.jsonl"))) == 1


def _in_a_child(work: Callable[[], object]) -> None:
    child = FORKED.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0


def test_forked_processes_write_files_of_their_own(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.note("ranker_v1", SMALL)
    for _ in range(2):
        _in_a_child(lambda: [log.note("ranker_v1", SMALL) for _ in range(3)])
    log.note("ranker_v1", SMALL)
    lines = sorted(len(path.read_text().splitlines()) for path in tmp_path.glob("ds=*/*.jsonl"))
    assert lines == [2, 3, 3]


def test_line_that_the_disk_takes_in_part_is_followed_by_a_new_file(tmp_path: Path) -> None:
    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
        log = log_of(tmp_path)
        for _ in range(30):
            log.note("ranker_v1", SMALL)

    _in_a_child(work)
    day = DayLog(tmp_path, DS)
    whole, files = len(list(day)), len(list(tmp_path.glob("ds=*/*.jsonl")))
    assert files > 1
    assert 0 < day.unreadable <= files
    assert whole + day.unreadable == 30


@pytest.mark.parametrize(("share", "at_least", "at_most"), [(0.0, 0, 0), (0.25, 420, 580), (1.0, 2000, 2000)])
def test_as_large_a_share_of_requests_is_logged_as_was_asked_for(
    share: float, at_least: int, at_most: int, tmp_path: Path
) -> None:
    log = log_of(tmp_path / "requests", share)
    for _ in range(2000):
        log.note("ranker_v1", SMALL)
    assert at_least <= len(read(tmp_path / "requests")) <= at_most
    assert (tmp_path / "requests").exists() == (share > 0)


def test_request_belongs_to_the_utc_day_on_which_it_came(tmp_path: Path) -> None:
    midnight = datetime(2026, 1, 5, tzinfo=UTC)
    times = iter([midnight - timedelta(microseconds=1), midnight, midnight + timedelta(hours=23)])
    log = log_of(tmp_path, clock=lambda: next(times))
    for _ in range(3):
        log.note("ranker_v1", SMALL)
    assert logged_days(tmp_path) == [date(2026, 1, 4), date(2026, 1, 5)]
    assert [len(read(tmp_path, ds)) for ds in logged_days(tmp_path)] == [1, 2]


def test_full_day_takes_no_more_rows_and_says_so_once(tmp_path: Path) -> None:
    now = [NOON]
    log = log_of(tmp_path, rows_a_day=10, clock=lambda: now[0])
    with capture_logs() as said:
        for _ in range(9):
            log.note("ranker_v1", batch_of([{}] * 4))
        now[0] += timedelta(days=1)
        log.note("ranker_v1", SMALL)
    assert [len(read(tmp_path, ds)) for ds in logged_days(tmp_path)] == [3, 1]
    assert [event["event"] for event in said] == ["the request log is full for the day; lower its share"]


def test_disk_that_takes_nothing_costs_no_answer_and_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("a file where the folder should be")
    log = log_of(tmp_path / "requests")
    with capture_logs() as said:
        for _ in range(3):
            log.note("ranker_v1", SMALL)
    assert [event["event"] for event in said] == ["requests cannot be logged; answers are not affected"]
