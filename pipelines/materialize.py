"""The materialize stage: the validated snapshot of a day goes into Feast's online store."""

from __future__ import annotations

import contextlib
import hashlib
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from feast import FeatureStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from filelock import FileLock

from features.declarations.groups import Profile, View
from features.serving.served import Served, ServedView, find_served, withdraw_served, write_served
from features.store import apply, empty, open_store
from pipelines.console import stage, track
from pipelines.days import Days, snapshot_instant
from pipelines.lake import Lake
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.verdicts import require_passed

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def materialize(settings: Settings, ds: date) -> None:
    """Make the online store hold each key's newest snapshot at or before the end of `ds`, within its TTL.

    feast/served.json names what is served and is replaced after every view has been written. A
    killed run is simply run again: all its writes are upserts. A view whose partitions are those
    already served is not written again.

    Raises:
        MissingPartitionError: a view has no snapshot of `ds`.
        NotValidatedError: a partition that is needed has not passed its gate.
        StoreError: the store's state is damaged.
    """
    lake, views = Lake(settings.lake), settings.catalog.views
    with stage(settings, "materialize", ds) as facts:
        offered = {view.name: _offer(lake, view, ds) for view in views}
        store = open_store(settings.home)
        state = Path(store.repo_path)
        with FileLock(state / "materialize.lock"):
            before = find_served(state)
            apply(store, settings.catalog, settings.lake)
            if before is not None and (before.dataset != settings.dataset or before.ds > ds):
                # Its keys mean somebody else, or its rows know what happened after `ds`.
                withdraw_served(state)
                before = None
            written = 0
            for view in track(views, "materialize", len(views)):
                same = before is not None and before.views.get(view.name) == offered[view.name]
                if same and _holds(store, lake, view, ds):
                    continue
                if before is None or before.ds == ds:
                    # A corrected row keeps its instant, and Redis keeps the earlier of such rows.
                    empty(store, [store.get_feature_view(view.name)])
                _write(store, view, ds)
                written += offered[view.name].rows
            write_served(state, Served(dataset=settings.dataset, ds=ds, views=offered))
        facts["views"] = len(views)
        facts["rows"] = sum(view.rows for view in offered.values())
        facts["rows_written"] = written


def _offer(lake: Lake, view: View, ds: date) -> ServedView:
    """What `view` has to serve on `ds`, after its partitions have been found to be validated."""
    table = f"features/{view.name}"
    newest = _newest(lake, view, ds)
    if isinstance(view, Profile):
        require_passed(lake, table, None)
        return ServedView(content=newest.content, rows=newest.rows)
    days = _served_days(lake, view, ds)
    require_passed(lake, table, days)
    contents = [lake.manifest(table, day).content for day in days]
    return ServedView(content=hashlib.sha256("".join(contents).encode()).hexdigest()[:16], rows=newest.rows)


def _newest(lake: Lake, view: View, ds: date) -> Manifest:
    """The manifest of the view's snapshot of `ds`; of the whole table for a profile."""
    return lake.manifest(f"features/{view.name}", None if isinstance(view, Profile) else ds)


def _holds(store: FeatureStore, lake: Lake, view: View, ds: date) -> bool:
    """Whether the online store still has a row of the view's newest snapshot that has any, as it was served.

    served.json may outlive the rows it speaks of: a database removed by hand, another store in
    feature_store.yaml, a run killed while it wrote a later day.
    """
    row = _first_row(lake, view, ds)
    if row is None:
        return True
    keys = {key.column: row[key.column] for key in view.keys}
    feature = view.features[0].name
    response = store.get_online_features([f"{view.name}:{feature}"], [keys]).proto
    found = response.results[list(response.metadata.feature_names.val).index(feature)]
    served: datetime = found.event_timestamps[0].ToDatetime(tzinfo=UTC)
    return bool(found.statuses[0] != FieldStatus.NOT_FOUND and served == row["event_timestamp"])


def _first_row(lake: Lake, view: View, ds: date) -> dict[str, Any] | None:
    """Keys and event_timestamp of the first row of the newest snapshot that has rows; None when none has."""
    table = f"features/{view.name}"
    columns = [*(key.column for key in view.keys), "event_timestamp"]
    for day in [None] if isinstance(view, Profile) else reversed(_served_days(lake, view, ds)):
        for file in lake.manifest(table, day).files:
            path = lake.folder(table, day) / file.name
            for batch in pq.ParquetFile(path).iter_batches(batch_size=1, columns=columns):
                return dict(batch.to_pylist()[0])
    return None


def _served_days(lake: Lake, view: View, ds: date) -> list[date]:
    """Written days of a view whose rows may be within its TTL at the end of `ds`, ascending."""
    days = Days(start=ds - view.ttl, end=ds)
    return [day for day in lake.days(f"features/{view.name}") if day in days]


def _write(store: FeatureStore, view: View, ds: date) -> None:
    """Write the newest row of each key that is within the TTL at the end of `ds`."""
    end = snapshot_instant(ds)
    start = end - view.ttl if view.ttl else _BEGINNING
    with contextlib.redirect_stdout(io.StringIO()):  # Feast prints as it goes; the stage has its own progress
        store.materialize(start, end, feature_views=[view.name])
