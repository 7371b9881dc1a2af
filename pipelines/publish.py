"""Make a model that passed evaluation a new version of the registry; the tag comes last.

Everything before the final push happens in a temporary clone, and that push moves branch and tag
together or not at all. A kill at any instant leaves either no new version or a whole one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path

import gto.api
import yaml
from filelock import FileLock

from features.declarations.names import checked_name
from pipelines.children import AUTHOR, AUTHOR_EMAIL, dvc, git
from pipelines.console import stage
from pipelines.errors import GateError, PublishError
from pipelines.evaluation import Evaluation
from pipelines.files import write_whole
from pipelines.model_files import verified_digest
from pipelines.registry import REMOTE, Registry, Version, fetch, versions
from pipelines.settings import Settings

LOCK_SECONDS = 600


def publish(settings: Settings, ds: date) -> Version:
    """Publish the model that params.yaml names, trained on the run ending on `ds`.

    Publishing the same files for the same day again finds the version that is there.

    Raises:
        GateError: the model did not pass evaluation.
        MissingPartitionError: it was not evaluated.
        PublishError: other files were evaluated, or the registry cannot be written.
        SealError: the model is not there, or not whole.
    """
    model = checked_name(settings.params.publish.model, "model")
    with stage(settings, "publish", ds) as facts:
        folder = settings.models / model / f"ds={ds}"
        _require_passed(settings, model, ds, verified_digest(folder))
        registry = Registry.of(settings)
        with _lock(registry):
            version, new = _published(registry, folder, model, ds)
        note = {
            "model": model,
            "version": version.name,
            "ds": version.ds,
            "commit": version.commit,
            "hashes": version.digest,
        }
        path = settings.home / "registry" / settings.dataset / "published.json"
        write_whole(path, json.dumps(note, indent=2) + "\n")
        facts |= {"model": version.tag, "new": new, "registry": str(registry)}
    return version


def _require_passed(settings: Settings, model: str, ds: date, digest: str) -> None:
    evaluation = Evaluation.load(settings.evaluation / f"ds={ds}.json")
    verdict = evaluation.verdict
    if (verdict.model, evaluation.hashes) != (model, digest):
        raise PublishError(
            f"the evaluation of {ds} judged other files than those of {model} there now; "
            f"run `gatehouse evaluate --ds {ds}` again"
        )
    if not verdict.passed:
        raise GateError(f"{model} of {ds} did not pass evaluation: {'; '.join(verdict.reasons)}")


def _lock(registry: Registry) -> AbstractContextManager[object]:
    """One publisher at a time on this machine; elsewhere git refuses the push of the slower one."""
    if registry.local is None:
        return nullcontext()
    registry.local.mkdir(parents=True, exist_ok=True)
    return FileLock(registry.local / "publish.lock", timeout=LOCK_SECONDS)


def _published(registry: Registry, folder: Path, model: str, ds: date) -> tuple[Version, bool]:
    """The version that holds `folder`, and whether it is new."""
    digest = verified_digest(folder)
    _make_local(registry)
    _unlock(registry)
    with registry.clone() as clone:
        known = versions(clone, model)
        for version in known:
            if (version.ds, version.digest) == (str(ds), digest):
                return version, False
        _set_up(clone, registry)
        _commit(clone, folder, model, ds)
        commit = git("rev-parse", "HEAD", cwd=clone).strip()
        version = Version(model, known[-1].number + 1 if known else 1, str(ds), digest, commit)
        dvc("push", f"models/{model}.dvc", cwd=clone)
        _require_fetchable(clone, version)
        _tag_and_push(clone, version)
        return version, True


def _make_local(registry: Registry) -> None:
    """Make the default registry's bare repository, aside and then renamed, on first use."""
    bare = Path(registry.url)
    if registry.local is None or bare.exists():
        return
    with tempfile.TemporaryDirectory(dir=registry.local) as aside:
        git("init", "--quiet", "--bare", "--initial-branch=main", "models.git", cwd=Path(aside))
        (Path(aside) / "models.git").rename(bare)


def _unlock(registry: Registry) -> None:
    """Remove the locks of git's that a killed push has left behind; by `_lock` nobody else is pushing now."""
    if registry.local is not None:
        bare = Path(registry.url)
        for lock in (*bare.glob("*.lock"), *(bare / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)


def _set_up(clone: Path, registry: Registry) -> None:
    """Make an empty clone a DVC repository with a remote."""
    if (clone / ".dvc").is_dir():
        return
    if registry.remote is None:
        raise PublishError(f"{registry} is empty; set GATEHOUSE_REGISTRY_REMOTE to where its files shall go")
    dvc("init", cwd=clone)
    dvc("config", "core.analytics", "false", cwd=clone)
    dvc("remote", "add", "--default", REMOTE, registry.remote, cwd=clone)


def _commit(clone: Path, folder: Path, model: str, ds: date) -> None:
    """Put the model's files under DVC and their pointer under git."""
    target = clone / "models" / model
    shutil.copytree(folder, target)
    dvc("add", f"models/{model}", cwd=clone)
    catalog = clone / "dvc.yaml"
    known = yaml.safe_load(catalog.read_text(encoding="utf-8")) if catalog.exists() else {}
    known.setdefault("artifacts", {})[model] = {
        "path": f"models/{model}",
        "type": "model",
        "desc": f"{model}, trained on the days up to {ds}",
        "labels": ["ranker", "multi-scenario"],
    }
    catalog.write_text(yaml.safe_dump(known, sort_keys=True), encoding="utf-8")
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--allow-empty", "--message", f"Publish {model} of {ds}", cwd=clone)


def _require_fetchable(clone: Path, version: Version) -> None:
    """Fetch the version back from the remote into a fresh clone, which has no cache to help it."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-check-", ignore_cleanup_errors=True) as folder:
        fresh = Path(folder) / "fresh"
        git("clone", "--quiet", "--", str(clone), str(fresh), cwd=Path(folder))
        local = clone / ".dvc" / "config.local"
        if local.exists():
            shutil.copy(local, fresh / ".dvc" / "config.local")
        fetch(fresh, version, Path(folder) / "model")


def _tag_and_push(clone: Path, version: Version) -> None:
    gto.api.register(
        str(clone), version.model, version.commit, version=version.name, message=version.message,
        author=AUTHOR, author_email=AUTHOR_EMAIL, stdout=False,
    )  # fmt: skip
    try:
        git("push", "--quiet", "--atomic", "origin", "HEAD", f"refs/tags/{version.tag}", cwd=clone)
    except PublishError as error:
        raise PublishError(
            f"{version.tag} was not published, run `gatehouse publish` again; "
            f"somebody else may have published meanwhile ({error})"
        ) from error
