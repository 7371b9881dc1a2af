"""The simulated log: planted user, item and scenario effects with known click probabilities."""

from __future__ import annotations

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.engagement import standard_engagement
from features.declarations.entities import AUTHOR, ITEM, SCENARIO, USER
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View

TASKS = (Task("click", prior=0.3), Task("like", prior=0.05))
WINDOWS = (1, 3, 7)


def _number(name: str) -> Feature:
    return Feature(name, DType.FLOAT, Role.GENERAL, Encoding.NUMERIC, default=0.0)


VIEWS: tuple[View, ...] = (
    *standard_engagement(TASKS, WINDOWS, (AUTHOR,)),
    SequenceGroup("user_positives", (USER,), "click", (ITEM, AUTHOR, SCENARIO), length=10, window=7),
    Profile("user_profile", (USER,), "users", (_number("taste_0"), _number("taste_1"), _number("activity"))),
    Profile(
        "item_profile",
        (ITEM,),
        "items",
        (_number("style_0"), _number("style_1"), _number("quality")),
        (AUTHOR,),
    ),
)
CATALOG = Catalog(
    dataset="simulated",
    tasks=TASKS,
    entities=(USER, ITEM, SCENARIO, AUTHOR),
    views=VIEWS,
    services=(Service("ranker_v1", tuple(view.name for view in VIEWS)),),
    volume=Volume(min_ratio=0.1, max_ratio=5.0),
    context=(Feature("hour", DType.STRING, Role.GENERAL, Encoding.CATEGORY, description="hour of day, UTC"),),
)
