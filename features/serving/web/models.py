"""The model that ranks: another takes its place between two requests, once it has shown that it can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from pydantic import BaseModel, ConfigDict

from features.serving.ranking import Ranker
from features.serving.web.errors import RefusedError
from features.serving.web.lookups import Lookups
from features.serving.web.metrics import Metrics
from features.stores.errors import StoreError
from training.errors import ArtifactError

_LOOK = 0.5
"""Seconds between two looks at what is wanted: the read of a small file."""


class Model(BaseModel):
    """A published version that was fetched and verified.

    Attributes:
        reference: for example "pepnet@v3.0.0".
        folder: where its files are.
        digest: SHA-256 of its list of hashes.
    """

    model_config = ConfigDict(frozen=True)

    reference: str
    folder: Path
    digest: str


class Wanted(BaseModel):
    """Which version is to rank, and what is there to do so.

    Attributes:
        models: the wanted one first, then those that were served before it, newest first: should one not
            do, the next stands in.
        refused: a version that was wanted and whose files were not fetched or did not verify, to the reason.
        asked: when the registry last answered, seconds since 1970; None when it never did.
    """

    model_config = ConfigDict(frozen=True)

    models: tuple[Model, ...] = ()
    refused: dict[str, str] = {}
    asked: float | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version and what ranks with it; a request takes both at once, so an answer names what ranked it."""

    model: Model
    ranker: Ranker


class Models:
    """Holds the model that ranks, and changes it when another is wanted. Safe to share between threads.

    A request keeps the model it began with. Another is loaded and ranks an item on trial before requests
    see it; one that fails is refused once and for all, and the old one serves on.

    Args:
        wanted: says which version is to rank.
        lookups: the lookups of feature services.
        metrics: counts changes and refusals.
    """

    def __init__(self, wanted: Callable[[], Wanted], lookups: Lookups, metrics: Metrics) -> None:
        self.wanted = wanted
        self._lookups = lookups
        self._metrics = metrics
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._unfit: set[Model] = set()
        self._counted: set[str] = set()

    @property
    def reference(self) -> str | None:
        """The version that ranks now; None without one."""
        loaded = self._loaded
        return loaded.model.reference if loaded else None

    def current(self) -> Loaded:
        """The model to rank a request with.

        Raises:
            RefusedError: there is none.
            StoreError: there is one, and its lookup cannot be made.
        """
        if self._loaded is None:
            self.turn()  # what kept it from being loaded at the start may be over
        loaded = self._loaded
        if loaded is None:
            raise RefusedError(503, "no model is published that can be served; run `gatehouse publish`")
        return loaded

    def turn(self) -> None:
        """Change to the wanted model, where it is another and can rank.

        Raises:
            StoreError: its lookup cannot be made; that is not the model's fault, so it is tried again.
        """
        with self._lock:
            wanted = self.wanted()
            for reference in wanted.refused:
                self._count_refusal(reference)
            for model in wanted.models:
                if self._loaded is not None and self._loaded.model == model:
                    return
                if model not in self._unfit and self._change(model):
                    return

    @contextmanager
    def following(self) -> Iterator[None]:
        """Look again and again, in a thread of its own, until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(stop,), name="models", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(_LOOK):
            with suppress(StoreError):  # readiness says why
                self.turn()

    def _change(self, model: Model) -> bool:
        """Load `model`, and let requests see it; whether it can rank."""
        log = structlog.get_logger()
        try:
            ranker = _tried(Ranker(model.folder, self._lookups.of))
        except StoreError:
            raise
        except Exception as error:  # whatever is wrong with a model must not end the service of the old one
            self._unfit.add(model)
            self._count_refusal(model.reference)
            log.error("model refused", model=model.reference, serving=self.reference, reason=str(error))
            return False
        before, self._loaded = self.reference, Loaded(model, ranker)
        self._metrics.model(model.reference, before)
        log.info("model changed", model=model.reference, before=before)
        return True

    def _count_refusal(self, reference: str) -> None:
        """Count a version that is not taken, once."""
        if reference not in self._counted:
            self._counted.add(reference)
            self._metrics.refusal(reference)


def _tried(ranker: Ranker) -> Ranker:
    """`ranker`, having ranked an item that nobody knows.

    Raises:
        ArtifactError: a score is not a number.
    """
    ranking = ranker.rank(scenario="trial", user="trial", items=["trial"])
    if not np.isfinite(ranking.scores).all():
        raise ArtifactError("its scores are not numbers; train it anew")
    return ranker
