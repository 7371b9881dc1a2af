"""Where raw files lie, and how they come there."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from math import ceil
from pathlib import Path

from filelock import FileLock

from pipelines.errors import RawDataError
from pipelines.manifest import sha256_of
from pipelines.observing.console import track
from pipelines.settings import Settings

_CHUNK = 1 << 20
_TIMEOUT = 60.0  # seconds without a byte


def raw_folders(settings: Settings, dataset: str) -> list[Path]:
    """Folders that may hold the raw files of `dataset`, the most specific first; not all exist."""
    given = [] if settings.raw is None else [settings.raw / dataset]
    return [*given, settings.home / "raw" / dataset]


def content_hashes(files: Collection[Path]) -> dict[str, str]:
    """Manifest inputs: raw/<path below the folder they share> to SHA-256."""
    shared = os.path.commonpath([path.parent for path in files])
    return {f"raw/{path.relative_to(shared)}": sha256_of(path) for path in files}


@contextmanager
def arriving(folder: Path) -> Iterator[Path]:
    """An empty folder whose contents are moved into `folder` when the block ends without an error.

    One process at a time; a kill leaves `folder` without any half-written file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        draft = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            yield draft
            for path in draft.iterdir():
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def download(url: str, md5: str, target: Path, way_out: str) -> None:
    """Fetch `url` into `target` with a progress bar, and verify the publisher's checksum.

    Raises:
        RawDataError: the network failed, or what came is not what the publisher announced.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, target.open("wb") as file:  # noqa: S310
            chunks = iter(lambda: response.read(_CHUNK), b"")
            length = response.length
            total = ceil(length / _CHUNK) if length else None
            for chunk in track(chunks, f"downloading {target.name}", total):
                digest.update(chunk)
                file.write(chunk)
    except (OSError, HTTPException) as error:
        raise RawDataError(f"cannot download {url}: {error}. {way_out}") from error
    if digest.hexdigest() != md5:
        raise RawDataError(
            f"{url} came with checksum {digest.hexdigest()}, its publisher says {md5}. Try again. {way_out}"
        )
