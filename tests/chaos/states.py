"""What a home holds, in a form that can be compared: files, partitions, sealed folders, answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from features.serving.lookup import FeatureLookup
from features.store import open_store
from pipelines.lake import Lake
from pipelines.manifest import MANIFEST, Manifest
from pipelines.registry import Registry, Version, resolve
from pipelines.registry.publication import PUBLICATION, Publication
from pipelines.settings import Settings
from pipelines.verdicts import Verdict, write_verdict
from training.sealed import SealError, fingerprint, verify

# Working folders and locks: what is left there is nobody's data.
_SCAFFOLD = {"_staging", "_locks"}


def files_of(root: Path, folders: Iterable[str]) -> dict[str, str]:
    """Path below `root` to hash, of every file in `folders`; locks and working folders are left out."""
    found = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if not _SCAFFOLD & set(path.parts) and path.suffix != ".lock"
    }


def partitions_of(lake: Path) -> dict[str, str]:
    """Partition to a hash of its manifest and of all the files that this names.

    A partition whose manifest names files that are not there, or are others, is not in it.
    """
    found = {}
    tables = [folder for folder in lake.iterdir() if folder.name not in _SCAFFOLD]
    for path in sorted(path for table in tables for path in table.rglob(MANIFEST)):
        if (state := partition_of(path.parent)) is not None:
            found[str(path.parent.relative_to(lake))] = state
    return found


def partition_of(folder: Path) -> str | None:
    """The hash of a partition as a reader finds it; None if a file that its manifest names is not there."""
    text = (folder / MANIFEST).read_bytes()
    digest = hashlib.sha256(text)
    for file in Manifest.model_validate_json(text).files:
        try:
            content = (folder / file.name).read_bytes()
        except FileNotFoundError:
            return None
        assert hashlib.sha256(content).hexdigest() == file.sha256, f"{folder / file.name} is torn"
        digest.update(content)
    return digest.hexdigest()


def require_one_of(state: Mapping[str, str], old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Insist that every partition is wholly as it was or wholly as it is to be, and that none is missing."""
    for name in old.keys() | new.keys():
        allowed = {old.get(name), new.get(name)}
        assert state.get(name) in allowed, f"{name} is neither what it was nor what it is to be"


def sealed_state(folder: Path) -> str | None:
    """The fingerprint of a sealed folder, all files of which are found to be whole; None if it is refused."""
    try:
        before = fingerprint(folder)
        verify(folder)
    except (SealError, FileNotFoundError):
        return None
    return before


def let_through(settings: Settings, *tables: str) -> None:
    """Write what the gates write when they find nothing, for all that is in the lake."""
    lake = Lake(settings.lake)
    for path in settings.lake.rglob(MANIFEST):
        manifest = Manifest.model_validate_json(path.read_bytes())
        if manifest.table.startswith(tables):
            write_verdict(
                lake,
                Verdict(
                    table=manifest.table, ds=manifest.ds, content=manifest.content, passed=True, checks=1
                ),
            )  # fmt: skip


class Answers:
    """Looks the same keys up again and again.

    Args:
        settings: of the home.
        keys: a user, a scenario and items.
        store: Feast's settings file, where it is not the committed one.
    """

    def __init__(self, settings: Settings, keys: Mapping[str, Any], store: Path | None = None) -> None:
        service = settings.params.features.service
        self._lookup = FeatureLookup(open_store(settings.home, store), settings.catalog, service)
        self._keys = keys

    def now(self) -> tuple[date, str]:
        """The day that is served, and a hash of all values."""
        batch = self._lookup.batch(**self._keys)
        assert batch.served is not None, "the store did not answer"
        digest = hashlib.sha256()
        for name, column in sorted(batch.columns.items()):
            values = column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()
            digest.update(f"{name} {values!r}\n".encode())
        return batch.served.ds, digest.hexdigest()


def newest_version(settings: Settings, model: str) -> Version:
    """The newest version in the registry."""
    with Registry.of(settings).clone() as clone:
        return resolve(clone, model)


def trained_digest(pulled: Path) -> str:
    """SHA-256 of the hashes.json that training wrote, of a model that was pulled."""
    return Publication.load(pulled / PUBLICATION).trained
