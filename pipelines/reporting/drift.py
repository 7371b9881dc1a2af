"""Drift: how far every feature lies from the training days, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pipelines.gates.comparison import Comparison, Drift
from pipelines.gates.drift import percent
from pipelines.reporting.blocks import Block, Cell, Fold, Note, Prose, Section, Table, rows_of
from pipelines.reporting.files import find_json
from pipelines.reporting.words import plural
from pipelines.settings import Settings

SHOWN = 12
CLOSE = 0.5  # from half of a threshold on, a feature is worth watching


@dataclass(frozen=True, slots=True)
class Compared:
    """What a gate found of one table."""

    table: str
    ds: str | None
    drift: Drift


def drift(settings: Settings, ds: date) -> Section:
    """The training set's features and the newest snapshots' beside the training days'."""
    blocks = (
        *_training(compared(settings, "training")),
        *_snapshots(compared(settings, "features")),
    )
    return Section("drift", "Drift from the training days", blocks)


def drifted(settings: Settings) -> str:
    """In a few words, how many features of the training set drifted."""
    features = [feature for own in compared(settings, "training") for feature in own.drift.features]
    if not features:
        return "not compared yet"
    return f"{sum(feature.drifted for feature in features)} of {len(features)}"


def compared(settings: Settings, gate: str) -> list[Compared]:
    """What the last run of a gate found when it compared its tables; none before it has run."""
    summary = find_json(settings.runs / "gates" / f"{gate}.json") or {"tables": []}
    return [
        Compared(table["table"], table["drift"]["ds"], Drift.model_validate(table["drift"]))
        for table in summary["tables"]
        if table.get("drift")
    ]


def _training(found: Sequence[Compared]) -> Iterator[Block]:
    features = [feature for own in found for feature in own.drift.features]
    if not features:
        reasons = "; ".join(own.drift.note for own in found) or "`gatehouse validate training` compares it"
        yield Note(f"The training set has not been compared with its training days: {reasons}.")
        return
    worst = sum(feature.drifted for feature in features)
    yield Prose(
        f"{worst} of {plural(len(features), 'feature')} of the training set drifted between "
        f"{found[0].drift.baseline}, which the models learn from, and the test days."
    )
    judged = [feature for feature in features if not feature.unjudged or feature.drifted]
    ranked = sorted(judged, key=lambda feature: (-_severity(feature), feature.column))
    yield _table(
        ranked[:SHOWN],
        "Worst first. PSI is the population stability index of a feature's values, 0 for equal ones; "
        "the bar shows how much of its threshold it takes up. Nulls are compared by themselves.",
    )
    if rest := ranked[SHOWN:]:
        yield Fold(f"{plural(len(rest), 'steadier feature')}", (_table(rest, ""),))
    yield from _unjudged([feature for feature in features if feature not in judged])


def _unjudged(features: Sequence[Comparison]) -> Iterator[Block]:
    if not features:
        return
    table = Table(
        head=("feature", "why it is not judged", "PSI"),
        groups=rows_of(*((feature.column, feature.unjudged, _index(feature)) for feature in features)),
        caption="A PSI that is not judged means little, however large it is; nulls are judged by themselves.",
        text_columns=2,
    )
    yield Fold(f"{plural(len(features), 'feature')} not judged", (table,))


def _snapshots(found: Sequence[Compared]) -> Iterator[Block]:
    """A row a feature that drifted, else a line that says how many were compared, and why others were not."""
    features = [(own, feature) for own in found for feature in own.drift.features]
    if features:
        judged = [pair for pair in features if not pair[1].unjudged]
        bad = [pair for pair in features if pair[1].drifted]
        tables = plural(len({own.table for own, _ in features}), "view")
        yield Prose(
            f"{len(bad)} of {plural(len(features), 'feature')} drifted in the newest snapshots of {tables}; "
            f"{len(judged)} could be judged."
        )
        reasons = Counter(feature.unjudged for _, feature in features if feature.unjudged)
        if reasons:
            yield Note("; ".join(f"{count} not judged: {why}" for why, count in reasons.most_common()) + ".")
        worst = sorted(judged, key=lambda pair: (-_severity(pair[1]), pair[0].table, pair[1].column))
        if worst:
            yield _table(
                [
                    feature.model_copy(
                        update={"column": f"{_view(own)}, {own.ds or 'profile'}: {feature.column}"}
                    )
                    for own, feature in worst[:SHOWN]
                ],
                "The features of the newest snapshots that come closest to their threshold.",
            )
    notes = Counter(own.drift.note for own in found if not own.drift.features)
    for note, views in sorted(notes.items()):
        yield Note(f"{plural(views, 'view')} not compared: {note}.")


def _view(own: Compared) -> str:
    return own.table.removeprefix("features/")


def _table(features: Sequence[Comparison], caption: str) -> Table:
    return Table(
        head=("feature", "verdict", "largest change", "PSI", "at most", "nulls moved", "at most"),
        groups=rows_of(*(_row(feature) for feature in features)),
        caption=caption,
        text_columns=3,
    )


def _row(feature: Comparison) -> tuple[Cell, ...]:
    word = "drifted" if feature.drifted else "close" if _severity(feature) >= CLOSE else "steady"
    change = feature.null_words if _null_part(feature) > _psi_part(feature) else feature.shift
    return (
        Cell(feature.column),
        Cell(word, heat={"drifted": 1.0, "close": 0.4}.get(word, 0.0), best=word == "drifted"),
        Cell(change.removeprefix("the share of "), faint=word == "steady"),
        Cell(_index(feature), bar=min(_psi_part(feature), 1.0), faint=bool(feature.unjudged)),
        Cell(f"{feature.max_psi:g}"),
        Cell(
            "n/a" if feature.null_shift is None else percent(feature.null_shift),
            bar=min(_null_part(feature), 1.0),
            faint=bool(feature.nulls_unjudged),
        ),
        Cell(percent(feature.max_null_shift)),
    )


def _index(feature: Comparison) -> str:
    return "n/a" if feature.psi is None else f"{feature.psi:.3f}"


def _severity(feature: Comparison) -> float:
    """The larger part of its thresholds that a feature takes up; 1 and more is too much."""
    return max(_psi_part(feature), _null_part(feature))


def _psi_part(feature: Comparison) -> float:
    """How much of its threshold the index takes up; nothing where it is not judged."""
    return 0.0 if feature.unjudged else (feature.psi or 0.0) / feature.max_psi


def _null_part(feature: Comparison) -> float:
    """How much of its threshold the shift of nulls takes up; nothing where it is not judged."""
    if feature.nulls_unjudged or not feature.null_shift:
        return 0.0
    return feature.null_shift / feature.max_null_shift if feature.max_null_shift else float("inf")
