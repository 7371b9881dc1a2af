"""A partition's manifest: which files it consists of, what they hold and what they were made from."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

MANIFEST = "_manifest.json"


class DataFile(BaseModel):
    """One Parquet file, named after its content.

    Attributes:
        name: file name within the partition.
        sha256: hex digest of its bytes.
        size: bytes.
        rows: row count.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    sha256: str
    size: int
    rows: int


class Manifest(BaseModel):
    """What a partition holds. It carries no clock, so the same inputs give the same bytes.

    Attributes:
        table: for example "features/user_engagement".
        ds: the day as ISO text, or null for a table without days.
        files: the data files, in order.
        inputs: what it was made from: partition to content hash.
        code: version of Gatehouse that wrote it.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    ds: str | None
    files: tuple[DataFile, ...]
    inputs: dict[str, str] = {}
    code: str = version("gatehouse")

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def content(self) -> str:
        """Hash of all data, 16 hex digits."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(file.sha256.encode())
        return digest.hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
