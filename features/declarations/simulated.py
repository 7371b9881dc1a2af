"""The simulated log: planted user, item and scenario effects with known click probabilities."""

from __future__ import annotations

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.engagement import activity, session, standard_engagement
from features.declarations.entities import AUTHOR, ITEM, SCENARIO, USER
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, days

TASKS = (Task("click", prior=0.3), Task("like", prior=0.05))
DWELL_SECONDS = Quantity("dwell_seconds", low=0.0, description="how long the item was looked at, seconds")
WINDOWS = days(1, 3, 7)


def _number(name: str) -> Feature:
    return Feature(name, DType.FLOAT, Role.GENERAL, Encoding.NUMERIC, default=0.0)


REGISTERED = Feature(
    "registered_at", DType.INT, Role.USER, Encoding.ELAPSED, default=0.0,
    description="when the user registered; models see the hours since",
)  # fmt: skip
RANKER_VIEWS: tuple[View, ...] = (
    *standard_engagement(TASKS, WINDOWS, (AUTHOR,)),
    *activity(TASKS, WINDOWS, ((DWELL_SECONDS, 5.0),)),
    SequenceGroup("user_positives", (USER,), "click", (ITEM, AUTHOR, SCENARIO), length=10, window=DAY * 7),
    Profile(
        "user_profile",
        (USER,),
        "users",
        (_number("taste_0"), _number("taste_1"), _number("activity"), REGISTERED),
    ),
    Profile(
        "item_profile",
        (ITEM,),
        "items",
        (_number("style_0"), _number("style_1"), _number("quality")),
        (AUTHOR,),
    ),
)
SESSION = session(TASKS)
CATALOG = Catalog(
    dataset="simulated",
    tasks=TASKS,
    entities=(USER, ITEM, SCENARIO, AUTHOR),
    views=(*RANKER_VIEWS, SESSION),
    services=(
        Service("ranker_v1", tuple(view.name for view in RANKER_VIEWS)),
        Service("ranker_intraday_v1", (*(view.name for view in RANKER_VIEWS), SESSION.name)),
    ),
    volume=Volume(min_ratio=0.1, max_ratio=5.0),
    context=(Feature("hour", DType.STRING, Role.GENERAL, Encoding.CATEGORY, description="hour of day, UTC"),),
    quantities=(DWELL_SECONDS,),
)
