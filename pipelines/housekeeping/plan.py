"""What goes: every partition, run and log that is older than its retention and not in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from features.declarations.groups import Profile
from pipelines.days import DAY
from pipelines.housekeeping.needs import InUse, served_days
from pipelines.housekeeping.taking import bytes_below, remove_file, remove_folder
from pipelines.lake import Lake
from pipelines.lineage.outbox import events_folder
from pipelines.settings import Settings

_DAY_FOLDERS = "ds=????-??-??"


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that goes.

    Attributes:
        kind: the entry of `retention` that lets it go.
        path: a folder or a file.
        size: bytes.
        take: removes it; after a kill it is there as before, or nothing reads it and it is found again.
    """

    kind: str
    path: Path
    size: int
    take: Callable[[], None]


def removals(settings: Settings, in_use: InUse, today: date) -> list[Removal]:
    """Everything that goes, in the order in which it may be taken.

    Args:
        settings: name the home and the retention.
        in_use: what stays whatever its age.
        today: what the age of logs is counted back from, UTC.
    """
    found = [*_logs(settings, today), *_written_long_ago(settings, in_use, today)]
    events = Lake(settings.lake).days("events")
    if events:
        data = [*_partitions(settings, in_use, events[-1]), *_runs(settings, in_use, events[-1])]
        found += [*data, *_verdicts(settings, events[-1], {own.path for own in data})]
    return found


def _partitions(settings: Settings, in_use: InUse, newest: date) -> Iterator[Removal]:
    """Lake partitions; those that a killed housekeeping left without a manifest as well."""
    lake, retention = Lake(settings.lake), settings.params.retention
    views = [view for view in settings.catalog.views if not isinstance(view, Profile)]
    kinds = {"events": "events", "truth": "events", "quarantine": "quarantine"}
    kinds |= {f"tiles/{view.name}": "tiles" for view in views}
    kinds |= {f"features/{view.name}": "features" for view in views}
    kinds |= {f"training_sets/{service.name}": "training_sets" for service in settings.catalog.services}
    for table, kind in kinds.items():
        served = None
        if kind == "features":
            served = served_days(settings.catalog, table.removeprefix("features/"), in_use)
        for ds, folder in _days(lake.folder(table)):
            stays = (
                (served is not None and ds in served)
                or (kind == "training_sets" and ds in in_use.runs)
                or _is_young(ds, newest, getattr(retention, kind))
            )
            if not stays:
                yield Removal(kind, folder, bytes_below(folder), partial(lake.remove, table, ds))


def _runs(settings: Settings, in_use: InUse, newest: date) -> Iterator[Removal]:
    """What a run leaves: encoded arrays, trained models, checkpoints and curves."""
    retention = settings.params.retention
    folders = [(f"encoded/{own.name}", "encoded", settings.lake) for own in settings.catalog.services]
    folders += [(name, "models", settings.models) for name in _children(settings.models)]
    folders += [(name, "runs", settings.runs) for name in ("checkpoints", "tensorboard")]
    for name, kind, root in folders:
        for ds, folder in _days(root / name):
            if ds not in in_use.runs and not _is_young(ds, newest, getattr(retention, kind)):
                yield Removal(kind, folder, bytes_below(folder), partial(remove_folder, folder))


def _verdicts(settings: Settings, newest: date, going: set[Path]) -> Iterator[Removal]:
    """Verdicts on partitions that are gone, or about to go."""
    root, days = settings.lake / "verdicts", settings.params.retention.verdicts
    for path in sorted(root.glob(f"**/{_DAY_FOLDERS}.json")):
        partition = settings.lake / path.relative_to(root).with_suffix("")
        judged = partition.is_dir() and partition not in going
        if not judged and not _is_young(_day(path.stem), newest, days):
            yield Removal("verdicts", path, path.stat().st_size, partial(remove_file, path))


def _logs(settings: Settings, today: date) -> Iterator[Removal]:
    """The request log and its outcomes, by their day."""
    retention = settings.params.retention
    for ds, folder in _days(settings.requests):
        if not _is_young(ds, today, retention.requests):
            yield Removal("requests", folder, bytes_below(folder), partial(remove_folder, folder))
    for path in sorted((settings.runs / "consistency").glob(f"{_DAY_FOLDERS}.json")):
        if not _is_young(_day(path.stem), today, retention.requests):
            yield Removal("requests", path, path.stat().st_size, partial(remove_file, path))


def _written_long_ago(settings: Settings, in_use: InUse, today: date) -> Iterator[Removal]:
    """Pulled models, lineage and Airflow's logs, by when they were written."""
    retention = settings.params.retention
    for name in _children(settings.runs / "pulled"):
        folder = settings.runs / "pulled" / name
        if name not in in_use.versions and not _is_young(_written(folder), today, retention.runs):
            yield Removal("runs", folder, bytes_below(folder), partial(remove_folder, folder))
    for path in sorted((settings.home / "airflow" / "logs").glob("dag_id=*/**/*.log")):
        if not _is_young(_written(path), today, retention.airflow_logs):
            yield Removal("airflow_logs", path, path.stat().st_size, partial(remove_file, path))
    lineage = events_folder(settings)
    for path in sorted(lineage.glob(f"{_DAY_FOLDERS}.jsonl")) if lineage else ():
        if _day(path.stem) not in in_use.runs and not _is_young(_written(path), today, retention.lineage):
            yield Removal("lineage", path, path.stat().st_size, partial(remove_file, path))


def _is_young(ds: date, newest: date, days: int) -> bool:
    """Whether `ds` is one of the last `days` days up to `newest`, or lies after them."""
    return ds > newest - DAY * days


def _days(folder: Path) -> Iterator[tuple[date, Path]]:
    """The day folders below `folder`, ascending; what is not named after a day is nobody's to remove."""
    for path in sorted(folder.glob(_DAY_FOLDERS)):
        yield _day(path.name), path


def _day(name: str) -> date:
    return date.fromisoformat(name.removeprefix("ds="))


def _children(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*") if path.is_dir())


def _written(path: Path) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=path.stat().st_mtime)).date()
