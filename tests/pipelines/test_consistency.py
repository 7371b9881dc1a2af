from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from features.serving.answered import DayLog
from features.serving.lookup import FeatureLookup
from features.serving.online import packed_store
from features.serving.request_log import ROWS_A_REQUEST, RequestLog
from features.store import open_store
from pipelines.answers.logged import ComparableAnswers
from pipelines.answers.outcome import DayOutcome, FeatureOutcome, Outcome, newest_outcome, outcome_path
from pipelines.consistency import compare_day, consistency
from pipelines.days import DAY, Days, snapshot_instant
from pipelines.errors import ConsistencyError
from pipelines.lake import Lake
from pipelines.materialize import materialize
from pipelines.settings import CHECKOUT, Settings
from tests.features.hand_made_lake import settings_of, write_lake, write_snapshot

DAYS = Days(start=date(2022, 5, 6), end=date(2022, 5, 8))
DS = DAYS.end
AT = snapshot_instant(DS)
ASKED = date(2022, 5, 9)
ITEMS = ["item-0", "item-2", "item-1", "item-0", "never seen"]
VIEW = "user_engagement"
COLUMN = f"{VIEW}__impressions_1d"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three days of hand-made snapshots, whose last is served; items link to authors and tags."""
    settings = settings_of(tmp_path / "home", "kuairand-pure")
    write_lake(settings.lake, settings.catalog, DAYS, ids=3)
    materialize(settings, DS)
    return settings


def ask(settings: Settings, *users: str, at: datetime | None = None) -> None:
    """Look `users` up as the service would, and log all of it on ASKED."""
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")
    noon = datetime(ASKED.year, ASKED.month, ASKED.day, 12, tzinfo=UTC)
    log = RequestLog(settings.requests, 1.0, clock=lambda: noon)
    for user in users:
        log.note("ranker_v1", lookup.batch(scenario="scenario-1", user=user, items=ITEMS, at=at))


def counts(outcome: DayOutcome) -> Counter[Outcome]:
    return Counter({kind: outcome.count(kind) for kind in Outcome if outcome.count(kind)})


def of(outcome: DayOutcome, column: str) -> FeatureOutcome:
    return next(feature for feature in outcome.features if feature.column == column)


def newest_row(settings: Settings, ds: date = DS) -> dict[str, Any]:
    """A row of VIEW in the snapshot of `ds` whose COLUMN has a value."""
    rows = pq.read_table(Lake(settings.lake).files(f"features/{VIEW}", Days.one(ds))[0]).to_pylist()
    return next(row for row in rows if row[COLUMN.removeprefix(f"{VIEW}__")] is not None)


def plant(settings: Settings, row: dict[str, Any], value: Any) -> None:
    """Write `row` into the online store once more, learnt of later and with another value of COLUMN."""
    store = open_store(settings.home)
    view = store.get_feature_view(VIEW)
    planted = row | {
        COLUMN.removeprefix(f"{VIEW}__"): value,
        "created_timestamp": row["created_timestamp"] + timedelta(seconds=1),
    }
    schema = pq.read_schema(Lake(settings.lake).files(f"features/{VIEW}", Days.one(DS))[0])
    packed_store(store).write_table(store.config, view, pa.Table.from_pylist([planted], schema))


def edit_log(settings: Settings, change: Any) -> None:
    """Let `change` alter every logged request in place."""
    for path in settings.requests.glob("ds=*/*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            change(line)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_value_is_equal_when_nothing_has_changed(settings: Settings) -> None:
    users = ("user-0", "user-1", "user-2", "nobody")
    ask(settings, *users)
    consistency(settings, ASKED)
    outcome = newest_outcome(settings)
    assert outcome is not None
    features = dict(settings.catalog.service_columns("ranker_v1"))
    assert {feature.column for feature in outcome.features} == set(features)
    assert (outcome.requests, outcome.rows) == (len(users), len(users) * len(ITEMS))
    assert counts(outcome) == {Outcome.EQUAL: outcome.rows * len(features)}
    assert (outcome.snapshots, outcome.skipped, outcome.unreadable) == ((str(DS),), {}, 0)


def test_values_are_compared_at_the_instant_of_the_request_when_rows_have_grown_too_old(
    settings: Settings,
) -> None:
    ask(settings, "user-0", "user-1", at=AT + timedelta(days=15))
    lines = list(DayLog(settings.requests, ASKED))
    assert any(line.stale for line in lines), "some values were emptied online"
    outcome = compare_day(settings, ASKED)
    assert set(counts(outcome)) == {Outcome.EQUAL}


def test_one_wrong_row_in_the_store_is_found_to_the_bit(settings: Settings) -> None:
    row = newest_row(settings)
    value = row["impressions_1d"]
    wrong = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    plant(settings, row, wrong)
    ask(settings, "user-0", "user-1", "user-2", "nobody")
    with pytest.raises(ConsistencyError, match=COLUMN) as raised:
        consistency(settings, ASKED)
    outcome = newest_outcome(settings)
    assert outcome is not None
    assert counts(outcome)[Outcome.DIFFERENT] == len(ITEMS)
    (at_fault,) = outcome.at_fault
    assert (at_fault.column, at_fault.unequal, at_fault.judged) == (COLUMN, len(ITEMS), 4 * len(ITEMS))
    example = at_fault.examples[0]
    assert example.ids == {"user_id": row["user_id"]}
    assert (example.online, example.offline) == (str(np.float32(wrong)), str(np.float32(value)))
    assert (example.instant, example.snapshot) == (AT.isoformat(), str(DS))
    assert str(example) in str(raised.value)
    assert str(outcome_path(settings, ASKED)) in str(raised.value)


def test_value_that_only_one_side_has_is_told_apart(settings: Settings) -> None:
    row = newest_row(settings)
    plant(settings, row, None)
    plant(settings, row | {"user_id": "a ghost"}, 0.5)
    ask(settings, row["user_id"], "a ghost")
    found = of(compare_day(settings, ASKED), COLUMN)
    assert found.counts["missing online"] == found.counts["missing offline"] == len(ITEMS)
    assert {example.online for example in found.examples} == {"null"}, "what is missing online came first"
    assert found.share == 1.0


def test_worst_examples_are_kept(settings: Settings) -> None:
    users = [f"ghost-{number}" for number in range(9)]
    row = newest_row(settings)
    for number, user in enumerate(users):
        plant(settings, row | {"user_id": user}, float(number))
    known = row["user_id"]
    plant(settings, row, 100.0)
    ask(settings, known, *users)
    found = of(compare_day(settings, ASKED), COLUMN)
    assert len(found.examples) == 5
    assert all(example.offline == "null" for example in found.examples), "a missing value is worse than any"


def rewrite(settings: Settings, ds: date, keys: list[tuple[str, ...]]) -> None:
    """Replace a day's snapshot of VIEW by other values."""
    view = settings.catalog.view(VIEW)
    write_snapshot(Lake(settings.lake), view, ds, keys, DAYS.start, random.Random(99))


def test_day_that_was_written_anew_after_it_was_served_is_counted_apart(settings: Settings) -> None:
    users = ("user-0", "user-1", "user-2")
    ask(settings, *users)
    rewrite(settings, DS, [(user,) for user in users])
    outcome = compare_day(settings, ASKED)
    assert set(counts(outcome)) == {Outcome.EQUAL, Outcome.CORRECTED}
    corrected = {own.view for own in outcome.features if own.counts["corrected since"]}
    assert corrected == {VIEW}
    assert not outcome.at_fault


def test_correction_is_equal_again_when_it_is_served(settings: Settings) -> None:
    users = ("user-0", "user-1", "user-2")
    rewrite(settings, DS, [(user,) for user in users])
    materialize(settings, DS)
    ask(settings, *users)
    assert set(counts(compare_day(settings, ASKED))) == {Outcome.EQUAL}


def test_snapshot_that_is_gone_counts_as_corrected(settings: Settings) -> None:
    row = newest_row(settings)
    ask(settings, row["user_id"])
    for path in Lake(settings.lake).folder(f"features/{VIEW}", DS).iterdir():
        path.unlink()
    outcome = compare_day(settings, ASKED)
    assert of(outcome, COLUMN).counts["corrected since"] == len(ITEMS)
    assert not outcome.at_fault


def test_snapshot_that_was_not_served_yet_is_counted_apart(settings: Settings) -> None:
    materialize(settings, DS - DAY)
    ask(settings, "user-0", "user-1", "user-2", at=AT + timedelta(minutes=5))
    outcome = compare_day(settings, ASKED)
    assert set(counts(outcome)) == {Outcome.EQUAL, Outcome.NOT_SERVED}
    assert not outcome.at_fault


def test_row_too_old_online_is_counted_apart_when_the_lake_has_a_newer_one(settings: Settings) -> None:
    row = newest_row(settings)
    ask(settings, row["user_id"], at=AT + timedelta(days=15))
    assert VIEW in next(iter(DayLog(settings.requests, ASKED))).stale
    rewrite(settings, DS + 14 * DAY, [(row["user_id"],)])
    found = [own for own in compare_day(settings, ASKED).features if own.view == VIEW]
    assert sum(own.counts["not served yet"] for own in found) > 0
    assert sum(own.unequal for own in found) == 0


def test_row_that_was_emptied_though_it_was_young_enough_is_missing_online(settings: Settings) -> None:
    ask(settings, newest_row(settings)["user_id"], at=AT + timedelta(hours=1))

    def empty(line: dict[str, Any]) -> None:
        line["stale"][VIEW] = list(range(len(ITEMS)))
        own = {name: values for name, values in line["features"].items() if name.startswith(f"{VIEW}__")}
        line["features"] |= {name: [None] * len(values) for name, values in own.items()}

    edit_log(settings, empty)
    assert of(compare_day(settings, ASKED), COLUMN).counts["missing online"] == len(ITEMS)


def test_answers_that_cannot_be_compared_are_counted(settings: Settings) -> None:
    ask(settings, "user-0", "user-1", "user-2", "nobody")
    reasons = iter(["another data set", "another service", "another type", "none"])

    def change(line: dict[str, Any]) -> None:
        match next(reasons):
            case "another data set":
                line["served"]["dataset"] = "simulated"
            case "another service":
                line["service"] = "ranker_v0"
            case "another type":
                line["features"][COLUMN] = ["text"] * len(ITEMS)

    edit_log(settings, change)
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")
    found = lookup.batch(scenario="scenario-1", user="user-0", items=ITEMS)
    noon = datetime(ASKED.year, ASKED.month, ASKED.day, 12, tzinfo=UTC)
    log = RequestLog(settings.requests, 1.0, clock=lambda: noon)
    log.note("ranker_v1", replace(found, degraded=True, served=None))
    outcome = compare_day(settings, ASKED)
    assert (outcome.requests, outcome.rows) == (1, len(ITEMS))
    assert outcome.skipped == {
        "degraded": 1,
        "of a service that is no longer declared": 1,
        "of another data set": 1,
        "of entities or types that are declared otherwise now": 1,
    }
    assert set(counts(outcome)) == {Outcome.EQUAL}


def test_only_features_that_both_sides_declare_are_compared(settings: Settings) -> None:
    ask(settings, "user-0")
    edit_log(
        settings, lambda line: line["features"].pop(COLUMN) and line["features"].update(gone__x=[1.0] * 5)
    )
    outcome = compare_day(settings, ASKED)
    assert {"gone__x", COLUMN} & {own.column for own in outcome.features} == set()
    assert set(counts(outcome)) == {Outcome.EQUAL}


def test_request_for_no_items_is_compared_with_nothing(settings: Settings) -> None:
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, "ranker_v1")
    log = RequestLog(settings.requests, 1.0)
    log.note("ranker_v1", lookup.batch(scenario="scenario-1", user="user-0", items=[]))
    consistency(settings)
    outcome = newest_outcome(settings)
    assert outcome is not None
    assert (outcome.requests, outcome.rows) == (1, 0)


def test_answers_are_compared_a_bounded_number_of_rows_at_a_time(settings: Settings) -> None:
    ask(settings, *[f"user-{number % 3}" for number in range(10)])
    log = DayLog(settings.requests, ASKED)
    chunks = list(ComparableAnswers(log, settings.catalog).chunks(rows=12))
    assert sum(len(chunk.request) for chunk in chunks) == 10 * len(ITEMS)
    assert max(len(chunk.request) for chunk in chunks) <= 12 + ROWS_A_REQUEST
    assert len(chunks) == 4


def test_some_unequal_values_are_let_through_when_params_say_so(settings: Settings) -> None:
    row = newest_row(settings)
    plant(settings, row, 0.123)
    ask(settings, "user-0", "user-1", "user-2", "nobody")
    path = settings.home / "params.yaml"
    params = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(params | {"consistency": {"max_unequal": 0.25}}))
    consistency(Settings(home=settings.home), ASKED)


def test_day_without_requests_is_said_to_be_one(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    consistency(settings)
    consistency(settings, ASKED)
    said = capsys.readouterr().out
    assert "No request was logged yet" in said
    assert f"No request was logged on {ASKED}" in said
    assert newest_outcome(settings) is None


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell would."""
    return subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", "consistency", *arguments],
        env={**os.environ, "GATEHOUSE_HOME": str(settings.home), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_command_ends_like_a_gate_when_values_differ(settings: Settings) -> None:
    ask(settings, "user-0", "user-1", "user-2")
    passed = run(settings, "--ds", str(ASKED))
    assert passed.returncode == 0, passed.stderr
    assert "user_engagement" in passed.stdout
    plant(settings, newest_row(settings), -1.0)
    ask(settings, "user-0", "user-1", "user-2")
    failed = run(settings)
    assert failed.returncode == 3
    assert f"ConsistencyError: 5 of 30 values of {COLUMN}" in failed.stderr
    assert "docs/consistency.md" in failed.stderr
