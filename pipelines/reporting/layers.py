"""Tables of what goes on inside a model, tinted as heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.reporting.blocks import Block, Cell, Fold, Group, Table
from pipelines.reporting.words import count, percent
from training.understanding import ExpertUse, GateMeans, GeneratedWeights, Inside

TOP_SCENARIOS = 8
FULL_TINT = 0.4  # distance of a mean gate from 1 at which a cell has its full colour
PALE = 0.05  # distance of a cosine from 1 at which a cell is pale at the latest; less is no difference to see
_SPREADS = ("spread", "distance\nfrom 1")


def gates_of_fields(name: str, gate: GateMeans, seen: Inside) -> Iterator[Block]:
    """Mean gate by feature view and scenario, and field by field, of a gate on the embedding."""
    views = _by_view(gate.fields)
    yield Table(
        _head("feature view", seen, *_SPREADS),
        (Group("", tuple(_view_row(view, gate, own) for view, own in views.items())),),
        f"{name}'s gate {gate.name} on the embedding: mean gate per feature view and scenario over the test "
        f"days. {_scenarios_shown(seen)} Read along a row: what one scenario opens and another shuts "
        "is what makes them differ.",
    )
    fields = Table(
        _head("field", seen, *_SPREADS),
        tuple(
            Group(view, tuple(_view_row(_feature(gate.fields[field]), gate, [field]) for field in own))
            for view, own in views.items()
            if len(own) > 1
        ),
        "The same, field by field.",
    )
    yield Fold("Every field of these views", (fields,))


def gates_of_hidden_layers(name: str, seen: Inside) -> Table:
    """Mean gate by gate and scenario, of those that multiply hidden units."""
    hidden = [gate for gate in seen.gates if not gate.fields]
    rows = tuple(_row(gate.name, gate.means[:, 0], float(gate.distance[0])) for gate in hidden)
    return Table(
        _head("gate", seen, *_SPREADS),
        (Group("", rows),),
        f"{name}'s gates on hidden layers: mean over all units that a gate multiplies, per scenario. "
        f"{_scenarios_shown(seen)}",
    )


def gates_of_newcomers(name: str, seen: Inside) -> Table:
    """Every gate on rows of users whom training knew, beside those it did not."""
    known = int(seen.rows.sum()) - seen.newcomers
    means = (f"mean, known\n{count(known)}", f"mean, new\n{count(seen.newcomers)}")
    rows = tuple(
        (
            Cell(gate.name),
            *(_gate(mean) for mean, _ in (gate.known, gate.newcomers)),
            *(Cell(f"{distance:.2f}") for _, distance in (gate.known, gate.newcomers)),
        )
        for gate in seen.gates
    )
    return Table(
        ("gate", *means, "distance\nknown", "distance\nnew"),
        (Group("", rows),),
        f"What {name}'s gates do to newcomers, users whom the training days did not have: mean gate, and "
        "mean distance from 1, beside those of users it knew. Rows are in the head.",
    )


def mixture_table(name: str, mixture: ExpertUse, seen: Inside) -> Table:
    """Mean weight of each expert, by task and scenario."""
    weights = mixture.weights[:TOP_SCENARIOS]
    mixed = weights.shape[1]
    of_tasks = mixed == len(seen.tasks)
    of_mixtures = tuple(f"mixture {place + 1}" for place in range(mixed)) if mixed > 1 else ("",)
    headings = seen.tasks if of_tasks else of_mixtures
    groups = tuple(
        Group(heading, tuple(_expert_row(number, shares) for number, shares in enumerate(own.T, start=1)))
        for heading, own in zip(headings, weights.swapaxes(0, 1), strict=True)
    )
    return Table(
        _head("expert", seen, "spread\npoints"),
        groups,
        f"Which experts {name}'s mixture {mixture.name} uses: mean weight of each expert, per "
        f"{'task and scenario' if of_tasks else 'scenario'}. {_scenarios_shown(seen)}",
    )


def _expert_row(number: int, shares: NDArray[np.float64]) -> tuple[Cell, ...]:
    cells = (Cell(percent(share, 0), weight=float(share)) for share in shares)
    return (Cell(f"expert {number}"), *cells, Cell(f"{100.0 * np.ptp(shares):.0f}"))


def likeness_table(name: str, generated: GeneratedWeights, seen: Inside) -> Table:
    """Cosine between the weights generated for each two scenarios."""
    shown = generated.cosine[:TOP_SCENARIOS, :TOP_SCENARIOS]
    others = shown[~np.eye(len(shown), dtype=bool)]
    low = min(float(others.min(initial=1.0)), 1.0 - PALE)
    names = seen.scenarios[:TOP_SCENARIOS]
    rows = tuple(
        (Cell(scenario), *(Cell(f"{value:.3f}", weight=_likeness(value, low)) for value in values))
        for scenario, values in zip(names, shown, strict=True)
    )
    return Table(
        _head("scenario", seen),
        (Group("", rows),),
        f"How alike the weights are that {name}'s {generated.name} generates for two scenarios, from the "
        "mean of what it knows of each: their cosine. The darker, the more alike.",
    )


def _likeness(cosine: float, low: float) -> float:
    return float(np.clip((cosine - low) / (1.0 - low), 0.0, 1.0))


def _by_view(fields: Sequence[str]) -> dict[str, list[int]]:
    """Positions of the fields of each feature view; ids and context fields stand for themselves."""
    views: dict[str, list[int]] = {}
    for index, field in enumerate(fields):
        views.setdefault(field.partition("__")[0], []).append(index)
    return views


def _feature(field: str) -> str:
    return field.partition("__")[2] or field


def _view_row(name: str, gate: GateMeans, fields: Sequence[int]) -> tuple[Cell, ...]:
    return _row(name, gate.means[:, fields].mean(axis=1), float(gate.distance[fields].mean()))


def _head(first: str, seen: Inside, *more: str) -> tuple[str, ...]:
    scenarios = zip(seen.scenarios[:TOP_SCENARIOS], seen.rows, strict=False)
    return (first, *(f"{name}\n{count(int(rows))}" for name, rows in scenarios), *more)


def _row(name: str, gates: NDArray[np.float64], distance: float) -> tuple[Cell, ...]:
    shown = gates[:TOP_SCENARIOS]
    return (Cell(name), *map(_gate, shown), Cell(f"{np.ptp(shown):.2f}"), Cell(f"{distance:.2f}"))


def _gate(value: float) -> Cell:
    return Cell(f"{value:.2f}", heat=float(np.clip((value - 1.0) / FULL_TINT, -1.0, 1.0)))


def _scenarios_shown(seen: Inside) -> str:
    if len(seen.scenarios) <= TOP_SCENARIOS:
        return "Under each scenario stand its rows."
    return f"The {TOP_SCENARIOS} largest of {len(seen.scenarios)} scenarios are shown, with their rows."
