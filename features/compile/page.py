# ruff: noqa: E501 -- a row of a Markdown table cannot be broken
"""Compile catalogs to the page that describes them, docs/features.md.

python -m features.compile.page > docs/features.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from features.declarations.catalog import AuxiliaryTask, Catalog
from features.declarations.catalogs import DATASETS, find_catalog
from features.declarations.features import Encoding, Feature
from features.declarations.groups import Aggregate, FeatureGroup, Profile, SequenceGroup, View
from features.declarations.windows import words

_INTRODUCTION = """# The feature catalog

Generated from [features/declarations](../features/declarations) by `make docs`; a test holds it current. A feature is
declared there once, and everything else is compiled from it: the Spark aggregation, the Feast view, the expectations of
its gate, its place in the model's input, and its row on this page.

```python
user_scenario = FeatureGroup(
    "user_scenario",
    keys=(USER, SCENARIO),
    measures=(
        Count(),
        Rate("click", prior=0.3),
        Distinct(ITEM),
        TimeSince("click"),
        Trend(Count(), DAY, DAY * 7),
    ),
    windows=days(1, 7),
    role=Role.SCENARIO,
)
```

Add it to the catalog's views and to a service, and run the road. A declaration that cannot work (an unknown column, a
name that is not `^[a-z][a-z0-9_]{0,62}$`, a window shorter than a tile, a feature declared twice) fails when the
module is imported, with a sentence that says why.

| measure | feature | what it says |
|---|---|---|
| `Count()` | impressions_7d | number of impressions |
| `Sum("click")`, `Sum(QUANTITY)` | click_sum_7d | positive labels, or a quantity summed (in whole millionths, so order cannot matter) |
| `Rate("click", prior, strength)` | click_rate_7d | (positives + strength x prior) / (labelled + strength) |
| `Mean(QUANTITY, default)`, `Min`, `Max` | rating_mean_7d | over the rows that have the quantity; null without any |
| `Distinct(ITEM)` | item_distinct_7d | different ids: exact below 1,024, then within some 3% (KMV sketch) |
| `Last(SCENARIO)` | scenario_last_7d | the id in the newest event |
| `TimeSince("click")` | click_last_time_7d | when the newest one was; a model is told the hours from it to its own row |
| `Trend(Count(), short, long)` | impressions_trend_1d_7d | daily rate of the short window over the long one's, smoothed towards 1 |
| `SequenceGroup(...)` | item_ids, event_times | the last N positive events, newest first; a model is told their ages |

Windows are whole days over daily tiles: the snapshot of day D, at the first instant after D, knows the windows that end
with D. With `tile=HOUR` a group, of measures or a sequence, is intraday: its windows may be hours, and it has a row for
every instant at which one of its features changes, exact to the microsecond. An event counts from the first instant
after it happened, and not before it was learnt of.
"""


def page(catalogs: Iterable[Catalog]) -> str:
    """The whole page, Markdown."""
    return "\n".join([_INTRODUCTION, *(line for catalog in catalogs for line in _catalog(catalog))]) + "\n"


def _catalog(catalog: Catalog) -> Iterator[str]:
    yield f"## {catalog.dataset}\n"
    yield from _table(
        ("known of an event", "column", "what"),
        [
            *((f"task {task.name}", task.column, task.description) for task in catalog.tasks),
            *((f"quantity {q.name}", q.name, q.description) for q in catalog.quantities),
            *((f"auxiliary task {a.name}", a.quantity.name, _asked(a)) for a in catalog.auxiliaries),
            *((f"context {f.name}", f.name, f.description) for f in catalog.context),
        ],
    )
    yield from _table(
        ("service", "views"),
        [(service.name, ", ".join(service.views)) for service in catalog.services],
    )
    for view in catalog.views:
        yield f"### {view.name}\n"
        yield f"{_about(view)}\n"
        yield from _table(
            ("feature", "type", "role", "to the model", "when missing", "expected", "what it says"),
            [_row(feature) for feature in view.features],
        )


def _asked(auxiliary: AuxiliaryTask) -> str:
    return f"at least {auxiliary.at_least:g}; networks learn it beside the tasks, nobody is served it"


def _kept(group: Aggregate) -> str:
    return "a row per change, from hourly tiles" if group.intraday else "a snapshot a day, from daily tiles"


def _about(view: View) -> str:
    keys = " x ".join(key.column for key in view.keys)
    match view:
        case FeatureGroup():
            about = f"Keyed by {keys}; {_kept(view)}; usable for {words(view.ttl)}."
        case SequenceGroup():
            about = f"Keyed by {keys}; the last {view.length} within {words(view.window)}; {_kept(view)}."
        case Profile():
            links = ", ".join(link.column for link in view.links)
            about = f"Keyed by {keys}; from the {view.table} table" + (
                f"; links to {links}." if links else "."
            )
    return f"{view.description} {about}".strip()


def _row(feature: Feature) -> tuple[str, ...]:
    shared = f" ({feature.vocabulary})" if feature.vocabulary else ""
    return (
        feature.name,
        feature.dtype.value,
        feature.role.value,
        f"{feature.encoding.value}{shared}",
        _missing(feature),
        _expected(feature),
        feature.description,
    )


def _missing(feature: Feature) -> str:
    if feature.default is None:
        return "empty" if feature.dtype.is_list else "unseen"
    unit = " h" if feature.encoding is Encoding.ELAPSED else ""
    return f"{feature.default:g}{unit}" if isinstance(feature.default, float) else str(feature.default)


def _expected(feature: Feature) -> str:
    low, high = feature.low, feature.high
    if low is not None and high is not None:
        bounds = [f"{low:g} to {high:g}"]
    else:
        bounds = (
            [f"at least {low:g}"] if low is not None else [f"at most {high:g}"] if high is not None else []
        )
    return ", ".join([*bounds, f"null up to {feature.max_null_share:.0%}", f"PSI up to {feature.max_psi:g}"])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page(find_catalog(dataset) for dataset in DATASETS if dataset != "custom"))
