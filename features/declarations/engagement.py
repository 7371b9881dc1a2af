"""The groups every data set has: engagement per key and window, and how users and items have been active."""

from __future__ import annotations

from datetime import timedelta

from features.declarations.catalog import Task
from features.declarations.entities import ITEM, SCENARIO, USER, Entity
from features.declarations.features import Role
from features.declarations.groups import FeatureGroup
from features.declarations.measures import Count, Distinct, Last, Mean, Measure, Rate, TimeSince, Trend
from features.declarations.quantities import Quantity
from features.declarations.windows import HOUR, hours


def engagement(
    keys: tuple[Entity, ...], tasks: tuple[Task, ...], windows: tuple[timedelta, ...]
) -> FeatureGroup:
    """Impressions and smoothed label rates per `keys`, named `user_scenario_engagement` and alike.

    Statistics within a scenario describe the scenario's prior; all others are general features.
    """
    names = "_".join(key.name for key in keys)
    return FeatureGroup(
        name=f"{names}_engagement",
        keys=keys,
        measures=(Count(), *_rates(tasks)),
        windows=windows,
        role=Role.SCENARIO if SCENARIO in keys else Role.GENERAL,
        description=f"How {' x '.join(key.name for key in keys)} fared in the last days.",
    )


def standard_engagement(
    tasks: tuple[Task, ...], windows: tuple[timedelta, ...], *more: tuple[Entity, ...]
) -> tuple[FeatureGroup, ...]:
    """User, item and scenario engagement, both within a scenario, and `more` keys of the data set."""
    keys = ((USER,), (ITEM,), (SCENARIO,), (USER, SCENARIO), (ITEM, SCENARIO), *more)
    return tuple(engagement(key, tasks, windows) for key in keys)


def activity(
    tasks: tuple[Task, ...],
    windows: tuple[timedelta, ...],
    means: tuple[tuple[Quantity, float], ...] = (),
) -> tuple[FeatureGroup, ...]:
    """How varied, recent and growing a user's and an item's events are, over the longest of `windows`.

    A user's tell new users from old ones, so they belong to the user's prior; an item's are general features.

    Args:
        tasks: the first one's positives date the newest interest.
        windows: a trend compares the first with the last.
        means: quantities to average, each with its default.
    """
    growth = (Trend(Count(), windows[0], windows[-1]),) if len(windows) > 1 else ()
    averages = tuple(Mean(quantity, default) for quantity, default in means)
    measures: dict[Entity, tuple[Measure, ...]] = {
        USER: (Distinct(ITEM), Last(SCENARIO), TimeSince(), TimeSince(tasks[0].name), *averages),
        ITEM: (Distinct(USER), TimeSince(), *averages),
    }
    return tuple(
        FeatureGroup(
            name=f"{key.name}_activity",
            keys=(key,),
            measures=(*of_key, *growth),
            windows=windows[-1:],
            role=Role.USER if key == USER else Role.GENERAL,
            description=f"How varied, recent and growing the events of the {key.name} are.",
        )
        for key, of_key in measures.items()
    )


def session(tasks: tuple[Task, ...]) -> FeatureGroup:
    """A user's impressions and label rates of the last hours, exact to the instant.

    They are as fresh as the last materialization, so a service that reads them is worth its while
    only where features are materialized every hour.
    """
    return FeatureGroup(
        name="user_session",
        keys=(USER,),
        measures=(Count(), *_rates(tasks)),
        windows=hours(1, 6, 24),
        role=Role.GENERAL,
        tile=HOUR,
        description="How the user fared in the last hours, to the instant.",
    )


def _rates(tasks: tuple[Task, ...]) -> tuple[Rate, ...]:
    return tuple(Rate(task.name, prior=task.prior) for task in tasks)
