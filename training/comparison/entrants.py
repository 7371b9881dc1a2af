"""Who takes part in a comparison: every model there is, and LightGBM."""

from __future__ import annotations

from collections.abc import Collection

from training.comparison.contenders import Contender
from training.comparison.networks import Network
from training.comparison.results import BASES
from training.comparison.trees import Trees
from training.errors import UnknownModelError
from training.models.build import available


def entrants(names: Collection[str] | None = None) -> list[Contender]:
    """The contenders called `names`, all by default; `BASES` take part in any case.

    Raises:
        UnknownModelError: there is no such contender.
    """
    known: dict[str, Contender] = {name: Network(name) for name in available()} | {Trees.name: Trees()}
    wanted = {*(known if names is None else names), *BASES}
    if unknown := sorted(wanted - set(known)):
        raise UnknownModelError(
            f"there is no model {', '.join(unknown)} to compare; choose from {', '.join(known)}"
        )
    return [contender for name, contender in known.items() if name in wanted]
