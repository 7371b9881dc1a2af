"""The `gatehouse` command: one subcommand a stage, and what people do with the results.

Stages are imported when they run, so that `--help` and completion stay quick.
"""

from __future__ import annotations

import os
import sys
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from features.declarations.errors import GatehouseError
from pipelines.days import Days
from pipelines.errors import SettingsError
from pipelines.models_cli import models
from pipelines.settings import Settings

app = typer.Typer(
    name="gatehouse",
    help="From an impression log to a published multi-scenario ranker, one command a stage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
STAGES_PANEL = "Stages, in the order of the road"
USE_PANEL = "Use what was built"
app.add_typer(models, name="models", rich_help_panel=USE_PANEL)
UPKEEP_PANEL = "Keep it running"

DsOption = Annotated[
    str | None,
    typer.Option("--ds", metavar="YYYY-MM-DD", help="A single UTC day; by default all days of params.yaml."),
]
StartOption = Annotated[
    str | None, typer.Option("--start", metavar="YYYY-MM-DD", help="First UTC day of a range.")
]
EndOption = Annotated[
    str | None, typer.Option("--end", metavar="YYYY-MM-DD", help="Last UTC day of a range, included.")
]
LastDsOption = Annotated[
    str | None,
    typer.Option(
        "--ds", metavar="YYYY-MM-DD", help="Last UTC day of the run; by default the last day of params.yaml."
    ),
]


JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON, for a scheduler.")]


class Clock(StrEnum):
    """What the service judges ages by."""

    SNAPSHOT = "snapshot"
    WALL = "wall"


class ExportFormat(StrEnum):
    """What a model can be exported to; named here, because training.export brings torch."""

    ONNX = "onnx"
    AOTINDUCTOR = "aotinductor"


class Gate(StrEnum):
    """What a gate stands behind."""

    EVENTS = "events"
    FEATURES = "features"
    TRAINING = "training"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day; write it as 2022-05-01") from None


def _days(settings: Settings, ds: str | None, start: str | None, end: str | None) -> Days:
    if ds is not None and (start is not None or end is not None):
        raise typer.BadParameter("give --ds or a range with --start and --end, not both")
    if ds is not None:
        return Days.one(_day(ds))
    whole = settings.dataset_params.days
    first = whole.start if start is None else _day(start)
    last = whole.end if end is None else _day(end)
    if first > last:
        raise typer.BadParameter(f"--start {first} is after --end {last}")
    return Days(start=first, end=last)


def _last_day(settings: Settings, ds: str | None) -> date:
    return settings.dataset_params.days.end if ds is None else _day(ds)


@app.command(rich_help_panel=STAGES_PANEL)
def ingest(ds: DsOption = None, start: StartOption = None, end: EndOption = None) -> None:
    """Read the raw log into the lake; what is unusable goes to quarantine, with its reason."""
    from pipelines.ingest import ingest

    settings = Settings()
    ingest(settings, _days(settings, ds, start, end))


@app.command(rich_help_panel=STAGES_PANEL)
def aggregate(ds: DsOption = None, start: StartOption = None, end: EndOption = None) -> None:
    """Sum validated events into daily tiles, and tiles into each day's snapshot of every feature group."""
    from pipelines.aggregate import aggregate

    settings = Settings()
    aggregate(settings, _days(settings, ds, start, end))


@app.command(rich_help_panel=STAGES_PANEL)
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
        validate_training(settings, _last_day(settings, ds))
        return
    check = validate_events if what is Gate.EVENTS else validate_features
    check(settings, _days(settings, ds, start, end))


@app.command(rich_help_panel=STAGES_PANEL)
def materialize(
    ds: LastDsOption = None,
    forward: Annotated[
        bool, typer.Option("--forward", help="Serve the day that is served now if it is a later one.")
    ] = False,
) -> None:
    """Write the validated snapshot of a day into Feast's online store, where lookups find it."""
    from pipelines.materialize import materialize

    settings = Settings()
    materialize(settings, _last_day(settings, ds), forward=forward)


@app.command(rich_help_panel=STAGES_PANEL)
def assemble(ds: LastDsOption = None) -> None:
    """Join events with the features known at their instant, and encode them for training."""
    from pipelines.assemble import assemble

    settings = Settings()
    assemble(settings, _last_day(settings, ds))


@app.command(rich_help_panel=STAGES_PANEL)
def train(
    model: Annotated[str, typer.Argument(help="A model of params.yaml, for example pepnet.")],
    ds: LastDsOption = None,
) -> None:
    """Train one model on the assembled days; continues from its checkpoint when it was interrupted."""
    from pipelines.train import train

    settings = Settings()
    train(settings, _last_day(settings, ds), model)


@app.command(rich_help_panel=STAGES_PANEL)
def evaluate(ds: LastDsOption = None) -> None:
    """Score every trained model and LightGBM on the test days, per scenario and task."""
    from pipelines.evaluate import evaluate

    settings = Settings()
    evaluate(settings, _last_day(settings, ds))


@app.command(rich_help_panel=STAGES_PANEL)
def promote(ds: LastDsOption = None) -> None:
    """Judge the chosen model against the champion, scenario by scenario; write the verdict for publish."""
    from pipelines.promote import promote

    settings = Settings()
    promote(settings, _last_day(settings, ds))


@app.command(rich_help_panel=STAGES_PANEL)
def publish(ds: LastDsOption = None) -> None:
    """Make the chosen model a new version in the registry, if it was promoted."""
    from pipelines.publish import publish

    settings = Settings()
    publish(settings, _last_day(settings, ds))


@app.command(rich_help_panel=STAGES_PANEL)
def report(ds: LastDsOption = None) -> None:
    """Write reports/index.html: data health, validation, curves, metrics and what the models do inside."""
    from pipelines.report import report

    settings = Settings()
    report(settings, _last_day(settings, ds))


@app.command(rich_help_panel=USE_PANEL)
def lookup(
    user: Annotated[str, typer.Option(help="User id.")],
    scenario: Annotated[str, typer.Option(help="Scenario id.")],
    item: Annotated[list[str], typer.Option(help="Item id; repeat for several.")],
) -> None:
    """Print the features the online store holds for a user, a scenario and items."""
    from pipelines.rank import print_lookup

    print_lookup(Settings(), user=user, scenario=scenario, items=item)


@app.command(rich_help_panel=USE_PANEL)
def rank(
    user: Annotated[str, typer.Option(help="User id.")],
    scenario: Annotated[list[str], typer.Option(help="Scenario id; repeat to compare scenarios.")],
    top: Annotated[int, typer.Option(help="How many items to show.")] = 10,
    model: Annotated[
        str | None, typer.Option(help="NAME@VERSION; by default the one of params.yaml's in production.")
    ] = None,
) -> None:
    """Rank all items for a user with a published model and the features looked up online."""
    from pipelines.rank import print_ranking

    print_ranking(Settings(), user=user, scenarios=scenario, top=top, model=model)


@app.command(rich_help_panel=USE_PANEL)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; tokens are needed beyond loopback.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 6566,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    clock: Annotated[
        Clock, typer.Option(help="Judge ages by the served snapshot, or by the time of the day.")
    ] = Clock.SNAPSHOT,
) -> None:
    """Answer lookups and rankings over HTTP, until interrupted."""
    from pipelines.serve import serve

    serve(Settings(), host=host, port=port, workers=workers, wall_clock=clock is Clock.WALL)


@app.command(rich_help_panel=USE_PANEL)
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    service: Annotated[
        list[str], typer.Option(help="Feature service that may be looked up; repeat for several.")
    ],
    rank: Annotated[bool, typer.Option("--rank", help="Let it rank items too.")] = False,
) -> None:
    """Make a token for the HTTP service and print it, once; GATEHOUSE_TOKENS names the file of hashes."""
    from pipelines.serve import new_token

    sys.stdout.write(new_token(Settings(), name, service, rank=rank) + "\n")


@app.command(rich_help_panel=USE_PANEL)
def consistency(
    ds: Annotated[
        str | None,
        typer.Option(
            "--ds",
            metavar="YYYY-MM-DD",
            help="UTC day of the requests; by default the newest that has a log.",
        ),
    ] = None,
) -> None:
    """Look the answers of the request log up again offline; what was served must be equal to the bit."""
    from pipelines.consistency import consistency

    consistency(Settings(), None if ds is None else _day(ds))


@app.command(rich_help_panel=UPKEEP_PANEL)
def late(as_json: JsonOption = False) -> None:
    """Say which ingested days the raw log holds other rows of by now: late, corrected or removed ones."""
    from pipelines.late import find_late

    found = find_late(Settings())
    if as_json:
        sys.stdout.write(found.model_dump_json() + "\n")
    elif found.days:
        days = ", ".join(map(str, found.days))
        Console().print(f"changed since they were ingested: {days}. Run {found.since}..{found.until} again")
    else:
        Console().print("every ingested day is as the raw log has it")


@app.command(rich_help_panel=UPKEEP_PANEL)
def behind(as_json: JsonOption = False) -> None:
    """Say which days have features but no model yet, and whether the newest one should be trained on."""
    from pipelines.behind import behind

    found = behind(Settings())
    sys.stdout.write((found.model_dump_json() if as_json else str(found)) + "\n")


@app.command(rich_help_panel=UPKEEP_PANEL)
def housekeeping(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Remove what params.yaml's retention lets go and nothing needs: old partitions, models, logs."""
    from pipelines.housekeeping.sweep import housekeeping

    housekeeping(Settings(), dry_run=dry_run)


@app.command(rich_help_panel=USE_PANEL)
def benchmark(
    ds: LastDsOption = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Models to compare; by default all there are.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Points of the search space tried for each.")] = 8,
    seeds: Annotated[int, typer.Option(min=1, help="Fits of each with the best of them.")] = 5,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training days at most.")] = 3,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that fit, one thread each; by default one a core.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Where benchmarks/results and docs lie; by default the home.")
    ] = None,
    only_render: Annotated[
        bool, typer.Option("--render", help="Only write the page anew, from the results there are.")
    ] = False,
) -> None:
    """Compare all models and LightGBM: same rows, budget and seeds; writes docs/benchmark.md."""
    from pipelines.benchmark import benchmark, render
    from training.comparison.tuning import Budget

    settings = Settings()
    if only_render:
        render(into or settings.home)
        return
    benchmark(
        settings,
        _last_day(settings, ds),
        models=None if models is None else [name.strip() for name in models.split(",")],
        budget=Budget(trials, seeds),
        epochs=epochs,
        jobs=jobs or len(os.sched_getaffinity(0)),
        into=into or settings.home,
    )


@app.command(rich_help_panel=USE_PANEL)
def lineage(
    model: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="For example pepnet@v3.0.0; pepnet is the latest.")
    ],
    ds: Annotated[
        str | None, typer.Option("--ds", metavar="YYYY-MM-DD", help="A model trained up to this day instead.")
    ] = None,
) -> None:
    """Draw how a model came to be: from its version back through every stage to the raw log."""
    from pipelines.lineage.show import print_lineage

    print_lineage(Settings(), model, None if ds is None else _day(ds))


@app.command(rich_help_panel=USE_PANEL)
def export(
    model: Annotated[str, typer.Argument(help="A trained model of params.yaml, for example pepnet.")],
    to: Annotated[Path, typer.Option(help="Target folder; an earlier export there is replaced.")],
    ds: LastDsOption = None,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="ONNX, or native code for this machine's processor.")
    ] = ExportFormat.ONNX,
) -> None:
    """Write a trained model as one file that other runtimes load, with the encoding of its input."""
    from pipelines.export import export

    settings = Settings()
    export(settings, _last_day(settings, ds), model, form, to)


@app.command(rich_help_panel=USE_PANEL)
def demo() -> None:
    """Run the whole road with DVC, then show the metrics, a ranking and where the report is."""
    from pipelines.demo import demo

    demo(Settings())


@app.command(rich_help_panel=USE_PANEL)
def use(
    dataset: Annotated[str, typer.Argument(help="movielens-100k, kuairand-pure, simulated or custom.")],
) -> None:
    """Make params.yaml name another data set; each keeps its own lake, models and registry."""
    from pipelines.use import use

    use(Settings(), dataset)


def main() -> NoReturn:
    """Run the command line; the project's own errors, a disk's and memory's end in one readable line."""
    from features.quick_feast import quicken_feast
    from pipelines.logs import configure_logging, log_error
    from pipelines.shortage import shortage

    quicken_feast()
    log_format = "text"
    try:
        log_format = _environment().log_format
        configure_logging(log_format)
        app()
    except (GatehouseError, UnicodeError) as error:
        log_error(error, str(error), log_format)
        sys.exit(error.exit_code if isinstance(error, GatehouseError) else 1)
    except Exception as error:
        told = shortage(error)
        if told is None and not isinstance(error, OSError):
            raise
        log_error(error, told or str(error), log_format)
        sys.exit(1)
    sys.exit(0)


def _environment() -> Settings:
    """The settings, before anything is done with them.

    Raises:
        SettingsError: a variable of the environment has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"GATEHOUSE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
        raise SettingsError(f"the environment: {wrong}") from None


if __name__ == "__main__":  # for torchrun, which starts modules
    main()
