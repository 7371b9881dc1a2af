"""Write road.txt and service.txt: the part of requirements.lock that an image needs.

    .venv/bin/python infra/images/pins.py

IMAGE.in names what the image's code imports; what those need in turn is read from the installed packages,
whose versions are the lock's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

HERE = Path(__file__).parent
LOCK = HERE.parents[1] / "requirements.lock"
IMAGES = ("road", "service")
_HEADER = "# Written by infra/images/pins.py from {image}.in and requirements.lock; do not edit.\n"


def pins(image: str) -> str:
    """The contents of `image`.txt."""
    locked = read_lock()
    needed = closure(_requirements(HERE / f"{image}.in"), locked)
    return _HEADER.format(image=image) + "".join(f"{locked[name]}\n" for name in sorted(needed))


def read_lock() -> dict[NormalizedName, str]:
    """Package to its line of requirements.lock."""
    lines = _requirements(LOCK)
    return {canonicalize_name(re.split("==| @ ", line)[0]): line for line in lines}


def closure(roots: Iterable[str], locked: dict[NormalizedName, str]) -> set[NormalizedName]:
    """`roots`, and all that they need here, extras included.

    Raises:
        KeyError: a package is not in requirements.lock.
    """
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[NormalizedName, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name not in locked:
                raise KeyError(f"{requirement.name} is not in requirements.lock")
            for text in distribution(name).requires or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return {name for name, _ in seen}


def _requirements(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def main() -> None:
    for image in IMAGES:
        (HERE / f"{image}.txt").write_text(pins(image), encoding="utf-8")


if __name__ == "__main__":
    main()
