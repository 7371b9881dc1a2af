"""What people do with what the stages have built."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import LastDsOption, day, last_day
from pipelines.settings import Settings

PANEL = "Use what was built"
results = typer.Typer()


class Clock(StrEnum):
    """What the service judges ages by."""

    SNAPSHOT = "snapshot"
    WALL = "wall"


class ExportFormat(StrEnum):
    """What a model can be exported to; named here, because training.export brings torch."""

    ONNX = "onnx"
    AOTINDUCTOR = "aotinductor"


@results.command(rich_help_panel=PANEL)
def lookup(
    user: Annotated[str, typer.Option(help="User id.")],
    scenario: Annotated[str, typer.Option(help="Scenario id.")],
    item: Annotated[list[str], typer.Option(help="Item id; repeat for several.")],
) -> None:
    """Print the features the online store holds for a user, a scenario and items."""
    from pipelines.rank import print_lookup

    print_lookup(Settings(), user=user, scenario=scenario, items=item)


@results.command(rich_help_panel=PANEL)
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


@results.command(rich_help_panel=PANEL)
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


@results.command(rich_help_panel=PANEL)
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


@results.command(rich_help_panel=PANEL)
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

    consistency(Settings(), None if ds is None else day(ds))


@results.command(rich_help_panel=PANEL)
def benchmark(
    ds: LastDsOption = None,
    models: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Models to compare; by default all there are.")
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many, the best on the validation days of the last comparison."),
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
    if models is not None and finalists is not None:
        raise typer.BadParameter("give --models or --finalists, not both")
    benchmark(
        settings,
        last_day(settings, ds),
        models=None if models is None else [name.strip() for name in models.split(",")],
        finalists=finalists,
        budget=Budget(trials, seeds),
        epochs=epochs,
        jobs=jobs or len(os.sched_getaffinity(0)),
        into=into or settings.home,
    )


@results.command(rich_help_panel=PANEL)
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

    print_lineage(Settings(), model, None if ds is None else day(ds))


@results.command(rich_help_panel=PANEL)
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
    export(settings, last_day(settings, ds), model, form, to)


@results.command(rich_help_panel=PANEL)
def demo() -> None:
    """Run the whole road with DVC, then show the metrics, a ranking and where the report is."""
    from pipelines.demo import demo

    demo(Settings())


@results.command(rich_help_panel=PANEL)
def use(
    dataset: Annotated[str, typer.Argument(help="movielens-100k, kuairand-pure, simulated or custom.")],
) -> None:
    """Make params.yaml name another data set; each keeps its own lake, models and registry."""
    from pipelines.use import use

    use(Settings(), dataset)
