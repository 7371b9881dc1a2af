"""The endpoints, as OpenAPI describes them. What they answer is in features.serving.web.answers.

They are plain functions, which FastAPI runs in worker threads: waiting for the store holds nobody else up.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from features.serving.web.answers import Answers
from features.serving.web.contract import (
    Alive,
    LookupRequest,
    LookupResponse,
    OnlineFeaturesRequest,
    OnlineFeaturesResponse,
    Problem,
    RankRequest,
    RankResponse,
    Readiness,
)
from features.serving.web.replies import ARROW

_BEARER = Depends(HTTPBearer(auto_error=False, description="A token that `gatehouse token` made."))


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    texts = {
        400: "The body is not JSON.",
        401: "No token, or an unknown one.",
        403: "The token is not for this.",
        404: "There is no such service, view or feature.",
        408: "The body took too long to arrive.",
        413: "The body is too large.",
        422: "The request cannot be understood, or asks for too many rows.",
        429: "The token's rate is used up; see Retry-After.",
        503: "The store does not answer, or serves nothing.",
    }
    return {status: {"model": Problem, "description": texts[status]} for status in statuses}


asking = APIRouter(
    dependencies=[_BEARER],
    responses=_refusals(400, 401, 403, 404, 408, 413, 422, 429, 503),
    tags=["features"],
)
health = APIRouter(tags=["health"])


@asking.post("/get-online-features", response_model=OnlineFeaturesResponse)
def get_online_features(body: OnlineFeaturesRequest, request: Request) -> Response:
    """Features of any entities, as Feast's own feature server answers; a Feast client needs only this URL.

    A value that is older than its view's TTL is null with the status OUTSIDE_MAX_AGE.
    """
    return _answers(request).features(body, request.state.grant)


@asking.post(
    "/v1/lookup",
    response_model=LookupResponse,
    responses={200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}}},
)
def lookup(body: LookupRequest, request: Request) -> Response:
    """Features of one user in one scenario and of many items, column by column."""
    return _answers(request).lookup(body, request.state.grant, request.headers.get("accept", ""))


@asking.post("/v1/rank", response_model=RankResponse)
def rank(body: RankRequest, request: Request) -> Response:
    """Items ranked by the model in production, which the answer names, with the features looked up here."""
    return _answers(request).rank(body, request.state.grant)


@health.get("/healthz", response_model=Alive)
async def healthz() -> Alive:
    """Whether the process is alive."""
    return Alive()


@health.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def readyz(request: Request) -> Response:
    """Whether requests should be sent here, and if not, why."""
    return _answers(request).readiness()


@health.get(
    "/metrics", dependencies=[_BEARER], response_class=PlainTextResponse, responses=_refusals(401, 429)
)
def metrics(request: Request) -> Response:
    """Counts of requests and values, and how fresh what is served is, for Prometheus."""
    return Response(_answers(request).metrics_text(), media_type=CONTENT_TYPE_LATEST)


def _answers(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers
