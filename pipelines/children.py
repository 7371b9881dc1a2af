"""Run git and DVC as child processes, with settings of their own and readable failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.errors import PublishError

AUTHOR = "Gatehouse"
AUTHOR_EMAIL = "gatehouse@localhost"
_REASONS = ("error:", "fatal:", "! [", "remote:")  # of git and DVC, and of a registry that refuses a push
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


def git(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> str:
    """Run git in `cwd`, with `environment` besides its own, for so many seconds; return what it printed.

    Raises:
        PublishError: git failed, and the message holds its last lines; or it took longer.
    """
    return _run(("git", *arguments), f"git {arguments[0]}", cwd, environment or {}, seconds)


def dvc(*arguments: str, cwd: Path) -> str:
    """Run the DVC of this environment in the repository `cwd` and return what it printed.

    Raises:
        PublishError: DVC failed; the message holds its last lines.
    """
    # Not --quiet: it hides the reason of a failure, and what DVC prints is captured anyhow.
    # Its notes on a repository go into that one: those on temporary clones would pile up in /var/tmp.
    notes = {"DVC_SITE_CACHE_DIR": str(cwd / ".dvc" / "tmp" / "site")}
    return _run((sys.executable, "-m", "dvc", *arguments), f"dvc {arguments[0]}", cwd, notes)


def without_credentials(text: str) -> str:
    """`text` with user names and tokens taken out of its URLs, fit for logs."""
    return _USERINFO.sub("", text)


def _run(
    command: Sequence[str],
    shown: str,
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float | None = None,
) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**_environment(), **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise PublishError(f"`{shown}` was given up after {seconds:.0f} s") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in map(str.strip, lines) if line.lower().startswith(_REASONS)]
        said = " / ".join(errors or lines[-4:])
        raise PublishError(without_credentials(f"`{shown}` failed: {said or 'no message'}"))
    return done.stdout


def _environment() -> dict[str, str]:
    """The environment without what a surrounding git hook or DVC stage set for its own repository.

    The identity is Gatehouse's, so that no global git configuration is needed, and nothing waits
    for a password that nobody is there to type.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))}
    kept |= {name: os.environ[name] for name in _CHOSEN_BY_THE_OPERATOR if name in os.environ}
    return kept | {
        "GIT_AUTHOR_NAME": AUTHOR,
        "GIT_AUTHOR_EMAIL": AUTHOR_EMAIL,
        "GIT_COMMITTER_NAME": AUTHOR,
        "GIT_COMMITTER_EMAIL": AUTHOR_EMAIL,
        "GIT_TERMINAL_PROMPT": "0",
        "DVC_NO_ANALYTICS": "1",
    }


_CHOSEN_BY_THE_OPERATOR = (
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_ASKPASS",
    "DVC_GLOBAL_CONFIG_DIR",
    "DVC_SYSTEM_CONFIG_DIR",
)
