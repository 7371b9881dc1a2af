"""The model registry: a git repository of DVC-tracked model folders, where a GTO tag is a version.

Any git and DVC client can read it: `git tag` lists the versions, and
`dvc artifacts get REGISTRY pepnet --rev v3.0.0` fetches one.
See https://dvc.org/doc/gto for the tags.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from features.declarations.names import checked_name
from pipelines.children import dvc, git, without_credentials
from pipelines.errors import PublishError
from pipelines.model_files import replaceable, verified_digest
from pipelines.settings import Settings
from training.sealed import SealError

LATEST = "latest"
PROD = "prod"
REMOTE = "storage"
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})(\.0\.0)?\Z")
_ANSWER_SECONDS = 60.0
"""A service asks for the tags again and again; a server that says nothing must not keep it from that."""
_ASSIGNED = re.compile(r"#(0|[1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of a model.

    Attributes:
        model: for example "pepnet".
        number: 3 for the tag pepnet@v3.0.0.
        ds: last day of the run that made it, ISO text.
        digest: SHA-256 of its hashes.json.
        commit: the registry's commit.
    """

    model: str
    number: int
    ds: str
    digest: str
    commit: str

    @property
    def name(self) -> str:
        """GTO's name of the version; GTO asks for three numbers, of which only the first counts up."""
        return f"v{self.number}.0.0"

    @property
    def tag(self) -> str:
        return f"{self.model}@{self.name}"

    @property
    def message(self) -> str:
        """The tag's message: what `versions` reads back."""
        return f"{self.model} of {self.ds}\n\nds: {self.ds}\nhashes: {self.digest}"


@dataclass(frozen=True, slots=True)
class Registry:
    """Where versions are kept.

    Attributes:
        url: git URL or path.
        remote: DVC remote; None leaves it to the repository's own configuration.
        local: the folder of the default registry, which is made on first use; None for a given one.
    """

    url: str
    remote: str | None
    local: Path | None

    @classmethod
    def of(cls, settings: Settings) -> Registry:
        """The registry that `settings` name."""
        remote = settings.registry_remote
        if remote is not None and "://" not in remote:
            remote = str(Path(remote).resolve())
        if settings.registry is not None:
            path = Path(settings.registry)
            return cls(str(path.resolve()) if path.exists() else settings.registry, remote, None)
        folder = settings.home.resolve() / "registry" / settings.dataset
        return cls(str(folder / "models.git"), remote or str(folder / "remote"), folder)

    @contextmanager
    def clone(self) -> Iterator[Path]:
        """A temporary clone of the registry, set to its DVC remote.

        Raises:
            PublishError: there is no such registry, or it cannot be reached.
        """
        with tempfile.TemporaryDirectory(prefix="gatehouse-registry-", ignore_cleanup_errors=True) as folder:
            clone = Path(folder) / "models"
            git("clone", "--quiet", "--", self.url, str(clone), cwd=Path(folder))
            if self.remote is not None and (clone / ".dvc").is_dir():
                dvc("config", "--local", f"remote.{REMOTE}.url", self.remote, cwd=clone)
            yield clone

    def __str__(self) -> str:
        return without_credentials(self.url)


def versions(clone: Path, model: str) -> list[Version]:
    """Published versions of `model` in a clone of the registry, oldest first."""
    lines = git(
        "for-each-ref", f"refs/tags/{model}@*", "--format=%(refname:short)%00%(*objectname)%00%(contents)%01",
        cwd=clone,
    )  # fmt: skip
    found = []
    for record in filter(None, (part.strip() for part in lines.split("\x01"))):
        tag, commit, message = record.split("\x00")
        number = _number(tag.removeprefix(f"{model}@"))
        if number is None:
            continue  # a tag that is not one of Gatehouse's versions
        facts = dict(line.split(": ", 1) for line in message.splitlines() if ": " in line)
        found.append(Version(model, number, facts.get("ds", ""), facts.get("hashes", ""), commit))
    return sorted(found, key=lambda version: version.number)


def in_production(clone: Path, model: str) -> Version | None:
    """The version that the newest of GTO's `MODEL#prod#N` tags in a clone stands on; None without one."""
    lines = git(
        "for-each-ref", f"refs/tags/{model}#{PROD}#*", "--format=%(refname:short) %(*objectname)", cwd=clone
    ).split()
    return _assigned(dict(zip(lines[::2], lines[1::2], strict=True)), versions(clone, model))


def _assigned(commits: Mapping[str, str], published: Sequence[Version]) -> Version | None:
    """The version on the commit of the tag that counts highest; tags map to their commits."""
    counted = {int(match[1]): commits[tag] for tag in commits if (match := _ASSIGNED.search(tag))}
    if not counted:
        return None
    return next((version for version in published if version.commit == counted[max(counted)]), None)


def production_reference(settings: Settings, model: str) -> str | None:
    """What `prod` stands on, for example "pepnet@v3.0.0"; None without one. It needs no clone.

    Raises:
        PublishError: the registry cannot be reached.
    """
    commits = _listed(settings, model)
    found = _assigned({tag: commits[tag] for tag in commits if f"#{PROD}#" in tag}, _numbered(model, commits))
    return found.tag if found else None


def newest_reference(settings: Settings, model: str) -> str:
    """The newest version, for example "pepnet@v3.0.0". It needs no clone.

    Raises:
        PublishError: the registry cannot be reached, or the model was never published.
    """
    known = _numbered(model, _listed(settings, model))
    if not known:
        raise PublishError(f"{Registry.of(settings)} has no model {model}; run `gatehouse publish` first")
    return max(known, key=lambda version: version.number).tag


def _listed(settings: Settings, model: str) -> dict[str, str]:
    """The tags of `model` in the registry, each with its commit."""
    checked_name(model, "model")
    registry = Registry.of(settings)
    _require_begun(registry)
    listed = git(
        "ls-remote", "--tags", "--", registry.url, f"{model}[@#]*", cwd=Path.cwd(), seconds=_ANSWER_SECONDS
    )
    words = listed.split()
    return {
        name.removeprefix("refs/tags/").removesuffix("^{}"): commit
        for commit, name in zip(words[::2], words[1::2], strict=True)
        if name.endswith("^{}")
    }


def _numbered(model: str, commits: Mapping[str, str]) -> list[Version]:
    """The versions among tags, without what only a clone tells of them."""
    numbered = {tag: _number(tag.removeprefix(f"{model}@")) for tag in commits}
    return [
        Version(model, number, "", "", commits[tag]) for tag, number in numbered.items() if number is not None
    ]


def pull(settings: Settings, reference: str, into: Path | None = None) -> Path:
    """Fetch a published model and verify every file.

    Args:
        settings: say where the registry is.
        reference: "pepnet" or "pepnet@latest" for the newest version, "pepnet@v3.0.0" or
            "pepnet@v3" for that one.
        into: target folder, ./NAME by default. An earlier pull there is replaced, unless it holds the
            very files, which are verified then and not fetched.

    Returns:
        The target folder.

    Raises:
        PublishError: no such model or version, the target is in use, or the files are not those
            that were published.
    """
    model, wanted = _parsed(reference)
    target = (into or Path(model)).resolve()
    if not replaceable(target):
        raise PublishError(f"{target} exists and is not a model; name another folder with --into")
    registry = Registry.of(settings)
    _require_begun(registry)
    with registry.clone() as clone:
        version = _chosen(clone, registry, model, wanted)
        if _holds(target, version):
            return target
        aside = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch(clone, version, aside)
            _put_in_place(aside, target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _holds(folder: Path, version: Version) -> bool:
    """Whether `folder` has exactly the files of `version`, from an earlier pull."""
    try:
        return verified_digest(folder) == version.digest
    except (PublishError, SealError):
        return False


def fetch(clone: Path, version: Version, into: Path) -> None:
    """Copy `version` from the DVC remote to the new folder `into`, and verify it against its tag.

    Raises:
        PublishError: the remote does not hold exactly what was published.
    """
    local = clone / ".dvc" / "config.local"
    config = ("--config", str(local)) if local.exists() else ()
    path = f"models/{version.model}"
    dvc("get", *config, "--rev", version.commit, "--out", str(into), ".", path, cwd=clone)
    digest = verified_digest(into)
    if digest != version.digest:
        raise PublishError(
            f"the files of {version.tag} are not those its tag names (hashes {digest[:12]} instead of "
            f"{version.digest[:12] or 'none'}); do not use them: the storage was changed after publishing"
        )


def _parsed(reference: str) -> tuple[str, int | None]:
    """Model and version number of a reference; None for the latest."""
    model, at, version = reference.partition("@")
    checked_name(model, "model")
    if not at or version == LATEST:
        return model, None
    number = _number(version)
    if number is None:
        raise PublishError(f"{reference!r} names no version; write {model}@{LATEST} or {model}@v3.0.0")
    return model, number


def _number(version: str) -> int | None:
    match = _VERSION.match(version)
    return int(match[1]) if match else None


def _chosen(clone: Path, registry: Registry, model: str, wanted: int | None) -> Version:
    published = versions(clone, model)
    if not published:
        tags = git("tag", "--list", "*@v*", cwd=clone).split()
        models = ", ".join(sorted({tag.partition("@")[0] for tag in tags})) or "no model yet"
        raise PublishError(f"{registry} has no model {model}; it has {models}")
    if wanted is None:
        return published[-1]
    for version in published:
        if version.number == wanted:
            return version
    known = ", ".join(version.name for version in published)
    raise PublishError(f"{registry} has no version v{wanted}.0.0 of {model}; it has {known}")


def _require_begun(registry: Registry) -> None:
    if registry.local is not None and not registry.local.exists():
        raise PublishError(f"nothing was published to {registry} yet; run `gatehouse publish` first")


def _put_in_place(aside: Path, target: Path) -> None:
    """Rename `aside` to `target`; what was there before is moved away first and then removed."""
    if not target.exists():
        aside.rename(target)
        return
    old = aside.with_name(f"{aside.name}.old")
    target.rename(old)
    try:
        aside.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
