"""Answers to requests that have been let in; each is made in a thread of its own, which may wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from starlette.responses import Response

from features.serving.batch import FeatureBatch, Status
from features.serving.lookup import FeatureLookup
from features.serving.web.contract import LookupRequest, OnlineFeaturesRequest, RankRequest
from features.serving.web.door import require, require_views
from features.serving.web.errors import RefusedError
from features.serving.web.feast_reply import feast_reply
from features.serving.web.limits import Limits
from features.serving.web.lookups import Lookups
from features.serving.web.metrics import Metrics
from features.serving.web.models import Models
from features.serving.web.online_features import OnlineFeatures, Plan
from features.serving.web.replies import ARROW, arrow_reply, json_reply, json_values
from features.serving.web.state import StoreState, readiness
from features.serving.web.tokens import Grant


class RequestNotes(Protocol):
    """Keeps a sample of what was answered."""

    def note(self, service: str, batch: FeatureBatch) -> None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that requests are answered with. Safe to share between threads.

    Attributes:
        lookups: the lookups of feature services.
        online_features: reads any features, for Feast's contract.
        models: the model that ranks.
        metrics: counts what is answered.
        limits: bounds of a request.
        notes: takes a sample of the answers; None without one.
    """

    lookups: Lookups
    online_features: OnlineFeatures
    models: Models
    metrics: Metrics
    limits: Limits
    notes: RequestNotes | None

    def lookup(self, asked: LookupRequest, grant: Grant | None, accepts: str) -> Response:
        """Features as JSON, or as Arrow where that is accepted.

        Raises:
            RefusedError: the token is for other services, or too much or something unknown is asked for.
            DeclarationError: there is no such service.
            StoreError: nothing is served, or another data set is.
        """
        require(grant, asked.service)
        self._require_sensible(asked.items, asked.context)
        lookup = self.lookups.of(asked.service)
        batch = lookup.batch(
            scenario=asked.scenario, user=asked.user, items=asked.items, context=asked.context
        )
        self._count("/v1/lookup", lookup, batch)
        if ARROW in accepts:
            return arrow_reply(batch)
        return json_reply(
            {
                "columns": {name: json_values(column) for name, column in batch.columns.items()},
                "statuses": _labelled(batch.counts),
                "degraded": batch.degraded,
                "instant": batch.instant,
            }
        )

    def rank(self, asked: RankRequest, grant: Grant | None) -> Response:
        """Items, best first.

        Raises:
            RefusedError: no model is published, or as in `lookup`.
            StoreError: nothing is served, or another data set is.
        """
        self._require_sensible(asked.items, asked.context)
        loaded = self.models.current()
        ranker = loaded.ranker
        require(grant, ranker.lookup.service.name, rank=True)
        ranking = ranker.rank(
            scenario=asked.scenario,
            user=asked.user,
            items=asked.items,
            top=asked.top,
            context=asked.context,
        )
        self._count("/v1/rank", ranker.lookup, ranking.batch)
        return json_reply(
            {
                "items": ranking.items,
                "scores": {
                    task: np.ascontiguousarray(ranking.scores[:, place])
                    for place, task in enumerate(ranking.tasks)
                },
                "model": loaded.model.reference,
                "degraded": ranking.batch.degraded,
                "instant": ranking.batch.instant,
            }
        )

    def features(self, asked: OnlineFeaturesRequest, grant: Grant | None) -> Response:
        """Features in Feast's words.

        Raises:
            FeastError: an unknown service or view, or two features of one name.
            RefusedError: the token is for other services, or the request cannot be understood.
            StoreUnavailableError: the store does not answer; Feast has no word for a default.
        """
        plan = self.online_features.plan(
            asked.feature_service, tuple(asked.features), asked.full_feature_names
        )
        require_views(grant, self.lookups.catalog, [view.schema.name for view in plan.views])
        entities, size = self._entities(asked, plan)
        try:
            views = self.online_features.read(plan, entities, size)
        finally:
            self.metrics.breaker(self.online_features.breaker)
        self.metrics.values({view: rows.counts for view, rows in views.items()})
        return feast_reply(plan, entities, views, size)

    def readiness(self) -> Response:
        """200 when requests should be sent here, else 503."""
        ready = readiness(self.lookups, self.models.reference)
        return json_reply(ready.model_dump(mode="json"), 200 if ready.ready else 503)

    def metrics_text(self) -> bytes:
        return self.metrics.text(StoreState.of(self.lookups), self.models.wanted().asked)

    def _entities(self, asked: OnlineFeaturesRequest, plan: Plan) -> tuple[dict[str, list[str]], int]:
        """The ids of the project's join keys as text, and how many rows they are of."""
        known = self.online_features.keys
        entities = {key: list(map(str, ids)) for key, ids in asked.entities.items() if key in known}
        missing = [key for key in plan.keys if key not in entities]
        if missing:
            raise RefusedError(
                422, f"entities has no ids of {', '.join(missing)}, by which the features are keyed"
            )
        sizes = {key: len(ids) for key, ids in entities.items()}
        size = next(iter(sizes.values()))
        if any(other != size for other in sizes.values()):
            raise RefusedError(422, f"entities must have as many ids each; they have {sizes}")
        self._require_few(size)
        return entities, size

    def _require_sensible(self, items: Sequence[str], context: Mapping[str, str]) -> None:
        self._require_few(len(items))
        known = [feature.name for feature in self.lookups.catalog.context]
        unknown = sorted(set(context) - set(known))
        if unknown:
            raise RefusedError(
                422, f"unknown context {', '.join(unknown)}; there is {', '.join(known) or 'none'}"
            )

    def _require_few(self, rows: int) -> None:
        if rows > self.limits.rows:
            raise RefusedError(422, f"{rows:,} rows are asked for; a request may have {self.limits.rows:,}")

    def _count(self, endpoint: str, lookup: FeatureLookup, batch: FeatureBatch) -> None:
        self.metrics.breaker(lookup.breaker)
        self.metrics.values(batch.counts)
        if batch.degraded:
            self.metrics.degraded(endpoint)
        if self.notes is not None:
            self.notes.note(lookup.service.name, batch)


def _labelled(counts: Mapping[str, Counter[Status]]) -> dict[str, dict[str, int]]:
    return {
        view: {status.label: count for status, count in of_view.items()} for view, of_view in counts.items()
    }
