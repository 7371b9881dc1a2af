"""Two of the same at once: both end well, or one of them says clearly why it does not."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

from features.home import catalog_of
from features.store import open_store
from pipelines.days import DAY, Days
from pipelines.model_files import verified_digest
from pipelines.settings import CHECKOUT, Settings
from tests.chaos.commands import Command, Nursery
from tests.chaos.faults import FEW, Chaos, Fault
from tests.chaos.retraining import MODEL, Retraining
from tests.chaos.states import Answers, files_of, newest_version
from tests.features.hand_made_lake import settings_of, write_lake
from tests.homes import TINY, make_home
from tests.pipelines import published_models

TRAIN = Fault("two trainings at once", "one trains, the other says so; the weights are those of one alone")
MATERIALIZE = Fault("two days materialized at once", "one of the two days is served, wholly")
PUBLISH = Fault("two publishers at once", "one new version")
APPLY = Fault("feast apply beside readers", "every reader finds every view and its lookup's answer unchanged")
OLD = date(2026, 1, 5)
KEYS = {"scenario": "scenario-1", "user": "user-1", "items": [f"item-{number}" for number in range(6)]}
APPLY_AGAIN = """
import sys
from pathlib import Path
from features.home import catalog_of
from features.store import apply, open_store

home = Path(sys.argv[1])
for _ in range(3):
    apply(open_store(home), catalog_of(home), home / "lake" / "simulated")
"""


def ended(*commands: Command) -> list[int]:
    """Exit codes, in order; a command that failed said why in one line."""
    statuses = [command.wait() for command in commands]
    for command, status in zip(commands, statuses, strict=True):
        assert status == 0 or ("error: " in command.said and "Traceback" not in command.said), command.said
    return statuses


def test_weights_are_those_of_one_training_when_two_start_at_once(
    chaos: Chaos, nursery: Nursery, retraining: Retraining, tmp_path: Path
) -> None:
    def race(numbers: random.Random) -> None:
        home = retraining.copy(tmp_path / "home").home
        try:
            both = [nursery.start(home, "train", MODEL) for _ in range(2)]
            assert 0 in ended(*both)
            assert files_of(home, ["models"]) == retraining.new
        finally:
            shutil.rmtree(home)

    chaos.inject(TRAIN, race, at_most=FEW)


def test_one_day_is_served_wholly_when_two_are_materialized_at_once(
    chaos: Chaos, nursery: Nursery, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path / "home", "simulated")
    days = Days(start=OLD, end=OLD + DAY)
    write_lake(settings.lake, settings.catalog, days, ids=6)
    known = set()
    for ds in days:
        assert nursery.start(settings.home, "materialize", "--ds", str(ds)).wait() == 0
        known.add(Answers(settings, KEYS).now())

    def race(numbers: random.Random) -> None:
        answers, seen = Answers(settings, KEYS), set()
        both = [nursery.start(settings.home, "materialize", "--ds", str(ds)) for ds in days]
        both[0].wait(meanwhile=lambda: seen.add(answers.now()))
        assert 0 in ended(both[1])
        assert seen <= known
        assert Answers(settings, KEYS).now() in known

    chaos.inject(MATERIALIZE, race, at_most=FEW)


def test_one_version_is_added_when_two_publish_at_once(
    chaos: Chaos, nursery: Nursery, tmp_path: Path
) -> None:
    settings = Settings(
        home=make_home(tmp_path / "home", "simulated", datasets={"simulated": TINY}), raw=None
    )
    environment = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    number = 0

    def race(numbers: random.Random) -> None:
        nonlocal number
        number += 1
        published_models.write_model(settings, f"weights {number}")
        published_models.write_verdict(settings)
        both = [nursery.start(settings.home, "publish", environment=environment) for _ in range(2)]
        assert 0 in ended(*both)
        version = newest_version(settings, "pepnet")
        assert version.number == number
        assert version.digest == verified_digest(settings.models / "pepnet" / f"ds={published_models.DS}")

    chaos.inject(PUBLISH, race, at_most=FEW)


def test_readers_find_every_view_while_feast_objects_are_applied(
    chaos: Chaos, nursery: Nursery, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path / "home", "simulated")
    write_lake(settings.lake, settings.catalog, Days.one(OLD), ids=6)
    assert nursery.start(settings.home, "materialize", "--ds", str(OLD)).wait() == 0
    views = {view.name for view in catalog_of(settings.home).views}
    before = Answers(settings, KEYS).now()

    def race(numbers: random.Random) -> None:
        applying = subprocess.Popen(
            [sys.executable, "-c", APPLY_AGAIN, str(settings.home)], cwd=CHECKOUT, env=None
        )
        while applying.poll() is None:
            assert {view.name for view in open_store(settings.home).list_feature_views()} == views
            assert Answers(settings, KEYS).now() == before
        assert applying.returncode == 0

    chaos.inject(APPLY, race, at_most=FEW)
