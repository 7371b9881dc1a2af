"""What the HTTP service is asked and what it answers: the models behind docs/openapi.json."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

# A bound on the length also has each text checked to be Unicode, which JSON's escapes need not be.
Text = Annotated[str, Field(max_length=512)]
Id = Annotated[str, Field(min_length=1, max_length=512)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LookupRequest(_Strict):
    """Features of one user in one scenario and of many items.

    Attributes:
        service: a feature service of the catalog, for example "ranker_v1".
        items: N item ids; one may stand several times.
        context: values of the catalog's context columns; `hour` is taken from the instant otherwise.
    """

    service: Id
    scenario: Id
    user: Id
    items: list[Id]
    context: dict[Text, Text] = {}


class RankRequest(_Strict):
    """Items to be ranked for one user in one scenario.

    Attributes:
        top: how many of the best are wanted; all without it.
        context: as in a lookup.
    """

    scenario: Id
    user: Id
    items: list[Id]
    top: int | None = Field(default=None, ge=1)
    context: dict[Text, Text] = {}


class LookupResponse(BaseModel):
    """N values of every column of the feature service, named and ordered as in its training set.

    Attributes:
        columns: column to its N values, null where there is none; numbers are the shortest text of a float32.
        statuses: view to how many values of its distinct keys were present, null, not found, stale, default.
        degraded: the store did not answer, and declared defaults stand for all features.
        instant: the instant that ages were judged at, UTC.
    """

    columns: dict[str, list[Any]]
    statuses: dict[str, dict[str, int]]
    degraded: bool
    instant: datetime


class RankResponse(BaseModel):
    """Items, best first.

    Attributes:
        scores: task to the probability of each item; the first task is the one they are ranked by.
        model: the published version that ranked, for example "pepnet@v3.0.0".
        degraded, instant: as in a lookup.
    """

    items: list[str]
    scores: dict[str, list[float]]
    model: str
    degraded: bool
    instant: datetime


class OnlineFeaturesRequest(BaseModel):
    """Feast's own request, as its feature server takes it.

    Attributes:
        entities: join key to N ids.
        feature_service: name of a feature service; `features` is not read then.
        features: VIEW:FEATURE of each feature.
        full_feature_names: whether features are called VIEW__FEATURE in the response.
    """

    entities: dict[Text, list[Annotated[StrictStr, Field(max_length=512)] | StrictInt]]
    feature_service: Text | None = None
    features: list[Text] = []
    full_feature_names: bool = False


class FeatureVector(BaseModel):
    """One feature's N values; Feast calls a null that was written PRESENT too."""

    values: list[Any]
    statuses: list[str]
    event_timestamps: list[str]


class OnlineFeaturesMetadata(BaseModel):
    feature_names: list[str]


class OnlineFeaturesResponse(BaseModel):
    """Feast's own response: the entities' ids come first, then the features in the order of the request."""

    metadata: OnlineFeaturesMetadata
    results: list[FeatureVector]


class Readiness(BaseModel):
    """Whether requests should be sent here.

    Attributes:
        reasons: why not; empty when ready.
        dataset, ds: what is served, and the last day its features know of.
        building: what an unfinished materialization is writing, and since when; null while none runs.
        model: the version that ranks, for example "pepnet@v3.0.0"; null without one.
    """

    ready: bool
    reasons: list[str] = []
    dataset: str | None = None
    ds: date | None = None
    building: dict[str, Any] | None = None
    model: str | None = None


class Alive(BaseModel):
    alive: bool = True


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
