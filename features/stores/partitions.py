"""Which Parquet files of a lake table hold rows of a time range; manifests decide, never a glob."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from features.stores.errors import StoreError

MANIFEST = "_manifest.json"  # the lake's contract, shared with pipelines.manifest


def data_files(folder: Path, earliest: datetime | None = None, latest: datetime | None = None) -> list[Path]:
    """Files of the table at `folder` that may hold rows of `earliest`..`latest`, in order of days.

    A partition ds=D holds instants from the first of D up to the first after D, both included:
    events lie within the day, its snapshot on its end. None leaves that side of the range open.

    Raises:
        StoreError: a manifest is unreadable.
    """
    if (folder / MANIFEST).exists():
        return list(_listed(folder))
    return [
        file
        for ds, partition in _partitions(folder)
        if (earliest is None or _first_instant(ds + timedelta(days=1)) >= earliest)
        and (latest is None or _first_instant(ds) <= latest)
        for file in _listed(partition)
    ]


def _partitions(folder: Path) -> list[tuple[date, Path]]:
    """Published days of a table, ascending."""
    manifests = folder.glob(f"ds=*/{MANIFEST}")
    return sorted(
        (date.fromisoformat(path.parent.name.removeprefix("ds=")), path.parent) for path in manifests
    )


def _listed(partition: Path) -> Iterator[Path]:
    """The files a partition's manifest names."""
    path = partition / MANIFEST
    try:
        names = [file["name"] for file in json.loads(path.read_bytes())["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a manifest ({error}); remove it and run its stage again") from error
    return (partition / name for name in names)


def _first_instant(ds: date) -> datetime:
    return datetime.combine(ds, time(), tzinfo=UTC)
