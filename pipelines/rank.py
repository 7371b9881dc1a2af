"""Look features up online and rank items with a published model, for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.markup import escape
from rich.table import Table

from features.declarations.entities import ITEM
from features.serving.batch import FeatureBatch
from features.serving.lookup import FeatureLookup
from features.serving.ranking import Ranker, Ranking
from features.store import open_store
from pipelines.errors import MissingPartitionError
from pipelines.lake import Lake
from pipelines.observing.console import console
from pipelines.registry import LATEST, production_reference, pull
from pipelines.settings import Settings

SHOWN_FEATURES = 3


def print_lookup(settings: Settings, user: str, scenario: str, items: Sequence[str]) -> None:
    """Print every feature of a user in a scenario and of `items`, one column an item."""
    service = settings.params.features.service
    lookup = FeatureLookup(open_store(settings.home), settings.catalog, service)
    found = lookup.batch(scenario=scenario, user=user, items=items)
    table = Table(title=f"{service}, as of {lookup.served().instant:%Y-%m-%d %H:%M} UTC")
    table.add_column("feature")
    for item in items:
        table.add_column(escape(f"item {item}"), justify="right")
    for name, values in found.columns.items():
        table.add_row(name, *(escape(_shown(value)) for value in values))
    console.print(table)
    console.print(_statuses(found))


def print_ranking(
    settings: Settings, user: str, scenarios: Sequence[str], top: int, model: str | None
) -> None:
    """Rank all known items for a user, scenario by scenario, and print the `top` of each.

    Raises:
        PublishError: the model was never published, or does not verify.
        StoreError: the online store serves nothing, or another data set.
    """
    name = settings.params.publish.model
    reference = model or production_reference(settings, name) or f"{name}@{LATEST}"
    folder = pull(settings, reference, settings.runs / "pulled" / reference.replace("@", "-"))
    ranker = Ranker(folder, partial(FeatureLookup, open_store(settings.home), settings.catalog))
    items = known_items(Lake(settings.lake))
    for scenario in scenarios:
        ranking = ranker.rank(scenario=scenario, user=user, items=items, top=top)
        console.print(_ranking(settings, ranking, f"user {user}, scenario {scenario}"))
        console.print(f"{reference} over {len(items):,} items; {_statuses(ranking.batch)}\n")


def known_items(lake: Lake) -> list[str]:
    """Ids of all items of the lake, sorted."""
    files = lake.files("items")
    if not files:
        raise MissingPartitionError(f"{lake.folder('items')} lists no items; run `gatehouse ingest` first")
    return [str(item) for path in files for item in pq.read_table(path)[ITEM.column].to_pylist()]


def _ranking(settings: Settings, ranking: Ranking, title: str) -> Table:
    """The best items with their scores and a few of the features they were ranked by."""
    of_items = next(view for view in settings.catalog.aggregates if view.keys == (ITEM,))
    item_features = [f"{of_items.name}__{feature.name}" for feature in of_items.features[-SHOWN_FEATURES:]]
    table = Table(title=escape(title))
    table.add_column("#", justify="right")
    table.add_column("item", justify="right")
    for task in ranking.tasks:
        table.add_column(f"p({task})", justify="right")
    for name in item_features:
        table.add_column(name.split("__")[1], justify="right", style="dim")
    columns = ranking.batch.columns
    for place, (item, scores, index) in enumerate(
        zip(ranking.items, ranking.scores, ranking.order, strict=True), start=1
    ):
        shown = (escape(_shown(columns[name][index])) for name in item_features)
        table.add_row(str(place), escape(item), *(f"{value:.3f}" for value in scores), *shown)
    return table


def _shown(value: object) -> str:
    """A feature's value for a narrow column; "-" where it is missing."""
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "-"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, list | np.ndarray):
        return f"[{len(value)}] " + ", ".join(str(element) for element in value[:SHOWN_FEATURES])
    return str(value)


def _statuses(found: FeatureBatch) -> str:
    """How many looked-up values were present, null, not found and stale."""
    total = sum(found.counts.values(), Counter())
    return "features: " + ", ".join(f"{count:,} {status.label}" for status, count in sorted(total.items()))
