"""The stages of the road, a command each, in their order."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.cli.options import DsOption, EndOption, LastDsOption, StartOption, days_between, last_day
from pipelines.settings import Settings

PANEL = "Stages, in the order of the road"
stages = typer.Typer()


class Gate(StrEnum):
    """What a gate stands behind."""

    EVENTS = "events"
    FEATURES = "features"
    TRAINING = "training"


@stages.command(rich_help_panel=PANEL)
def ingest(ds: DsOption = None, start: StartOption = None, end: EndOption = None) -> None:
    """Read the raw log into the lake; what is unusable goes to quarantine, with its reason."""
    from pipelines.ingest import ingest

    settings = Settings()
    ingest(settings, days_between(settings, ds, start, end))


@stages.command(rich_help_panel=PANEL)
def aggregate(ds: DsOption = None, start: StartOption = None, end: EndOption = None) -> None:
    """Sum validated events into daily tiles, and tiles into each day's snapshot of every feature group."""
    from pipelines.aggregate import aggregate

    settings = Settings()
    aggregate(settings, days_between(settings, ds, start, end))


@stages.command(rich_help_panel=PANEL)
def validate(
    what: Annotated[Gate, typer.Argument(help="Which gate to hold.")],
    ds: DsOption = None,
    start: StartOption = None,
    end: EndOption = None,
) -> None:
    """Hold a gate: check data against its declared expectations; stages refuse what did not pass."""
    from pipelines.validate import validate_events, validate_features, validate_training

    settings = Settings()
    if what is Gate.TRAINING:
        validate_training(settings, last_day(settings, ds))
        return
    check = validate_events if what is Gate.EVENTS else validate_features
    check(settings, days_between(settings, ds, start, end))


@stages.command(rich_help_panel=PANEL)
def materialize(
    ds: LastDsOption = None,
    forward: Annotated[
        bool, typer.Option("--forward", help="Serve the day that is served now if it is a later one.")
    ] = False,
) -> None:
    """Write the validated snapshot of a day into Feast's online store, where lookups find it."""
    from pipelines.materialize import materialize

    settings = Settings()
    materialize(settings, last_day(settings, ds), forward=forward)


@stages.command(rich_help_panel=PANEL)
def assemble(ds: LastDsOption = None) -> None:
    """Join events with the features known at their instant, and encode them for training."""
    from pipelines.assemble import assemble

    settings = Settings()
    assemble(settings, last_day(settings, ds))


@stages.command(rich_help_panel=PANEL)
def train(
    model: Annotated[str, typer.Argument(help="A model of params.yaml, for example pepnet.")],
    ds: LastDsOption = None,
) -> None:
    """Train one model on the assembled days; continues from its checkpoint when it was interrupted."""
    from pipelines.train import train

    settings = Settings()
    train(settings, last_day(settings, ds), model)


@stages.command(rich_help_panel=PANEL)
def evaluate(ds: LastDsOption = None) -> None:
    """Score every trained model and LightGBM on the test days, per scenario and task."""
    from pipelines.evaluate import evaluate

    settings = Settings()
    evaluate(settings, last_day(settings, ds))


@stages.command(rich_help_panel=PANEL)
def promote(ds: LastDsOption = None) -> None:
    """Judge the chosen model against the champion, scenario by scenario; write the verdict for publish."""
    from pipelines.promote import promote

    settings = Settings()
    promote(settings, last_day(settings, ds))


@stages.command(rich_help_panel=PANEL)
def publish(ds: LastDsOption = None) -> None:
    """Make the chosen model a new version in the registry, if it was promoted."""
    from pipelines.publish import publish

    settings = Settings()
    publish(settings, last_day(settings, ds))


@stages.command(rich_help_panel=PANEL)
def report(ds: LastDsOption = None) -> None:
    """Write reports/index.html: data health, validation, curves, metrics and what the models do inside."""
    from pipelines.report import report

    settings = Settings()
    report(settings, last_day(settings, ds))
