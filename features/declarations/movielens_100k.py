"""MovieLens-100k: ratings of films; a scenario is the age group of the viewer."""

from __future__ import annotations

from features.declarations.catalog import Catalog, Service, Task, Volume
from features.declarations.engagement import activity, standard_engagement
from features.declarations.entities import GENRE, ITEM, SCENARIO, USER
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, days

TASKS = (
    Task("liked", prior=0.55, description="rated 4 or 5"),
    Task("loved", prior=0.21, description="rated 5"),
)
RATING = Quantity("rating", low=1.0, high=5.0, description="stars, 1 to 5")
WINDOWS = days(1, 7, 28)
USER_PROFILE = Profile(
    name="user_profile",
    keys=(USER,),
    table="users",
    columns=(
        Feature("age", DType.FLOAT, Role.GENERAL, Encoding.NUMERIC, default=33.0, low=1.0, high=120.0),
        Feature("gender", DType.STRING, Role.GENERAL, Encoding.CATEGORY),
        Feature("occupation", DType.STRING, Role.GENERAL, Encoding.CATEGORY),
    ),
    description="What a viewer said of himself at registration.",
)
ITEM_PROFILE = Profile(
    name="item_profile",
    keys=(ITEM,),
    table="items",
    columns=(
        Feature(
            "release_year", DType.FLOAT, Role.GENERAL, Encoding.NUMERIC, default=1990.0,
            low=1900.0, high=2100.0, max_null_share=0.01,
        ),
        Feature("genres", DType.STRING, Role.GENERAL, Encoding.CATEGORY, max_null_share=0.01),
    ),
    links=(GENRE,),
    description="Year and genres of a film.",
)  # fmt: skip
POSITIVES = SequenceGroup(
    name="user_positives",
    keys=(USER,),
    task="liked",
    elements=(ITEM, GENRE, SCENARIO),
    length=20,
    window=DAY * 28,
    description="The films a viewer liked last.",
)
VIEWS: tuple[View, ...] = (
    *standard_engagement(TASKS, WINDOWS, (GENRE,), (USER, GENRE)),
    *activity(TASKS, WINDOWS, ((RATING, 3.5),)),
    POSITIVES,
    USER_PROFILE,
    ITEM_PROFILE,
)
CATALOG = Catalog(
    dataset="movielens-100k",
    tasks=TASKS,
    entities=(USER, ITEM, SCENARIO, GENRE),
    views=VIEWS,
    services=(Service("ranker_v1", tuple(view.name for view in VIEWS)),),
    volume=Volume(min_ratio=0.0, max_ratio=60.0),
    context=(Feature("hour", DType.STRING, Role.GENERAL, Encoding.CATEGORY, description="hour of day, UTC"),),
    quantities=(RATING,),
)
