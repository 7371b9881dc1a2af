"""docs/sbom.json is the lock, package for package: what a scanner says of it is true of what runs."""

from __future__ import annotations

import json
import re

from pipelines.settings import CHECKOUT

_PINNED = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def test_sbom_lists_exactly_the_packages_of_the_lock() -> None:
    lines = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = [match.groups() for line in lines if (match := _PINNED.match(line))]
    sbom = json.loads((CHECKOUT / "docs" / "sbom.json").read_text(encoding="utf-8"))
    assert sbom["bomFormat"] == "CycloneDX"
    listed = [(component["name"], component["version"]) for component in sbom["components"]]
    assert len(pinned) == len([line for line in lines if line and not line.startswith(("#", "-"))])
    assert sorted(listed) == sorted(pinned), "run `make sbom` and commit docs/sbom.json"
