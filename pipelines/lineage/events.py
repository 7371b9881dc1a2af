"""OpenLineage events of a stage's run, as plain JSON values.

See https://openlineage.io/spec/2-0-2/OpenLineage.json and https://openlineage.io/docs/spec/facets/. The
client library has classes for all of it, which take most of a second to import; the tests read every
event back through them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version

from pipelines.days import first_instant, snapshot_instant
from pipelines.lineage.datasets import Datasets
from pipelines.lineage.facets import PRODUCER, SPEC, Json, facet
from pipelines.lineage.of_stage import FLOWS, Flow, Moved, lake_name, names_of
from pipelines.lineage.parts import Part
from pipelines.observing.run import CODE, StageRun
from pipelines.settings import Settings
from pipelines.verdicts import Verdict

EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
# What does a stage's work, by its package.
ENGINES = {
    "ingest": ("Spark", "pyspark"),
    "validate_events": ("Great Expectations", "great_expectations"),
    "aggregate": ("Spark", "pyspark"),
    "validate_features": ("Great Expectations", "great_expectations"),
    "materialize": ("Feast", "feast"),
    "assemble": ("Feast", "feast"),
    "validate_training": ("Great Expectations", "great_expectations"),
    "train": ("PyTorch", "torch"),
    "publish": ("DVC", "dvc"),
}


class State(StrEnum):
    """What happened to a run; an abort is an interruption from outside."""

    START = "START"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    ABORT = "ABORT"


def event(
    settings: Settings,
    run: StageRun,
    state: State,
    moved: Moved,
    verdicts: Sequence[Verdict] = (),
    error: BaseException | None = None,
) -> Json:
    """One event of `run`; data sets are named beforehand as far as they are declared, then as they were."""
    flow = Flow() if state is State.COMPLETE else FLOWS.get(run.stage, Flow())
    namespace = settings.home.resolve().as_uri()
    datasets = Datasets(settings, namespace)
    return {
        "eventTime": datetime.now(UTC).isoformat(),
        "eventType": state.value,
        "producer": PRODUCER,
        "schemaURL": EVENT,
        "run": {"runId": run.id, "facets": _run_facets(run, error)},
        "job": {
            "namespace": f"gatehouse.{run.dataset}",
            "name": f"{run.stage}.{run.model}" if run.model else run.stage,
            "facets": {
                "jobType": facet(
                    "2-0-4/JobTypeJobFacet",
                    processingType="BATCH", integration="GATEHOUSE", jobType="STAGE",
                )
            },
        },
        "inputs": [
            datasets.read(name, parts, [own for own in verdicts if lake_name(settings, own.table) == name])
            for name, parts in _by_name(names_of(flow.reads, settings, run), moved.reads)
        ],
        "outputs": [
            datasets.written(name, parts)
            for name, parts in _by_name(names_of(flow.writes, settings, run), moved.writes)
        ],
    }  # fmt: skip


def _by_name(names: Iterable[str], parts: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    found: dict[str, list[Part]] = {name: [] for name in names}
    for part in parts:
        found.setdefault(part.name, []).append(part)
    return sorted(found.items())


def _run_facets(run: StageRun, error: BaseException | None) -> Json:
    facets = {
        "nominalTime": facet(
            "1-0-1/NominalTimeRunFacet",
            nominalStartTime=first_instant(run.days.start).isoformat(),
            nominalEndTime=snapshot_instant(run.days.end).isoformat(),
        ),
        "processing_engine": _engine(run),
    }
    parent = _parent()
    if parent is not None:
        facets["parent"] = parent
    if error is not None:
        facets["errorMessage"] = facet(
            "1-0-1/ErrorMessageRunFacet",
            message=f"{type(error).__name__}: {error}", programmingLanguage="python",
        )  # fmt: skip
    return facets


def _engine(run: StageRun) -> Json:
    name, package = ENGINES.get(run.stage, ("Gatehouse", "gatehouse"))
    return facet(
        "1-1-1/ProcessingEngineRunFacet",
        name=name, version=version(package), openlineageAdapterVersion=CODE,
    )  # fmt: skip


def _parent() -> Json | None:
    """The run that started this one, as OpenLineage's integrations pass it on: NAMESPACE/JOB/RUN."""
    parent = _identity("OPENLINEAGE_PARENT_ID")
    if parent is None:
        return None
    root = _identity("OPENLINEAGE_ROOT_PARENT_ID")
    return facet("1-2-0/ParentRunFacet", **parent, **({} if root is None else {"root": root}))


def _identity(variable: str) -> Json | None:
    namespace, _, rest = os.environ.get(variable, "").partition("/")
    job, _, run = rest.rpartition("/")
    return {"run": {"runId": run}, "job": {"namespace": namespace, "name": job}} if job and run else None
