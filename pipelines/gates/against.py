"""Hold partitions against the training days: which baseline, which rows, and what a gate is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from features.compile.drift import null_shift_of, psi_of, words_behind
from pipelines.days import Days
from pipelines.gates.baseline import Baseline, partition_name
from pipelines.gates.comparison import Drift, compare
from pipelines.gates.partitions import Partition, Statistics
from pipelines.gates.watched import Watched
from pipelines.training_sets import rows_of

# The baseline a partition of some day is held against.
BaselineOf = Callable[[date | None], Baseline | None]


def held_against(
    partition: Partition,
    table: str,
    watched: Sequence[Watched],
    baseline_of: BaselineOf,
    held_out: Days | None = None,
) -> Partition:
    """The partition, or its rows of the held-out days, compared; a statistic not judged is None."""
    drift = _drift(partition, table, watched, baseline_of(partition.ds), held_out)
    statistics = dict.fromkeys(
        statistic for column in watched for statistic in (psi_of(column.column), null_shift_of(column.column))
    )
    return replace(
        partition, statistics={**partition.statistics, **statistics, **_statistics(drift)}, drift=drift
    )


def _drift(
    partition: Partition,
    table: str,
    watched: Sequence[Watched],
    baseline: Baseline | None,
    held_out: Days | None,
) -> Drift:
    if baseline is None:
        return Drift(note="no baseline yet: no earlier run has assembled a training set")
    content = baseline.inputs.get(partition_name(table, partition.ds))
    if held_out is not None and content != partition.content:
        return Drift(note="the baseline is of another training set; `gatehouse assemble` writes it anew")
    if held_out is None and content == partition.content:
        return Drift(note="these are the rows of the baseline")
    if partition.rows is None:
        return Drift(note="there are no rows, or not of the declared types")
    rows = partition.rows if held_out is None else rows_of(partition.rows, held_out)
    return compare(baseline, watched, rows)


def _statistics(drift: Drift) -> Statistics:
    statistics: dict[str, object] = {}
    for found in drift.features:
        index, shift = psi_of(found.column), null_shift_of(found.column)
        statistics[index] = None if found.unjudged else found.psi
        statistics[shift] = None if found.nulls_unjudged else found.null_shift
        if found.psi is not None:
            statistics[words_behind(index)] = f"PSI {found.psi:.3g}: {found.shift} since {drift.baseline}"
        statistics[words_behind(shift)] = f"{found.null_words} since {drift.baseline}"
    return statistics
