"""The engagement groups every data set has: impressions and label rates per key and window."""

from __future__ import annotations

from features.declarations.catalog import Task
from features.declarations.entities import ITEM, SCENARIO, USER, Entity
from features.declarations.features import Role
from features.declarations.groups import Count, FeatureGroup, Rate


def engagement(keys: tuple[Entity, ...], tasks: tuple[Task, ...], windows: tuple[int, ...]) -> FeatureGroup:
    """Impressions and smoothed label rates per `keys`, named `user_scenario_engagement` and alike.

    Statistics within a scenario describe the scenario's prior; all others are general features.
    """
    names = "_".join(key.name for key in keys)
    return FeatureGroup(
        name=f"{names}_engagement",
        keys=keys,
        measures=(Count(), *(Rate(task.name, prior=task.prior) for task in tasks)),
        windows=windows,
        role=Role.SCENARIO if SCENARIO in keys else Role.GENERAL,
        description=f"How {' x '.join(key.name for key in keys)} fared in the last days.",
    )


def standard_engagement(
    tasks: tuple[Task, ...], windows: tuple[int, ...], *more: tuple[Entity, ...]
) -> tuple[FeatureGroup, ...]:
    """User, item and scenario engagement, both within a scenario, and `more` keys of the data set."""
    keys = ((USER,), (ITEM,), (SCENARIO,), (USER, SCENARIO), (ITEM, SCENARIO), *more)
    return tuple(engagement(key, tasks, windows) for key in keys)
