"""Faults, and what became of the times they were injected."""

from __future__ import annotations

import json
import random
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

FEW = 5
"""`at_most` of most faults that have one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: what it is, in a few words; a row of the table.
        promise: what must hold all the same.
    """

    name: str
    promise: str


@dataclass
class Tally:
    """How often a fault was injected, and what was lost.

    Attributes:
        fault: which one.
        seed: of the instants.
        injected: how often it was.
        lost: for each time that the promise did not hold, its number and what was seen.
    """

    fault: Fault
    seed: int
    injected: int = 0
    lost: dict[int, str] = field(default_factory=dict)

    @property
    def survived(self) -> int:
        return self.injected - len(self.lost)

    def save(self, folder: Path) -> None:
        """Leave the tally in `folder`, for the table."""
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^a-z0-9]+", "-", self.fault.name.lower()).strip("-")
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


class NotInjectedError(Exception):
    """The command ended before the fault was due; another instant has to be drawn."""


@dataclass(frozen=True)
class Chaos:
    """Injects faults and keeps the tallies.

    Attributes:
        seed: of every instant that is drawn.
        wanted: how often each fault is injected; None leaves it to the tests, which then are quick.
        report: where tallies are left; None keeps none.
    """

    seed: int
    wanted: int | None
    report: Path | None

    def inject(
        self,
        fault: Fault,
        once: Callable[[random.Random], object],
        *,
        quick: int = 1,
        kinds: int = 1,
        at_most: int | None = None,
    ) -> None:
        """Call `once` often enough, each time with random numbers of its own; it raises if all is not well.

        `NotInjectedError` makes it be called again. Every injection is made, even after one was lost.

        Args:
            fault: what `once` injects.
            once: injects it and checks the promise.
            quick: how often, where not told otherwise.
            kinds: of how many kinds the fault is; each is injected that often.
            at_most: how often at most, whatever was asked for: of a fault that takes long each time, or of
                whose kinds there are many. What kills a writer has no such bound.

        Raises:
            AssertionError: the promise did not hold; the numbers say which injections to repeat.
        """
        tally = Tally(fault, self.seed)
        asked = quick if self.wanted is None else self.wanted
        wanted = kinds * (asked if at_most is None else min(asked, at_most))
        for number, numbers in enumerate(self._numbers(fault)):
            if tally.injected == wanted:
                break
            assert number < 10 * wanted + 20, (
                f"{fault.name}: the command ends before anything can be injected"
            )
            with self._noted(tally, number):
                once(numbers)
            if self.report is not None:  # each time, so that a run that is cut short has told what it did
                tally.save(self.report)
        lost = "\n".join(f"injection {number}: {seen}" for number, seen in tally.lost.items())
        assert not tally.lost, (
            f"{fault.name} (seed {self.seed}): {len(tally.lost)} of {tally.injected} lost\n{lost}"
        )

    def _numbers(self, fault: Fault) -> Iterator[random.Random]:
        number = 0
        while True:
            yield random.Random(f"{self.seed} {fault.name} {number}")
            number += 1

    @contextmanager
    def _noted(self, tally: Tally, number: int) -> Iterator[None]:
        try:
            yield
        except NotInjectedError:
            return
        except Exception:
            tally.lost[number] = traceback.format_exc()
        tally.injected += 1
