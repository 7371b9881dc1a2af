"""The files of a trained model and the hashes it carries, checked wherever a model changes hands."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.errors import PublishError
from pipelines.manifest import sha256_of

HASHES = "hashes.json"
# A pickle runs code when it is loaded, so a published model holds formats that only hold data.
_DATA_ONLY = frozenset({".csv", ".json", ".md", ".npy", ".safetensors"})


def verified_digest(folder: Path) -> str:
    """Hash every file of the model in `folder`, and return the SHA-256 of its list of hashes.

    hashes.json maps each other file's relative path to its SHA-256, so the one digest stands for
    the whole model.

    Raises:
        PublishError: a file is missing, additional, altered, a link or of a format that can carry code.
    """
    try:
        listed = json.loads((folder / HASHES).read_bytes())
    except FileNotFoundError:
        raise PublishError(
            f"{folder} is not a whole model: it has no {HASHES}; train or pull it again"
        ) from None
    except ValueError as error:
        raise PublishError(f"{folder / HASHES} is not valid JSON ({error}); train or pull it again") from None
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    del present[HASHES]
    for name, path in sorted(present.items()):
        if path.suffix not in _DATA_ONLY or path.is_symlink():
            raise PublishError(
                f"{path} is refused: a model consists of {', '.join(sorted(_DATA_ONLY))} files"
            )
        if name not in listed:
            raise PublishError(
                f"{path} is not listed in {HASHES}; remove it, or train or pull the model again"
            )
        if sha256_of(path) != listed[name]:
            raise PublishError(
                f"{path} was altered: its hash is not the one in {HASHES}; train or pull it again"
            )
    if missing := sorted(set(listed) - set(present)):
        raise PublishError(f"{folder} lacks {', '.join(missing)}; train or pull the model again")
    return sha256_of(folder / HASHES)
