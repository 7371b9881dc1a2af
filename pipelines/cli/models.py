"""The `gatehouse models` commands: what the registry holds, what is in production, and how to move it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipelines.settings import Settings

models = typer.Typer(
    help="Published models: list, compare and fetch them, and move what is in production.",
    no_args_is_help=True,
)

Reference = Annotated[
    str,
    typer.Argument(metavar="NAME@VERSION", help="For example pepnet@prod, pepnet@latest or pepnet@v1.0.0."),
]
Model = Annotated[str, typer.Argument(metavar="NAME", help="A model, for example pepnet.")]


@models.command("list")
def list_versions(
    model: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model; by default all there are.")
    ] = None,
) -> None:
    """List versions with their days, metrics and age, and say which ones are in production."""
    from pipelines.observing.console import console
    from pipelines.registry import Registry, require_begun
    from pipelines.registry.cards import listed
    from pipelines.registry.tables import version_table

    registry = Registry.of(Settings())
    require_begun(registry)
    with registry.clone() as clone:
        console.print(version_table(listed(clone, model), now=int(time.time())))


@models.command()
def show(reference: Reference) -> None:
    """Print a version's card: days, metrics by scenario and task, champion, source and limits."""
    from rich.markdown import Markdown

    from pipelines.observing.console import console
    from pipelines.registry.cards import find_publication

    version, publication = find_publication(Settings(), reference)
    console.print(f"[bold]{version.tag}[/bold], commit {version.commit}")
    console.print(Markdown(publication.markdown()))


@models.command()
def diff(first: Reference, second: Reference) -> None:
    """Compare two versions: metrics by scenario and task, settings, days and features."""
    from pipelines.observing.console import console
    from pipelines.registry.cards import find_publication
    from pipelines.registry.tables import difference

    settings = Settings()
    (before, old), (after, new) = (find_publication(settings, name) for name in (first, second))
    console.print(*difference(before.tag, old, after.tag, new), sep="\n")


@models.command()
def promote(reference: Reference) -> None:
    """Put a version into production, once its files have been fetched and verified."""
    from pipelines.observing.console import console
    from pipelines.registry.moves import promote

    version = promote(Settings(), reference)
    console.print(f"[bold]{version.tag}[/bold] of {version.ds} is in production, every hash verified")


@models.command()
def rollback(
    model: Model,
    to: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="One that was there before; by default the one just before."),
    ] = None,
) -> None:
    """Put the version back into production that was there before; once more goes further back."""
    from pipelines.observing.console import console
    from pipelines.registry.moves import rollback

    left, version = rollback(Settings(), model, to)
    console.print(
        f"[bold]{version.tag}[/bold] of {version.ds} is in production instead of {left.tag}, "
        "every hash verified"
    )


@models.command()
def pull(
    reference: Reference,
    into: Annotated[Path | None, typer.Option(help="Target folder; by default ./NAME.")] = None,
) -> None:
    """Fetch a version into a folder and verify its hashes."""
    from pipelines.observing.console import console
    from pipelines.registry import pull

    folder = pull(Settings(), reference, into)
    console.print(f"{reference} is in [bold]{folder}[/bold], every hash verified")
