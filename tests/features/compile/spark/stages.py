"""What the tasks of a Spark action read from the shuffle."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any


def shuffle_reads(spark: Any, action: Callable[[], object]) -> list[list[int]]:
    """Per stage of the action that reads a shuffle, how many records each of its tasks read."""
    context, group = spark.sparkContext, uuid.uuid4().hex
    context.setJobGroup(group, "shuffle_reads")
    try:
        action()
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
    jobs = context.statusTracker().getJobIdsForGroup(group)
    stages = {stage for job in jobs for stage in context.statusTracker().getJobInfo(job).stageIds}
    context._jsc.sc().listenerBus().waitUntilEmpty()
    reads = (_records_read(context, stage) for stage in sorted(stages))
    return [records for records in reads if any(records)]


def _records_read(context: Any, stage: int) -> list[int]:
    tasks = context._jsc.sc().statusStore().taskList(stage, 0, 10_000)
    metrics = (tasks.apply(number).taskMetrics() for number in range(tasks.size()))
    return [found.get().shuffleReadMetrics().recordsRead() for found in metrics if found.isDefined()]
