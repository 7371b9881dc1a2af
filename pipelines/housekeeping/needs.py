"""What must stay: how far back windows, the split and the gates read, and what is in use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from features.declarations.catalog import Catalog
from pipelines.days import DAY, Days
from pipelines.errors import SettingsError
from pipelines.gates.partitions import HISTORY
from pipelines.settings import RetentionParams, Split


@dataclass(frozen=True, slots=True)
class InUse:
    """What is in use whatever its age.

    Attributes:
        served: the day that is served; None when none is.
        runs: last days of the runs whose data and models stay: the newest, the published, the production's.
        versions: pulled models in production, like "pepnet-v3.0.0".
    """

    served: date | None = None
    runs: Collection[date] = ()
    versions: Collection[str] = ()


def require_enough(retention: RetentionParams, split: Split, catalog: Catalog) -> None:
    """Insist that no window, split or gate loses a day that it reads.

    Raises:
        SettingsError: fewer days are kept than needed; every such number is named with the one needed.
    """
    least = least_days(retention, split, catalog)
    short = [
        f"retention.{kind} keeps {getattr(retention, kind)} days, {days} are needed"
        for kind, days in least.items()
        if getattr(retention, kind) < days
    ]
    if short:
        reach = max(view.reach for view in catalog.aggregates)
        raise SettingsError(
            f"params.yaml: {'; '.join(short)} (windows reach {reach} days back, a run is "
            f"{split.train + split.validation + split.test} days). Nothing was removed; raise them"
        )


def least_days(retention: RetentionParams, split: Split, catalog: Catalog) -> Mapping[str, int]:
    """The fewest days that each kind of partition may be kept.

    - features: a run reads the snapshots behind its first event, as far back as the longest TTL.
    - tiles: each snapshot that is kept can be made again, from tiles as far back as the longest window.
      Were one made again without them, its windows would be short, and nobody would notice.
    - events: a run's own days; of an intraday group also those that its snapshots are made from.
    - a gate compares a day's volume with the days before it.
    """
    run = split.train + split.validation + split.test
    reach = max(view.reach for view in catalog.aggregates)
    heads = max((retention.features + view.reach for view in catalog.aggregates if view.intraday), default=0)
    return {
        "events": max(run, HISTORY + 1, heads),
        "features": max(run + reach + 1, HISTORY + 1),
        "tiles": retention.features + reach,
    }


def served_days(catalog: Catalog, view: str, in_use: InUse) -> Days | None:
    """The days of a view that may have rows within their TTL in what is served."""
    if in_use.served is None:
        return None
    return Days(start=in_use.served - catalog.view(view).ttl - DAY, end=in_use.served)
