"""The way from something that was made back to the raw log: stage by stage, whatever runs they took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import LineageError
from pipelines.lineage.outbox import events_folder
from pipelines.lineage.parts import Part, distinct
from pipelines.lineage.recorded import Record, Run
from pipelines.settings import Settings


@dataclass(frozen=True)
class Feed:
    """What a step read of one kind.

    Attributes:
        kind: name of the data set, or of a folder of them: "lake/simulated/features".
        parts: by name and day.
        passed: how many of them a gate let through.
        makers: jobs that made them; empty for what comes from outside or was not recorded.
    """

    kind: str
    parts: tuple[Part, ...]
    passed: int
    makers: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """All runs of one job on the way.

    Attributes:
        job: for example "aggregate".
        runs: in order of time.
        feeds: what they read that they did not make themselves.
    """

    job: str
    runs: tuple[Run, ...]
    feeds: tuple[Feed, ...]


@dataclass(frozen=True)
class Way:
    """How something was made.

    Attributes:
        goal: what.
        last: the job that made it.
        steps: job to its step, for all jobs on the way, in the order in which they first ended.
    """

    goal: Part
    last: str
    steps: Mapping[str, Step]


def read_record(settings: Settings) -> Record:
    """The runs on record.

    Raises:
        LineageError: lineage is off.
    """
    folder = events_folder(settings)
    if folder is None:
        raise LineageError("GATEHOUSE_LINEAGE is off, so no run is on record; unset it and run the road")
    return Record.read(folder)


def way_to(record: Record, goal: Part) -> Way:
    """The way back from `goal`.

    Raises:
        LineageError: no run on record made it.
    """
    maker = record.writer(goal)
    if maker is None:
        raise LineageError(
            f"no run on record made {goal.name} {goal.ds or ''} ({goal.content[:12]}); "
            "it was made elsewhere, or before events were kept"
        )
    runs, waiting = {maker.id: maker}, [maker]
    while waiting:
        reader = waiting.pop()
        for part in reader.reads:
            writer = record.writer(part, reader)
            if writer is not None and writer.id not in runs:
                runs[writer.id] = writer
                waiting.append(writer)
    by_job: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(runs.values(), key=lambda run: run.ended):
        by_job[run.job].append(run)
    return Way(goal, maker.job, {job: _step(record, job, own) for job, own in by_job.items()})


def _step(record: Record, job: str, runs: Sequence[Run]) -> Step:
    made = {part.key for run in runs for part in run.writes}
    kinds: dict[str, list[tuple[Run, Part]]] = defaultdict(list)
    for run in runs:
        for part in run.reads:
            if part.key not in made:
                kinds[_kind(part.name)].append((run, part))
    return Step(job, tuple(runs), tuple(_feed(record, kind, read) for kind, read in sorted(kinds.items())))


def _feed(record: Record, kind: str, read: Sequence[tuple[Run, Part]]) -> Feed:
    parts = distinct(part for _, part in read)
    writers = (record.writer(part, reader) for reader, part in read)
    makers = {writer.job for writer in writers if writer is not None}
    return Feed(kind, parts, sum(map(record.passed, parts)), tuple(sorted(makers)))


def _kind(name: str) -> str:
    """Tables of one folder of the lake are one kind, and so are raw files."""
    top, *rest = name.split("/")
    if top == "lake":
        return "/".join((top, *rest[:2]))
    return "/".join((top, *rest[:1])) if top in ("raw", "feast") else name
