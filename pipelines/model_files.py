"""The files of a trained model and the hashes it carries, checked wherever a model changes hands."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import PublishError
from pipelines.manifest import sha256_of
from training.sealed import DATA_ONLY, HASHES, unlisted, verify


def verified_digest(folder: Path) -> str:
    """Verify every file of the model in `folder`, and return the SHA-256 of its list of hashes.

    The list, hashes.json, maps each other file to its SHA-256, so the one digest stands for the whole model.

    Raises:
        SealError: a file is missing or altered, or there is no list.
        PublishError: there is a file that is not listed, or one of a format that can carry code.
    """
    verify(folder)
    for path in sorted(folder.iterdir()):
        if path.suffix not in DATA_ONLY or not path.is_file() or path.is_symlink():
            raise PublishError(f"{path} is refused: a model consists of {', '.join(sorted(DATA_ONLY))} files")
    for path in unlisted(folder):
        raise PublishError(f"{path} is not listed in {HASHES}; remove it, or train or pull the model again")
    return sha256_of(folder / HASHES)


def replaceable(target: Path) -> bool:
    """Whether `target` may be replaced: it is absent, an empty folder, or a sealed one of Gatehouse's."""
    free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    return free or (target / HASHES).is_file()
