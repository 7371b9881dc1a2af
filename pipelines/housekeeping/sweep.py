"""The housekeeping command: look what may go, and take it away or only say so."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from rich.table import Table

from features.serving.served import served_day
from pipelines.children import dvc
from pipelines.housekeeping.needs import InUse, require_enough
from pipelines.housekeeping.plan import Removal, removals
from pipelines.housekeeping.taking import remove_leftovers
from pipelines.lake import Lake
from pipelines.observing.console import console, stage
from pipelines.registry import Registry, Version, in_production
from pipelines.settings import Settings


def housekeeping(settings: Settings, *, dry_run: bool = False) -> None:
    """Remove what is older than `retention` in params.yaml and is not in use; say what, with bytes.

    It may be killed at any instant and run again. With `dry_run` it only says.

    Raises:
        SettingsError: fewer days are kept than windows, split and gates need.
        PublishError: the registry cannot be asked what is in production, or DVC failed.
    """
    require_enough(settings.params.retention, settings.dataset_params.split, settings.catalog)
    today = datetime.now(UTC).date()
    with stage(settings, "housekeeping", today) as facts:
        found = removals(settings, find_in_use(settings), today)
        if not dry_run:
            take(settings, found)
        facts |= {"removed": 0 if dry_run else len(found), "bytes": sum(own.size for own in found)}
        facts["dvc"] = _collect_garbage(settings.home, dry_run=dry_run)
    console.print(_table(found, dry_run=dry_run))


def take(settings: Settings, found: Iterable[Removal]) -> None:
    """Take what was found, in order, and what an earlier kill left on the way."""
    for own in found:
        own.take()
    for root in (settings.lake, settings.models, settings.runs, settings.requests):
        remove_leftovers(root)


def find_in_use(settings: Settings) -> InUse:
    """What is served, and the runs that are the newest, published last, or in production.

    Raises:
        PublishError: the registry cannot be reached.
    """
    note = settings.home / "registry" / settings.dataset / "published.json"
    production = list(_production(settings))
    runs = {date.fromisoformat(version.ds) for version in production if version.ds}
    if note.exists():
        runs.add(date.fromisoformat(json.loads(note.read_bytes())["ds"]))
    for service in settings.catalog.services:
        runs.update(Lake(settings.lake).days(f"training_sets/{service.name}")[-1:])
    return InUse(
        served=served_day(settings.home / "feast", settings.dataset),
        runs=frozenset(runs),
        versions=frozenset(f"{version.model}-{version.name}" for version in production),
    )


def _production(settings: Settings) -> Iterator[Version]:
    registry = Registry.of(settings)
    if registry.local is not None and not Path(registry.url).exists():
        return
    with registry.clone() as clone:
        for model in {*settings.params.train.models, settings.params.publish.model}:
            version = in_production(clone, model)
            if version is not None:
                yield version


def _collect_garbage(home: Path, *, dry_run: bool) -> str:
    """Let DVC's cache go but for the workspace, every branch, tag and experiment; what DVC said of it.

    What is published lies in the registry's own storage, which is not touched.
    """
    if not (home / ".dvc").is_dir():
        return "no DVC repository"
    kept = ("--workspace", "--all-branches", "--all-tags", "--all-experiments")
    said = dvc("gc", *kept, "--force", *(["--dry"] if dry_run else []), cwd=home)
    return " ".join(said.split()[-12:])


def _table(found: Iterable[Removal], *, dry_run: bool) -> Table:
    """A row a kind: how many, how large, the first and the last."""
    kinds: dict[str, list[Removal]] = defaultdict(list)
    for own in found:
        kinds[own.kind].append(own)
    table = Table(title="would be removed" if dry_run else "removed")
    for column in ("kind", "first", "last"):
        table.add_column(column, overflow="fold")
    table.add_column("number", justify="right")
    table.add_column("bytes", justify="right")
    for kind, going in kinds.items():
        size = sum(own.size for own in going)
        table.add_row(kind, going[0].path.name, going[-1].path.name, f"{len(going):,}", f"{size:,}")
    return table
