"""Folders that appear whole: written aside, hashed, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.declarations.errors import GatehouseError
from features.files import flush, sole_owner, swap

HASHES = "hashes.json"
# A pickle runs code when it is loaded, so a model consists of formats that only hold data.
DATA_ONLY = frozenset({".csv", ".json", ".md", ".npy", ".safetensors"})


class SealError(GatehouseError):
    """A folder whose files are not the ones that were written."""


@contextmanager
def sealed_folder(target: Path) -> Iterator[Path]:
    """An empty folder to write files into; it takes the place of `target` if the block succeeds.

    `hashes.json` (file name to SHA-256) is added. A reader sees the old folder or the new one, never a
    half-written one. Who writes the same folder meanwhile is waited for.
    """
    staging = target.parent / f".{target.name}.draft"
    with sole_owner(staging.with_suffix(".lock")):
        shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
        staging.mkdir()
        try:
            yield staging
            hashes = {path.name: _sha256(path) for path in sorted(staging.iterdir())}
            (staging / HASHES).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
            for path in (*staging.iterdir(), staging):
                flush(path)
            swap(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def fingerprint(folder: Path) -> str:
    """16 hex digits that stand for the contents of a sealed folder; reads only `hashes.json`.

    Raises:
        SealError: there is no readable `hashes.json`.
    """
    return hashlib.sha256(json.dumps(_hashes(folder)).encode()).hexdigest()[:16]


def verify(folder: Path) -> None:
    """Compare every file with its hash.

    Raises:
        SealError: a file is missing or changed; the message names it.
    """
    for name, expected in _hashes(folder).items():
        path = folder / name
        if not path.is_file():
            raise SealError(f"{path} is missing, though {HASHES} names it; write or fetch the folder again")
        if _sha256(path) != expected:
            raise SealError(
                f"{path} is not the file that was written (SHA-256 differs from {HASHES}); "
                "write or fetch the folder again"
            )


def unlisted(folder: Path) -> list[Path]:
    """Files of a sealed folder that `hashes.json` does not name, in order.

    Raises:
        SealError: there is no readable `hashes.json`.
    """
    listed = {HASHES, *_hashes(folder)}
    return [path for path in sorted(folder.iterdir()) if path.name not in listed]


def _hashes(folder: Path) -> dict[str, str]:
    path = folder / HASHES
    try:
        hashes = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SealError(
            f"{folder} has no {HASHES}; it was not written by Gatehouse, or is not there"
        ) from None
    except ValueError as error:
        raise SealError(f"{path} is not JSON: {error}") from error
    if not isinstance(hashes, dict):
        raise SealError(f"{path} does not map file names to hashes")
    for name in hashes:
        if Path(name).name != name:
            raise SealError(f"{path} names {name!r}, which is not a plain file name")
    return hashes


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
