"""Choose the data set: rewrite the one line of params.yaml that names it."""

from __future__ import annotations

import re

from pipelines.errors import SettingsError
from pipelines.files import write_whole
from pipelines.observing.console import console
from pipelines.settings import Settings

_LINE = re.compile(r"^(dataset:[ \t]*)(\S+)", re.MULTILINE)


def use(settings: Settings, dataset: str) -> None:
    """Make params.yaml name `dataset`; everything else in it stays, comments included.

    Raises:
        SettingsError: no such data set, or params.yaml has no line to rewrite.
    """
    known = settings.params.datasets
    if dataset not in known:
        raise SettingsError(f"unknown data set {dataset!r}; params.yaml describes {', '.join(known)}")
    path = settings.home / "params.yaml"
    text, found = _LINE.subn(lambda line: line[1] + dataset, path.read_text(encoding="utf-8"))
    if found != 1:
        raise SettingsError(f"{path} needs exactly one line `dataset: NAME`, it has {found}")
    write_whole(path, text)
    console.print(f"params.yaml now uses [bold]{dataset}[/bold]; run `gatehouse demo` or any stage")
