"""The HTTP service: features by lookup and in Feast's own contract, and items ranked by a published model.

Run as a module it prints what it offers, for docs/openapi.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from feast import FeatureStore
from feast.errors import FeastError, FeastObjectNotFoundException
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from features.declarations.catalog import Catalog
from features.declarations.errors import DeclarationError
from features.serving.guard import Patience
from features.serving.web.answers import Answers, RequestNotes
from features.serving.web.door import Door
from features.serving.web.endpoints import asking, health
from features.serving.web.errors import RefusedError
from features.serving.web.limits import BodyLimit, Buckets, Limits
from features.serving.web.lookups import Clock, Lookups
from features.serving.web.metrics import Measured, Metrics
from features.serving.web.models import Models, Wanted
from features.serving.web.online_features import OnlineFeatures
from features.serving.web.replies import problem
from features.serving.web.tokens import Tokens
from features.stores.errors import StoreError

_RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a service is made of.

    Attributes:
        store: an opened Feast store.
        catalog: the data set's declarations.
        clock: the instant to judge ages at, given what is served.
        patience: what to do about a store that does not answer.
        limits: bounds of a request.
        tokens: who may ask; None lets everybody in.
        wanted: says which model is to rank; it is asked again and again.
        notes: takes a sample of the answers; None without one.
        metrics: where the workers of one service keep their counts; None where there is a single one.
    """

    store: FeatureStore
    catalog: Catalog
    clock: Clock = lambda served: served.instant
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    tokens: Tokens | None = None
    wanted: Callable[[], Wanted] = Wanted
    notes: RequestNotes | None = None
    metrics: Path | None = None


def make_app(configuration: Configuration) -> FastAPI:
    """The service as an ASGI application."""
    lookups = Lookups(configuration.store, configuration.catalog, configuration.clock, configuration.patience)
    metrics = Metrics(configuration.metrics)
    app = described_app()
    app.state.answers = Answers(
        lookups,
        OnlineFeatures(
            configuration.store, configuration.catalog.dataset, configuration.clock, configuration.patience
        ),
        Models(configuration.wanted, lookups, metrics),
        metrics,
        configuration.limits,
        configuration.notes,
    )
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit, limits=configuration.limits)
    app.add_middleware(Door, tokens=configuration.tokens, buckets=Buckets(configuration.limits.rate))
    endpoints = frozenset(path for path in app.openapi()["paths"])
    app.add_middleware(Measured, metrics=metrics, endpoints=endpoints)
    return app


def described_app() -> FastAPI:
    """The endpoints and what they answer when they refuse, with nothing behind them."""
    app = FastAPI(
        title="Gatehouse",
        summary="Features and rankings of the snapshot that was materialized last.",
        version="1",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_warm,
    )
    app.include_router(asking)
    app.include_router(health)
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


@asynccontextmanager
async def _warm(app: FastAPI) -> AsyncIterator[None]:
    """Make the lookups and load the model before the first request, where something is served."""
    answers: Answers = app.state.answers
    await run_in_threadpool(answers.readiness)
    with suppress(StoreError):  # readiness says why; the next request for a ranking tries again
        await run_in_threadpool(answers.models.turn)
    with answers.models.following():
        yield


def _invalid(request: Request, error: Any) -> Response:
    wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
    return problem(422, wrong)


def _of_feast(request: Request, error: Any) -> Response:
    """As Feast's feature server says it, so that a Feast client raises the same error."""
    status = 404 if isinstance(error, FeastObjectNotFoundException) else 422
    return JSONResponse(error.to_error_detail(), status)


_HANDLERS: dict[type[Exception], Callable[[Request, Any], Response]] = {
    RequestValidationError: _invalid,
    HTTPException: lambda request, error: problem(error.status_code, str(error.detail), error.headers),
    RefusedError: lambda request, error: problem(error.status, str(error)),
    DeclarationError: lambda request, error: problem(404, str(error)),
    StoreError: lambda request, error: problem(503, str(error), _RETRY),
    FeastError: _of_feast,
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(described_app().openapi(), indent=2) + "\n")
