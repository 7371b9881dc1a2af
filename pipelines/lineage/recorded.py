"""Runs as their OpenLineage events recorded them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from pipelines.lineage.facets import Json
from pipelines.lineage.parts import Part

Key: TypeAlias = tuple[str, str | None, str]


@dataclass(frozen=True)
class Run:
    """A run of a stage that ended well.

    Attributes:
        id: its UUID.
        job: the stage, with its model where it has one: "train.pepnet".
        start, end: its first and last day, ISO text.
        ended: when, ISO text.
        reads, writes: partitions by content.
        judged: keys of the partitions that it let through, for a gate.
    """

    id: str
    job: str
    start: str
    end: str
    ended: str
    reads: tuple[Part, ...]
    writes: tuple[Part, ...]
    judged: frozenset[Key]


class Record:
    """All runs on record that ended well, in order of time."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = tuple(sorted(runs, key=lambda run: run.ended))
        self._writers: dict[Key, list[Run]] = defaultdict(list)
        for run in self.runs:
            for part in run.writes:
                self._writers[part.key].append(run)
        self._passed = frozenset().union(*(run.judged for run in self.runs))

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The runs that the files of a folder tell of; a line that a kill cut short tells of none."""
        return cls(_run(event) for event in _events(folder) if event["eventType"] == "COMPLETE")

    def writer(self, part: Part, reader: Run | None = None) -> Run | None:
        """The newest run that wrote exactly this content, of those that ended before `reader` did.

        A rerun often writes the same content again, from other inputs: nobody had read that one yet.
        """
        writers = self._writers.get(part.key, [])
        return next((run for run in reversed(writers) if reader is None or run.ended < reader.ended), None)

    def passed(self, part: Part) -> bool:
        """Whether a gate let this content through."""
        return part.key in self._passed

    def written(self, name: str) -> list[Part]:
        """Everything that was written under a name, oldest first."""
        return [part for run in self.runs for part in run.writes if part.name == name]


def _events(folder: Path) -> Iterator[Json]:
    for path in sorted(folder.glob("ds=*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _run(event: Mapping[str, Any]) -> Run:
    nominal = event["run"]["facets"]["nominalTime"]
    after = date.fromisoformat(nominal["nominalEndTime"][:10])
    return Run(
        id=event["run"]["runId"],
        job=event["job"]["name"],
        start=nominal["nominalStartTime"][:10],
        end=str(after - timedelta(days=1)),
        ended=event["eventTime"],
        reads=tuple(part for own in event["inputs"] for part in _parts(own, "input")),
        writes=tuple(part for own in event["outputs"] for part in _parts(own, "output")),
        judged=frozenset(key for own in event["inputs"] for key in _passed(own)),
    )


def _parts(dataset: Mapping[str, Any], way: str) -> Iterator[Part]:
    subset = dataset[f"{way}Facets"].get("subset")
    for partition in subset[f"{way}Condition"]["partitions"] if subset else ():
        yield Part(dataset["name"], partition["dimensions"].get("ds"), partition["identifier"])


def _passed(dataset: Mapping[str, Any]) -> Iterator[Key]:
    """A run that completed let through all that it judged."""
    if "dataQualityAssertions" in dataset["inputFacets"]:
        for part in _parts(dataset, "input"):
            yield part.key
