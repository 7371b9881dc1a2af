"""KuaiRand-Pure: a short-video app with 15 tabs; a tab is a scenario."""

from __future__ import annotations

from features.declarations.catalog import AuxiliaryTask, Catalog, Service, Task, Volume
from features.declarations.engagement import activity, session, standard_engagement
from features.declarations.entities import AUTHOR, ITEM, SCENARIO, TAG, USER
from features.declarations.features import DType, Encoding, Feature, Role
from features.declarations.groups import Profile, SequenceGroup, View
from features.declarations.quantities import Quantity
from features.declarations.windows import DAY, days

TASKS = (
    Task("click", prior=0.44, description="the video was opened"),
    Task("long_view", prior=0.31, description="watched for long, by the publisher's own rule"),
    Task("like", prior=0.017, description="liked"),
)
PLAYED_SECONDS = Quantity("played_seconds", low=0.0, description="how long the video was played, seconds")
PLAYED_SHARE = Quantity("played_share", low=0.0, description="the same as a share of the video's length")
AUXILIARIES = (
    AuxiliaryTask("played_half", PLAYED_SHARE, at_least=0.5),
    AuxiliaryTask("played_whole", PLAYED_SHARE, at_least=0.95),
)
WINDOWS = days(1, 3, 14)


def _category(name: str, max_null_share: float = 0.0) -> Feature:
    return Feature(name, DType.STRING, Role.GENERAL, Encoding.CATEGORY, max_null_share=max_null_share)


def _count(name: str, max_null_share: float = 0.0) -> Feature:
    return Feature(
        name, DType.FLOAT, Role.GENERAL, Encoding.LOG, default=0.0, low=0.0, max_null_share=max_null_share
    )


USER_PROFILE = Profile(
    name="user_profile",
    keys=(USER,),
    table="users",
    columns=(
        _category("user_active_degree"),
        _category("is_live_streamer", max_null_share=1.0),
        _category("is_video_author"),
        _count("follow_user_num"),
        _count("fans_user_num"),
        _count("friend_user_num"),
        _count("register_days"),
        *(_category(f"onehot_feat{index}", max_null_share=0.1) for index in range(18)),
    ),
    description="What the publisher knows of a user.",
)
ITEM_PROFILE = Profile(
    name="item_profile",
    keys=(ITEM,),
    table="items",
    columns=(
        _category("video_type"),
        _category("upload_type"),
        _category("music_type", max_null_share=0.1),
        _count("video_duration", max_null_share=0.1),
        _count("item_age_days"),
    ),
    links=(AUTHOR, TAG),
    description="What the publisher knows of a video.",
)
POSITIVES = SequenceGroup(
    name="user_positives",
    keys=(USER,),
    task="click",
    elements=(ITEM, AUTHOR, TAG, SCENARIO),
    length=20,
    window=DAY * 14,
    description="The videos a user opened last.",
)
RANKER_VIEWS: tuple[View, ...] = (
    *standard_engagement(TASKS, WINDOWS, (AUTHOR,), (USER, TAG), (USER, AUTHOR)),
    *activity(TASKS, WINDOWS, ((PLAYED_SECONDS, 20.0),)),
    POSITIVES,
    USER_PROFILE,
    ITEM_PROFILE,
)
SESSION = session(TASKS)
CATALOG = Catalog(
    dataset="kuairand-pure",
    tasks=TASKS,
    entities=(USER, ITEM, SCENARIO, AUTHOR, TAG),
    views=(*RANKER_VIEWS, SESSION),
    services=(
        Service("ranker_v1", tuple(view.name for view in RANKER_VIEWS)),
        Service("ranker_intraday_v1", (*(view.name for view in RANKER_VIEWS), SESSION.name)),
    ),
    volume=Volume(min_ratio=0.1, max_ratio=5.0),
    context=(Feature("hour", DType.STRING, Role.GENERAL, Encoding.CATEGORY, description="hour of day, UTC"),),
    quantities=(PLAYED_SECONDS, PLAYED_SHARE),
    auxiliaries=AUXILIARIES,
)
