"""Where events go: a line of a file, and an OpenLineage endpoint if one is named.

A file holds the events of the runs of one last day, whichever stages they are of. The endpoint is
told in the background and waited for a second at most, so a stage neither fails nor dawdles because of it.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from base64 import b64encode
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

import structlog
from filelock import FileLock

from pipelines.days import Days
from pipelines.lineage.facets import Json
from pipelines.settings import Settings

OFF = "off"
DEFAULT_PATH = "/api/v1/lineage"
SECONDS = 1.0


def events_folder(settings: Settings) -> Path | None:
    """Where events are kept: the folder that GATEHOUSE_LINEAGE names, else the run notes'; None if off."""
    if settings.lineage == OFF:
        return None
    if settings.lineage is None or _is_url(settings.lineage):
        return settings.runs / "lineage"
    return settings.home / settings.lineage


class Outbox:
    """Sends the events of one run of a stage."""

    def __init__(self, settings: Settings, days: Days) -> None:
        folder = events_folder(settings)
        self._file = None if folder is None else folder / f"ds={days.end}.jsonl"
        self._url = settings.lineage if settings.lineage and _is_url(settings.lineage) else None
        self._posts: list[threading.Thread] = []

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def put(self, event: Json) -> None:
        """Write the event down, and begin to post it."""
        line = json.dumps(event, sort_keys=True)
        if self._file is not None:
            _append(self._file, line)
        if self._url is not None:
            post = threading.Thread(target=_post, args=(self._url, line), daemon=True)
            post.start()
            self._posts.append(post)

    def wait(self) -> None:
        """Give what is being posted a last second; what is not delivered by then is in the file."""
        deadline = time.monotonic() + SECONDS
        for post in self._posts:
            post.join(max(0.0, deadline - time.monotonic()))


def _append(path: Path, line: str) -> None:
    """Add a line in one piece; half a line that a killed process left is closed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(".lock"), timeout=SECONDS), path.open("ab+") as stream:
        whole = stream.seek(0, os.SEEK_END) == 0 or _last_byte(path) == b"\n"
        stream.write((line if whole else f"\n{line}").encode() + b"\n")


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1)


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _post(url: str, line: str) -> None:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    path = parts.path if parts.path.strip("/") else DEFAULT_PATH
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENLINEAGE_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    elif login:
        headers["Authorization"] = f"Basic {b64encode(unquote_to_bytes(login)).decode()}"
    target = urlunsplit(parts._replace(netloc=host, path=path))
    request = urllib.request.Request(target, line.encode(), headers)  # noqa: S310 -- http or https, see _is_url
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
    except (OSError, HTTPException) as error:
        structlog.get_logger().warning("lineage not delivered", endpoint=parts.hostname, error=str(error))
