"""The lake: Parquet partitions that are swapped in whole.

A partition is a folder of data files named after their content, and a manifest that names them.
Replacing the manifest is the swap: one atomic rename, so a reader that goes by the manifest sees
the old partition or the new one, never a mixture. Readers must not glob.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from pydantic import ValidationError

from features.files import flush
from pipelines.days import Days
from pipelines.errors import MissingPartitionError
from pipelines.files import write_whole
from pipelines.manifest import MANIFEST, DataFile, Manifest, sha256_of
from pipelines.observing.books import note_written
from pipelines.parquet import settle_encodings

_WRITERS = {"tiles": "aggregate", "features": "aggregate", "training_sets": "assemble"}


class Lake:
    """The partitions of one data set under `root`; tables are named like "tiles/user_engagement"."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, table: str, ds: date | None = None) -> Path:
        """Where a partition, or a table without days, lies."""
        return self.root / table / f"ds={ds}" if ds else self.root / table

    def days(self, table: str) -> list[date]:
        """Days of `table` that have been written, ascending."""
        manifests = (self.root / table).glob(f"ds=*/{MANIFEST}")
        return sorted(date.fromisoformat(path.parent.name.removeprefix("ds=")) for path in manifests)

    def find_manifest(self, table: str, ds: date | None = None) -> Manifest | None:
        """The manifest of a partition, or None when it was never written."""
        path = self.folder(table, ds) / MANIFEST
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise MissingPartitionError(
                f"{path} is not a manifest ({error.error_count()} errors); remove it and run the stage again"
            ) from error

    def manifest(self, table: str, ds: date | None = None) -> Manifest:
        """The manifest of a partition.

        Raises:
            MissingPartitionError: no such partition.
        """
        manifest = self.find_manifest(table, ds)
        if manifest is None:
            command = _WRITERS.get(table.split("/", 1)[0], "ingest") + (f" --ds {ds}" if ds else "")
            raise MissingPartitionError(
                f"{self.folder(table, ds)} does not exist; run `gatehouse {command}` first"
            )
        return manifest

    def files(self, table: str, days: Days | None = None) -> list[Path]:
        """Data files of `table` in order of days; days that were never written are skipped."""
        written: Iterable[date | None] = [None]
        if days is not None:
            written = [ds for ds in self.days(table) if ds in days]
        return [
            self.folder(table, ds) / file.name for ds in written for file in self.manifest(table, ds).files
        ]

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder on the lake's own file system, removed afterwards.

        It is locked while it is in use; what killed processes left behind is removed on the way in.
        """
        shelf = self.root / "_staging"
        shelf.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(shelf)
        folder = shelf / uuid.uuid4().hex
        lock = folder.with_suffix(".lock")
        with FileLock(lock):
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def publish(
        self, table: str, ds: date | None, staged: Iterable[Path], inputs: Mapping[str, str]
    ) -> Manifest:
        """Swap a partition in: move the staged Parquet files under it, then replace its manifest.

        Files are ordered by their staged names. A kill at any instant leaves the old partition
        readable; leftovers are removed by the next publish of the same partition.
        """
        folder = self.folder(table, ds)
        folder.mkdir(parents=True, exist_ok=True)
        with self._writing(table, ds):
            files: list[DataFile] = []
            for path in sorted(staged):
                settle_encodings(path)
                digest = sha256_of(path)
                file = DataFile(
                    name=f"{len(files):05d}-{digest[:12]}.parquet",
                    sha256=digest,
                    size=path.stat().st_size,
                    rows=pq.read_metadata(path).num_rows,
                )
                flush(path)
                path.replace(folder / file.name)
                files.append(file)
            flush(folder)
            manifest = Manifest(
                table=table,
                ds=str(ds) if ds else None,
                files=tuple(files),
                inputs=dict(sorted(inputs.items())),
            )
            write_whole(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
            keep = {MANIFEST, *(file.name for file in files)}
            for stale in folder.iterdir():
                if stale.name not in keep and stale.is_file():
                    stale.unlink()
        note_written(manifest)
        return manifest

    def remove(self, table: str, ds: date) -> None:
        """Remove a partition: its manifest first, so that a kill leaves all of it or nothing that is read."""
        folder = self.folder(table, ds)
        with self._writing(table, ds):
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _writing(self, table: str, ds: date | None) -> Iterator[None]:
        """One process at a time changes a partition."""
        locks = self.root / "_locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{table.replace('/', '.')}.{ds}.lock"):
            yield

    def publish_days(
        self, table: str, days: Iterable[date], staged: Path, inputs: Mapping[date, Mapping[str, str]]
    ) -> list[Manifest]:
        """Publish what Spark wrote under `staged`/ds=D for each of `days`; a day without rows is empty."""
        return [
            self.publish(table, ds, (staged / f"ds={ds}").rglob("*.parquet"), inputs.get(ds, {}))
            for ds in days
        ]


def _remove_abandoned(shelf: Path) -> None:
    """Remove staging folders whose owner is gone: a lock dies with its process."""
    for lock in shelf.glob("*.lock"):
        with suppress(Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
