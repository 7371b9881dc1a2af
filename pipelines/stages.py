"""The stage table: what runs after what. dvc.yaml and the DAGs are both held to it by tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the road and the command that takes it.

    Attributes:
        name: also the DVC stage and the Airflow task.
        command: arguments of `gatehouse`, without the day.
        needs: stages that must have run before.
        gate: a data gate; it fails for good, so it is never retried.
        mapped: runs once per model of params.yaml, with the model's name as the last argument.
        gpu: runs on the `gpu` queue, in the `gpu` pool.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    gate: bool = False
    mapped: bool = False
    gpu: bool = False


STAGES = (
    Stage("ingest", ("ingest",)),
    Stage("validate_events", ("validate", "events"), ("ingest",), gate=True),
    Stage("aggregate", ("aggregate",), ("validate_events",)),
    Stage("validate_features", ("validate", "features"), ("aggregate",), gate=True),
    Stage("materialize", ("materialize",), ("validate_features",)),
    Stage("assemble", ("assemble",), ("validate_features",)),
    Stage("validate_training", ("validate", "training"), ("assemble",), gate=True),
    Stage("train", ("train",), ("validate_training",), mapped=True, gpu=True),
    Stage("evaluate", ("evaluate",), ("train",)),
    Stage("promote", ("promote",), ("evaluate",)),
    Stage("publish", ("publish",), ("promote",)),
    Stage("report", ("report",), ("promote", "materialize")),
)
