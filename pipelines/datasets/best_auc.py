"""The AUC of the true probabilities of the simulated log: no model can do better, but for luck."""

from __future__ import annotations

import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from features.declarations.simulated import CATALOG
from pipelines.days import Days
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake


def best_auc(lake: Lake, days: Days) -> dict[str, dict[str, float | None]]:
    """Scenario to task to the best reachable AUC on `days`; null where a label has one value only.

    Raises:
        MissingPartitionError: there is no truth for these days: the log is not a simulated one.
    """
    truth_files, event_files = lake.files("truth", days), lake.files("events", days)
    if not truth_files:
        raise MissingPartitionError(
            f"{lake.root} holds no true probabilities for {days}; only the simulated log has them"
        )
    columns = ["event_id", "scenario_id", *(task.column for task in CATALOG.tasks)]
    events = pq.read_table(event_files, columns=columns).to_pandas()
    rows = events.merge(pq.read_table(truth_files).to_pandas(), on="event_id", validate="one_to_one")
    return {
        str(scenario): {
            task.name: float(roc_auc_score(part[task.column], part[f"p_{task.name}"]))
            if part[task.column].nunique() == 2
            else None
            for task in CATALOG.tasks
        }
        for scenario, part in rows.groupby("scenario_id", sort=True)
    }
