"""Add a version to the registry: files first, verified; then branch, version and stage in one push.

Everything before the push happens in a temporary clone, and the push moves all of its refs or none. A kill
at any instant leaves a whole new version or none, and at most files in the remote that no version names.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipelines.children import dvc, git
from pipelines.errors import PublishError
from pipelines.registry import publication as publications
from pipelines.registry.cards import card_path
from pipelines.registry.download import fetch
from pipelines.registry.production import assign, champion_of, in_production
from pipelines.registry.publication import Publication
from pipelines.registry.repository import REMOTE, Registry, remote_section, without_password
from pipelines.registry.versions import Version, register, version_name, versions

ATTEMPTS = 6
"""Pushes before giving up. Each one that is refused means that somebody else's was not."""
_PAUSE = 0.1
"""Seconds; doubles with every attempt, and is drawn, so that two publishers fall out of step."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a publication.

    Attributes:
        version: the version that holds it.
        new: whether it was not there before.
        production: the version in production afterwards.
    """

    version: Version
    new: bool
    production: Version | None


def add_version(registry: Registry, trained: Path, publication: Publication) -> Outcome:
    """Make `trained` a version and put it into production, unless a later day is there.

    The same files of the same day are found, not added again, and production stays where it is: somebody may
    have gone back meanwhile. Where two publish at once, one push comes first, and the other's is made anew on
    top of it, unless the champion is another one by then.

    Raises:
        PublishError: the champion is not the one that `trained` was judged against, the registry cannot be
            read or written, or its remote gives back other files.
    """
    model = publication.model
    _make_local(registry)
    with registry.clone() as clone:
        found = _found(clone, publication)
        if found is not None:
            return Outcome(found, False, in_production(clone, model))
        _require_same_champion(clone, publication)
        _set_up(clone, registry)
        stored = _store(clone, trained, publication)
        for attempt in range(ATTEMPTS):
            version, refs = _prepare(clone, publication, stored)
            if attempt == 0:
                _require_fetchable(clone, version)
            try:
                registry.push(clone, "HEAD", *refs)
                return Outcome(version, True, in_production(clone, model))
            except PublishError as error:
                refused = error
            time.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311
            _catch_up(clone, refs)
            found = _found(clone, publication)
            if found is not None:
                return Outcome(found, False, in_production(clone, model))
            _require_same_champion(clone, publication)
    raise PublishError(
        f"{model} of {publication.ds} was not published: {registry} refused it {ATTEMPTS} times; "
        f"mend what it says and run `gatehouse publish` again ({refused})"
    ) from refused


@dataclass(frozen=True, slots=True)
class _Stored:
    """Files that are in the remote: DVC's pointer to them, and SHA-256 of their hashes.json."""

    pointer: bytes
    sealed: str


def _found(clone: Path, publication: Publication) -> Version | None:
    """The version of the same day and the same trained files."""
    for version in versions(clone, publication.model):
        if (version.ds, version.digest) == (publication.ds, publication.trained):
            return version
    return None


def _require_same_champion(clone: Path, publication: Publication) -> None:
    """Refuse a model whose verdict is against a version that it would not be judged against now."""
    judged, ds = publication.champion, publication.ds
    now = champion_of(clone, publication.model, ds, publication.trained)
    if (now and (now.name, now.digest)) != (judged and (judged.version, judged.hashes)):
        raise PublishError(
            f"{publication.model} of {ds} was judged against {judged.tag if judged else 'no champion'}, and "
            f"by now {now.tag if now else 'nobody'} is its champion; run `gatehouse promote --ds {ds}` again"
        )


def _make_local(registry: Registry) -> None:
    """Make the default registry's bare repository, aside and then renamed, on first use."""
    bare = Path(registry.url)
    if registry.local is None or bare.exists():
        return
    registry.local.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=registry.local, prefix=".new-") as aside:
        git("init", "--quiet", "--bare", "--initial-branch=main", "models.git", cwd=Path(aside))
        try:
            (Path(aside) / "models.git").rename(bare)
        except OSError:
            if not bare.exists():
                raise  # else another publisher was quicker


def _set_up(clone: Path, registry: Registry) -> None:
    """Make an empty clone a DVC repository with a remote."""
    folder = clone / ".dvc"
    if folder.is_dir():
        return
    if registry.remote is None:
        raise PublishError(f"{registry} is empty; set GATEHOUSE_REGISTRY_REMOTE to where its files shall go")
    folder.mkdir()
    # What `dvc init`, `dvc config` and `dvc remote add` write, without three starts of DVC.
    core = f"[core]\n    analytics = false\n    remote = {REMOTE}\n"
    (folder / "config").write_text(core + remote_section(without_password(registry.remote)), encoding="utf-8")
    (folder / "config.local").write_text(remote_section(registry.remote), encoding="utf-8")
    (folder / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")


def _store(clone: Path, trained: Path, publication: Publication) -> _Stored:
    """Put the model's files into the remote. No copy stays, so that only the remote can give them back."""
    path = f"models/{publication.model}"
    sealed = publications.write(publication, trained, clone / path)
    dvc("add", path, cwd=clone)
    dvc("push", f"{path}.dvc", cwd=clone)
    shutil.rmtree(clone / path)
    shutil.rmtree(clone / ".dvc" / "cache", ignore_errors=True)
    return _Stored((clone / f"{path}.dvc").read_bytes(), sealed)


def _prepare(clone: Path, publication: Publication, stored: _Stored) -> tuple[Version, list[str]]:
    """Commit and tag the next version in the clone; returns it and the tags to push."""
    model = publication.model
    known = versions(clone, model)
    standing = in_production(clone, model) or (known[-1] if known else None)
    number = known[-1].number + 1 if known else 1
    _commit(clone, publication, stored, version_name(number))
    commit = git("rev-parse", "HEAD", cwd=clone).strip()
    register(clone, Version(model, number, publication.ds, publication.trained, stored.sealed, commit, 0))
    version = versions(clone, model)[-1]
    if standing is not None and standing.ds > publication.ds:
        return version, [f"refs/tags/{version.tag}"]
    # The version's own tag last: should a machine go down while it writes them, whoever publishes again finds
    # no version, and makes one.
    return version, [f"refs/tags/{assign(clone, version)}", f"refs/tags/{version.tag}"]


def _commit(clone: Path, publication: Publication, stored: _Stored, name: str) -> None:
    """Put DVC's pointer and the publication under git; the latter can then be read without the remote."""
    model = publication.model
    (clone / "models").mkdir(exist_ok=True)
    (clone / "models" / f"{model}.dvc").write_bytes(stored.pointer)
    ignored = clone / "models" / ".gitignore"
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
    ignored.write_text("\n".join(sorted({*lines, f"/{model}"})) + "\n", encoding="utf-8")
    card = card_path(clone, model, name)
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text(publication.text(), encoding="utf-8")
    catalog = clone / "dvc.yaml"
    known = yaml.safe_load(catalog.read_text(encoding="utf-8")) if catalog.exists() else {}
    known.setdefault("artifacts", {})[model] = {
        "path": f"models/{model}",
        "type": "model",
        "desc": f"{model}, trained on the days up to {publication.ds}",
        "labels": ["ranker", "multi-scenario"],
    }
    catalog.write_text(yaml.safe_dump(known, sort_keys=True), encoding="utf-8")
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--allow-empty", "--message", f"Publish {model} of {publication.ds}", cwd=clone)


def _require_fetchable(clone: Path, version: Version) -> None:
    """Fetch the version back from the remote; the clone has no copy to help it."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-check-", ignore_cleanup_errors=True) as folder:
        fetch(clone, version, Path(folder) / "model")


def _catch_up(clone: Path, refs: list[str]) -> None:
    """Take over what the registry holds now, in place of what it refused."""
    for ref in refs:
        git("update-ref", "-d", ref, cwd=clone)
    git("fetch", "--quiet", "--tags", "--force", "origin", cwd=clone)
    branch = f"refs/remotes/origin/{git('branch', '--show-current', cwd=clone).strip()}"
    if git("for-each-ref", branch, cwd=clone):
        git("reset", "--quiet", "--hard", branch, cwd=clone)
