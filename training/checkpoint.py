"""Checkpoints: a run's whole state, written aside and renamed, bound to what the run was told."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from features.files import sole_owner
from training.errors import BusyError


def identity_of(**facts: object) -> str:
    """64 hex digits that change when any of the facts (JSON values) does."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Checkpoint:
    """One file that always holds the newest complete state of one run.

    Args:
        path: the file.
        identity: of everything the run's result depends on; a state with another one is ignored.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Let no other process save, continue or remove the state until the block ends.

        Raises:
            BusyError: another one does so now.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_owner(self._path.with_suffix(".lock"), wait=False))
            except BlockingIOError:
                raise BusyError(
                    f"another process is training into {self._path}; wait until it has ended, or stop it"
                ) from None
            yield

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the stored state; a kill at any instant leaves the old one or the new one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        with draft.open("wb") as stream:
            torch.save({"identity": self._identity, "state": dict(state)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self._path)

    def load(self) -> dict[str, Any] | None:
        """The stored state, on the CPU; None if there is none, it is damaged or belongs to another run.

        Only tensors and plain containers are read; a file that asks for more counts as damaged.
        """
        try:
            stored = torch.load(self._path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile):
            return None
        if not isinstance(stored, dict) or stored.get("identity") != self._identity:
            return None
        state: dict[str, Any] = stored["state"]
        return state

    def remove(self) -> None:
        """Forget the state, once the run's result is stored."""
        self._path.unlink(missing_ok=True)
