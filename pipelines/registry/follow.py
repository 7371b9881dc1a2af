"""Follow the registry: have the version that stands on prod fetched, verified and ready for the service."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from filelock import FileLock
from pydantic import ValidationError

from features.declarations.errors import GatehouseError
from features.declarations.names import checked_name
from features.serving.web.models import Model, Wanted
from pipelines.errors import PublishError
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.registry import newest_reference, production_reference, pull
from pipelines.settings import Settings

_KEPT = 5
"""Versions whose files stay: the one that is wanted, and those that a rollback is likely to want."""
_AGAIN = 60.0
"""Seconds until a version that did not verify is fetched again; somebody may have mended the storage."""
_JOIN = 5.0
"""Seconds that stopping waits for a fetch; one that is cut off leaves no folder that a service would take."""


class Follower:
    """Asks the registry which version is wanted, and notes in a file what the workers are to serve.

    The file outlives the service: one that starts while the registry is away serves what was served last.

    Args:
        settings: say where the registry is, and which model is served.
        clock: seconds that only go forward.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._model = checked_name(settings.params.publish.model, "model")
        self._pulled = settings.runs / "pulled"
        self.note = self._pulled / "wanted.json"
        self._wanted = Wanted(models=tuple(filter(self._is_whole, read_wanted(self.note).models)))
        self._ready: str | None = None
        self._failed: tuple[str, float] | None = None
        self._said = ""

    def turn(self) -> None:
        """Ask once, and have what is wanted ready; whatever goes wrong, what is served stays."""
        try:
            reference = self._asked()
            if reference != self._ready:
                self._make_ready(reference)
            self._write(self._wanted.model_copy(update={"asked": time.time()}))
            self._said = ""
        except (PublishError, OSError) as error:
            if str(error) != self._said:  # once, not every few seconds
                self._said = str(error)
                structlog.get_logger().warning("which model to serve is unknown", reason=str(error))
            self._write(self._wanted)

    def _asked(self) -> str:
        """What prod stands on, else the newest version.

        Raises:
            PublishError: the registry does not answer, or has no version.
        """
        found = production_reference(self._settings, self._model)
        return found or newest_reference(self._settings, self._model)

    def _make_ready(self, reference: str) -> None:
        """Fetch and verify a version, and want it; one that does not verify is noted as refused."""
        if self._failed and self._failed[0] == reference and self._clock() < self._failed[1]:
            return
        folder = self._pulled / reference.replace("@", "-")
        try:
            self._pulled.mkdir(parents=True, exist_ok=True)
            with FileLock(self._pulled / ".lock"):  # another service of this home may fetch it too
                pull(self._settings, reference, folder)
            model = Model(reference=reference, folder=folder, digest=verified_digest(folder))
        except GatehouseError as error:
            self._failed = (reference, self._clock() + _AGAIN)
            self._wanted = self._wanted.model_copy(update={"refused": {reference: str(error)}})
            structlog.get_logger().error("model refused", model=reference, reason=str(error))
            return
        self._ready, self._failed = reference, None
        models = (model, *(other for other in self._wanted.models if other.reference != reference))
        self._wanted = Wanted(models=models[:_KEPT])
        self._write(self._wanted)
        for forgotten in models[_KEPT:]:
            shutil.rmtree(forgotten.folder, ignore_errors=True)

    def _is_whole(self, model: Model) -> bool:
        """Whether the files of an earlier run are still there, and those that were verified."""
        try:
            own = model.reference.partition("@")[0] == self._model
            return own and verified_digest(model.folder) == model.digest
        except (GatehouseError, OSError):
            return False

    def _write(self, wanted: Wanted) -> None:
        self._wanted = wanted
        write_whole(self.note, wanted.model_dump_json(indent=2) + "\n")


def read_wanted(note: Path) -> Wanted:
    """What a `Follower` noted; nothing when there is no note, or none that this version writes."""
    try:
        return Wanted.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return Wanted()


@contextmanager
def following(settings: Settings) -> Iterator[Path]:
    """Follow the registry in a thread until the block ends; yields the note, once it was asked."""
    follower = Follower(settings)
    follower.turn()
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(settings.model_poll_seconds):
            follower.turn()

    thread = threading.Thread(target=follow, name="follow", daemon=True)
    thread.start()
    try:
        yield follower.note
    finally:
        stop.set()
        thread.join(_JOIN)
