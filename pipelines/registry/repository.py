"""Where versions are kept: the git repository of the registry, its DVC remote, and temporary clones of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pipelines.children import git, without_credentials
from pipelines.errors import PublishError, SettingsError
from pipelines.settings import Settings

REMOTE = "storage"
LOCK_SECONDS = 60
"""A push that takes longer than this is stuck."""


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
        """The registry that `settings` name.

        Raises:
            SettingsError: the remote cannot be written into DVC's configuration.
        """
        remote = settings.registry_remote
        if remote is not None and "://" not in remote:
            remote = str(Path(remote).resolve())
        if settings.registry is not None:
            path = Path(settings.registry)
            return cls(str(path.resolve()) if path.exists() else settings.registry, _quotable(remote), None)
        folder = settings.home.resolve() / "registry" / settings.dataset
        return cls(str(folder / "models.git"), _quotable(remote or str(folder / "remote")), folder)

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
                (clone / ".dvc" / "config.local").write_text(remote_section(self.remote), encoding="utf-8")
            yield clone

    def push(self, clone: Path, *refs: str) -> None:
        """Push all of `refs` from a clone of the registry, or none.

        Raises:
            PublishError: git refused it.
        """
        with self._alone():
            git("push", "--quiet", "--atomic", "origin", *refs, cwd=clone)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """In the default registry one push at a time; what git has locked there now, a killed push left."""
        if self.local is None:
            yield
            return
        with FileLock(self.local / "push.lock", timeout=LOCK_SECONDS):
            bare = Path(self.url)
            for lock in (*bare.glob("*.lock"), *(bare / "refs").rglob("*.lock")):
                lock.unlink(missing_ok=True)
            yield

    def __str__(self) -> str:
        return without_credentials(self.url)


def require_begun(registry: Registry) -> None:
    """Refuse the default registry before its first version.

    Raises:
        PublishError: nothing was published to it.
    """
    if registry.local is not None and not Path(registry.url).exists():
        raise PublishError(f"nothing was published to {registry} yet; run `gatehouse publish` first")


def remote_section(url: str) -> str:
    """The section of DVC's configuration that says where the remote is."""
    # Quoted, because DVC would read a comma as a list and a # as a comment.
    return f'[\'remote "{REMOTE}"\']\n    url = "{url}"\n'


def without_password(url: str) -> str:
    """The remote's address as git may keep it: of its user and password there stays at most ssh's user."""
    userinfo = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return url if url.startswith("ssh://") and ":" not in userinfo else without_credentials(url)


def _quotable(url: str | None) -> str | None:
    if url is not None and ('"' in url or "\n" in url):
        raise SettingsError(f"the registry's remote {url!r} holds a quotation mark; give it another name")
    return url
