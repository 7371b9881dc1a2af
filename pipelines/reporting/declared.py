"""Features: the views of the feature service, as declared and as last written."""

from __future__ import annotations

from datetime import date

from features.declarations.groups import FeatureGroup, Profile, SequenceGroup, View
from features.declarations.windows import label
from pipelines.lake import Lake
from pipelines.reporting.blocks import Cell, Group, Prose, Section, Table
from pipelines.reporting.words import count, plural
from pipelines.settings import Settings


def declared(settings: Settings, ds: date) -> Section:
    """Every view of the service with its keys, windows and the rows of its snapshot of `ds`."""
    catalog, service = settings.catalog, settings.params.features.service
    lake = Lake(settings.lake)
    views = [catalog.view(name) for name in catalog.service(service).views]
    features = sum(len(view.features) for view in views)
    table = Table(
        head=("view", "keys", "role", "window, days", "features", "rows"),
        groups=(Group("", tuple(_row(lake, view, ds) for view in views)),),
        caption=f"Rows are the keys in the snapshot of {ds}: what the online store serves, and what an event "
        "of the next day may see. A profile has one row an id and no window.",
        text_columns=4,
    )
    lead = Prose(
        f"The feature service {service} has {plural(features, 'feature')} in {plural(len(views), 'view')}."
    )
    return Section("features", "Features", (lead, table))


def _row(lake: Lake, view: View, ds: date) -> tuple[Cell, ...]:
    manifest = lake.find_manifest(f"features/{view.name}", None if isinstance(view, Profile) else ds)
    rows = Cell("not written", faint=True) if manifest is None else Cell(count(manifest.rows))
    return (
        Cell(view.name),
        Cell(" \u00d7 ".join(key.name for key in view.keys)),
        Cell(", ".join(dict.fromkeys(feature.role.value for feature in view.features))),
        Cell(_window(view)),
        Cell(count(len(view.features))),
        rows,
    )


def _window(view: View) -> str:
    match view:
        case FeatureGroup():
            return ", ".join(label(window) for window in view.all_windows)
        case SequenceGroup():
            return f"{label(view.window)}, last {view.length}"
        case Profile():
            return "\u2013"
