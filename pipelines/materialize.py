"""The materialize stage: the validated snapshot of a day goes into Feast's online store."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from feast import FeatureStore
from filelock import FileLock

from features.declarations.groups import Profile, View
from features.serving.online import find_loss, find_served, packed_store
from features.serving.served import Served, ServedView, served_day, write_receipt
from features.store import apply
from features.stores.packed.backend import Read
from features.stores.packed.generations import withdraw
from features.stores.packed.keys import encode_key
from features.stores.values import since_epoch
from features.stores.view_schema import schema_of
from pipelines.days import Days, snapshot_instant
from pipelines.lake import Lake
from pipelines.manifest import Manifest
from pipelines.observing.console import stage, track
from pipelines.settings import Settings
from pipelines.stage_store import open_stage_store
from pipelines.verdicts import require_passed

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def materialize(settings: Settings, ds: date, *, forward: bool = False) -> None:
    """Make the online store serve each key's newest snapshot at or before the end of `ds`, within its TTL.

    With `forward` the day that is served never moves back: where a later one than `ds` is served, it is
    served again, with what running `ds` again has changed in its windows.

    Rows are written into a generation that nobody reads, and lookups change over to all of it in one step.
    A killed run leaves what is served as it was, and is simply run again. Views whose partitions are
    those already served are not written again, unless another view of the same keys is.

    Raises:
        MissingPartitionError: a view has no snapshot of `ds`.
        NotValidatedError: a partition that is needed has not passed its gate.
        StoreError: the store's state is damaged, or another run took this one's place.
        StoreUnavailableError: the store does not answer.
    """
    lake, views = Lake(settings.lake), settings.catalog.views
    if forward:
        ds = max(ds, served_day(settings.home / "feast", settings.dataset) or ds)
    with stage(settings, "materialize", ds) as facts:
        offered = {view.name: _offer(lake, view, ds) for view in views}
        store = open_stage_store(settings)
        state = Path(store.repo_path)
        with FileLock(state / "materialize.lock"):
            before = find_served(store)
            if before is not None and before.dataset != settings.dataset:
                withdraw(packed_store(store).backend(store.config))  # its keys mean somebody else
                before = None
            apply(store, settings.catalog, settings.lake)
            served = Served(dataset=settings.dataset, ds=ds, views=offered)
            changed = _changed(store, lake, views, before, served)
            written = [view for view in views if entity_of(view) in changed]
            if served != before or written:
                registered = [store.get_feature_view(view.name) for view in written]
                about = {"dataset": settings.dataset, "ds": str(ds), "since": datetime.now(UTC).isoformat()}
                with packed_store(store).building(store.config, registered, about) as serve:
                    for view in track(written, "materialize", len(written)):
                        _write(store, view, ds)
                    serve(served.record())
            write_receipt(state, served)
        facts["views"] = len(views)
        facts["rows"] = sum(view.rows for view in offered.values())
        facts["rows_written"] = sum(offered[view.name].rows for view in written)


def entity_of(view: View) -> str:
    """What names the view's keys in the online store."""
    return "+".join(sorted(key.column for key in view.keys))


def _changed(
    store: FeatureStore, lake: Lake, views: Sequence[View], before: Served | None, served: Served
) -> set[str]:
    """Entities of which a view is not served as it should be, or of whose rows the store has lost any."""
    if find_loss(store):
        return set(map(entity_of, views))
    return {
        entity_of(view)
        for view in views
        if before is None
        or before.views.get(view.name) != served.views[view.name]
        or not _holds(store, lake, view, served.ds)
    }


def snapshot_of(lake: Lake, view: View, ds: date) -> ServedView:
    """What `view` has to serve on `ds`, as its partitions are now.

    Raises:
        MissingPartitionError: the view has no snapshot of `ds`.
    """
    newest = _newest(lake, view, ds)
    if isinstance(view, Profile):
        return ServedView(content=newest.content, rows=newest.rows)
    days = _served_days(lake, view, ds)
    manifests = [lake.manifest(f"features/{view.name}", day) for day in days]
    contents = "".join(manifest.content for manifest in manifests)
    return ServedView(
        content=hashlib.sha256(contents.encode()).hexdigest()[:16],
        rows=newest.rows,
        newest=max(
            (snapshot_instant(day) for day, m in zip(days, manifests, strict=True) if m.rows), default=None
        ),
    )


def _offer(lake: Lake, view: View, ds: date) -> ServedView:
    """`snapshot_of` a view, all partitions of which have been found to be validated."""
    offered = snapshot_of(lake, view, ds)
    days = None if isinstance(view, Profile) else _served_days(lake, view, ds)
    require_passed(lake, f"features/{view.name}", days)
    return offered


def _newest(lake: Lake, view: View, ds: date) -> Manifest:
    """The manifest of the view's snapshot of `ds`; of the whole table for a profile."""
    return lake.manifest(f"features/{view.name}", None if isinstance(view, Profile) else ds)


def _holds(store: FeatureStore, lake: Lake, view: View, ds: date) -> bool:
    """Whether the store still has a row of the view's newest snapshot that has any, under today's schema."""
    row = _first_row(lake, view, ds)
    if row is None:
        return True
    schema = schema_of(store.get_feature_view(view.name))
    key = encode_key([row[column] for column in schema.keys])
    _, [[found]] = packed_store(store).backend(store.config).read([Read((schema,), [key])])
    return bool(found.events[0] == since_epoch(row["event_timestamp"]) and found.unwritten is None)


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
