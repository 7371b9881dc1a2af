"""Publish: make a model that was promoted a new version of the registry, and put it into production."""

from __future__ import annotations

import json
from datetime import date

from features.declarations.names import checked_name
from pipelines.errors import GateError, PublishError
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.observing.console import console, stage
from pipelines.promotion.verdict import Promotion, promotion_path
from pipelines.registry import Registry, Version
from pipelines.registry.publication import describe
from pipelines.registry.publishing import add_version
from pipelines.settings import Settings


def publish(settings: Settings, ds: date) -> Version:
    """Publish the model that params.yaml names, trained on the run ending on `ds`.

    Publishing the same files for the same day again finds the version that is there. A model of an earlier
    day than the one in production becomes a version, and production stays where it is.

    Raises:
        ArtifactError: the model has no card.
        GateError: the model was not promoted.
        MissingPartitionError: it was not judged.
        PublishError: other files were judged, or against a version that is the champion no longer; or the
            registry cannot be written.
        SealError: the model is not there, or not whole.
    """
    model = checked_name(settings.params.publish.model, "model")
    with stage(settings, "publish", ds) as facts:
        folder = settings.models / model / f"ds={ds}"
        digest = verified_digest(folder)
        _require_passed(settings, model, ds, digest)
        registry = Registry.of(settings)
        outcome = add_version(registry, folder, describe(settings, model, ds, digest))
        version, production = outcome.version, outcome.production
        note = {
            "model": model,
            "version": version.name,
            "ds": version.ds,
            "commit": version.commit,
            "hashes": version.digest,
        }
        path = settings.home / "registry" / settings.dataset / "published.json"
        write_whole(path, json.dumps(note, indent=2) + "\n")
        facts |= {
            "model": version.tag,
            "new": outcome.new,
            "production": production.tag if production else None,
            "registry": str(registry),
        }
    if production is not None and production != version:
        console.print(
            f"{version.tag} of {version.ds} is published; "
            f"{production.tag} of {production.ds} stays in production"
        )
    return version


def _require_passed(settings: Settings, model: str, ds: date, digest: str) -> None:
    promotion = Promotion.load(promotion_path(settings, ds))
    if (promotion.model, promotion.hashes) != (model, digest):
        raise PublishError(
            f"the verdict of {ds} is on other files than those of {model} there now; "
            f"run `gatehouse evaluate --ds {ds}` and `gatehouse promote --ds {ds}` again"
        )
    if not promotion.passed:
        raise GateError(f"{model} of {ds} was not promoted: {'; '.join(promotion.reasons)}")
