"""A served road on which every kind of bad data is met: refused files one by one, the others a day each."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from random import Random

import pytest

from features.declarations.errors import GatehouseError
from pipelines.aggregate import aggregate
from pipelines.counts import read_counts
from pipelines.days import DAY, Days
from pipelines.errors import GateError, NotValidatedError
from pipelines.ingest import ingest
from pipelines.lake import Lake
from pipelines.materialize import materialize
from pipelines.validate import validate_events, validate_features
from pipelines.verdicts import find_verdict
from tests.chaos.bad_data.days import Day, File, csv, events_of, good_rows, stored_events
from tests.chaos.bad_data.kinds import Handled, Kind, Refused
from tests.chaos.own_log import make_own_home
from tests.chaos.states import Answers, partitions_of
from tests.pipelines.lake_reading import rows_of

FIRST = date(2028, 2, 25)  # the second bad day is a leap day
GOOD = 4
LOOKUP = {"user": "user 3", "scenario": "home", "items": ["sku-1", "sku-2"]}


@dataclass(frozen=True)
class Met:
    """What became of one kind.

    Attributes:
        ds: its day.
        file: its file's name.
        said: the message of what refused it; empty where nothing did.
        by: what refused it: "ingest", or a gate.
        expected: the events it must become, where it is to be handled.
    """

    ds: date
    file: str
    said: str = ""
    by: str = ""
    expected: list[tuple[object, ...]] = field(default_factory=list)


class Road:
    """A home with good days, and what became of the bad ones that came after them.

    Args:
        folder: for the home.
        kinds: to be met.
        numbers: all that is random follows from them.
    """

    def __init__(self, folder: Path, kinds: list[Kind], numbers: Random) -> None:
        good = Days(start=FIRST, end=FIRST + DAY * (GOOD - 1))
        self.settings = make_own_home(folder, good)
        self.lake = Lake(self.settings.lake)
        self._numbers = numbers
        for ds in good:
            self._write_good(ds)
        for run in (ingest, validate_events, aggregate, validate_features):
            run(self.settings, good)
        materialize(self.settings, good.end)
        self._served = self._answer()
        self._good = self._partitions_before(good.end + DAY)
        self.met: dict[str, Met] = {}
        # Days that pass come first, so that one command may aggregate them all.
        order = [k for k in kinds if isinstance(k.outcome, Handled)]
        stopped = [k for k in kinds if isinstance(k.outcome, Refused) and k.outcome.by != "ingest"]
        self._refuse([k for k in kinds if k not in order and k not in stopped], good.end + DAY)
        self._meet(order, stopped, good.end + DAY)

    def _refuse(self, kinds: list[Kind], ds: date) -> None:
        for kind in kinds:
            path, _ = self._spoil(kind, ds)
            before = partitions_of(self.settings.lake)
            said, by = "", ""
            try:
                ingest(self.settings, Days.one(ds))
            except GatehouseError as error:
                said, by = str(error), "ingest"
            except Exception as error:  # a traceback is what must not be
                said, by = repr(error), "a traceback"
            assert said == "" or partitions_of(self.settings.lake) == before, kind.name
            self.met[kind.name] = Met(ds, path.name, said, by)
            path.unlink()

    def _meet(self, passing: list[Kind], stopped: list[Kind], first: date) -> None:
        numbers = itertools.count()
        for kind in [*passing, *stopped]:
            # A good day stands where rows spill over, and between days so bad that they would seem usual.
            apart = isinstance(kind.outcome, Refused) or kind.outcome.spills
            if apart:
                self._write_good(first + DAY * next(numbers))
            ds = first + DAY * next(numbers)
            path, expected = self._spoil(kind, ds)
            self.met[kind.name] = Met(ds, path.name, expected=expected)
            if apart:
                self._write_good(first + DAY * next(numbers))
        days = Days(start=first, end=ds)
        ingest(self.settings, days)
        with contextlib.suppress(GateError):
            validate_events(self.settings, days)
        for kind in [*passing, *stopped]:
            self._note_verdict(kind.name)
        if passing:
            good = Days(start=first, end=self.met[passing[-1].name].ds)
            aggregate(self.settings, good)
            validate_features(self.settings, good)

    def _note_verdict(self, name: str) -> None:
        """Keep what the gate says of a day, and what the next stage says that is asked to go on with it."""
        met = self.met[name]
        verdict = find_verdict(self.lake, "events", met.ds)
        assert verdict is not None
        if verdict.passed:
            return
        said = [failure.message for failure in verdict.failures]
        with pytest.raises(NotValidatedError) as refusal:
            aggregate(self.settings, Days.one(met.ds))
        self.met[name] = replace(met, said="\n".join([*said, str(refusal.value)]), by="events")

    def require(self, kind: Kind) -> None:
        """Insist that a kind was met as it says, and that what was there before is there.

        Raises:
            AssertionError: it was not; the message begins with its name.
        """
        try:
            self._require(kind)
        except AssertionError as error:
            raise AssertionError(f"{kind.name}: {error}") from error

    def _require(self, kind: Kind) -> None:
        met = self.met[kind.name]
        if isinstance(kind.outcome, Refused):
            assert met.by == kind.outcome.by, f"{met.by or 'nothing'} refuses it. {met.said}"
            for word in kind.outcome.says:
                shown = word.replace("FILE", met.file).replace("DS", str(met.ds))
                assert shown in met.said, f"{shown!r} is not in {met.said!r}"
        else:
            assert met.by == "", met.said
            self._require_events(kind.outcome, met)
        assert self._partitions_before(FIRST + DAY * GOOD) == self._good
        assert self._answer() == self._served

    def _require_events(self, outcome: Handled, met: Met) -> None:
        found = stored_events(rows_of(self.lake, "events", met.ds))
        wrong = sorted(set(found) ^ set(met.expected), key=str)
        assert found == met.expected, f"{len(wrong)} rows are missing or should not be there: {wrong[:4]}"
        counts = read_counts(self.lake, met.ds)
        assert counts.duplicates == outcome.duplicates, counts
        assert counts.reasons == ({outcome.reason: outcome.quarantined} if outcome.quarantined else {}), (
            counts
        )

    def _write_good(self, ds: date) -> None:
        self._write(ds, csv(good_rows(ds, self._own())))

    def _own(self) -> Random:
        return Random(self._numbers.random())

    def _spoil(self, kind: Kind, ds: date) -> tuple[Path, list[tuple[object, ...]]]:
        """Write a day of this kind; its path, and what it must become."""
        numbers = self._own()
        spoilt = kind.spoil(Day(ds, good_rows(ds, numbers), numbers))
        if isinstance(spoilt, File):
            return self._write(ds, spoilt), []
        return self._write(ds, spoilt[0]), events_of(spoilt[1])

    def _write(self, ds: date, file: File) -> Path:
        path = self.settings.home / "log" / f"{ds}{file.suffix}"
        path.write_bytes(file.content)
        return path

    def _answer(self) -> tuple[date, str]:
        return Answers(self.settings, LOOKUP).now()

    def _partitions_before(self, end: date) -> dict[str, str]:
        """Partitions of the days before `end`, by name."""
        days = {f"ds={ds}" for ds in Days(start=FIRST, end=end - DAY)}
        found = partitions_of(self.settings.lake)
        return {name: state for name, state in found.items() if name.rpartition("/")[2] in days}
