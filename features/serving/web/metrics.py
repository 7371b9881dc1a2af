"""What Prometheus reads: how requests went in all workers, and how fresh what is served is."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.serving.batch import Status
from features.serving.web.state import StoreState

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LIVE = re.compile(r"gauge_live[a-z]+_(\d+)\.db\Z")


class Breaker(Protocol):
    """A circuit breaker; see features.serving.guard."""

    @property
    def is_open(self) -> bool: ...


class Metrics:
    """Counts requests.

    Args:
        folder: where the workers of one service keep their counts; None where there is a single one. The
            environment has to name it to prometheus_client too, before that is first imported.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "gatehouse_request_seconds",
            "Seconds a request took",
            ["endpoint", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._values = Counter(
            "gatehouse_values",
            "Values of distinct keys by what became of them",
            ["view", "status"],
            registry=self._registry,
        )
        self._degraded = Counter(
            "gatehouse_degraded_requests",
            "Requests answered with declared defaults",
            ["endpoint"],
            registry=self._registry,
        )
        self._open = Gauge(
            "gatehouse_breaker_open",
            "Workers that leave the store alone because it does not answer",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._model = Gauge(
            "gatehouse_model_info",
            "Workers that rank with a version",
            ["version"],
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self._changes = Counter(
            "gatehouse_model_changes", "Times a worker changed to another version", registry=self._registry
        )
        self._refusals = Counter(
            "gatehouse_model_refusals",
            "Workers that would not take a version",
            ["version"],
            registry=self._registry,
        )

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        self._seconds.labels(endpoint, str(status)).observe(seconds)

    def values(self, counts: Mapping[str, Mapping[Status, int]]) -> None:
        """Add what became of the values of each view."""
        for view, of_view in counts.items():
            for status, count in of_view.items():
                self._values.labels(view, status.label).inc(count)

    def degraded(self, endpoint: str) -> None:
        self._degraded.labels(endpoint).inc()

    def breaker(self, breaker: Breaker) -> None:
        """Note whether this worker leaves the store alone."""
        self._open.set(breaker.is_open)

    def model(self, reference: str, before: str | None) -> None:
        """Note that this worker ranks with another version than before."""
        if before is not None:
            self._model.labels(before).set(0)
            self._changes.inc()
        self._model.labels(reference).set(1)

    def refusal(self, reference: str) -> None:
        """Count a version that this worker does not take."""
        self._refusals.labels(reference).inc()

    def text(self, state: StoreState, asked: float | None = None) -> bytes:
        """Everything in Prometheus' text format; `asked` says when the registry last answered."""
        registry = self._registry
        if self._folder is not None:
            _forget_the_dead(self._folder)
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        of_store = CollectorRegistry()
        of_store.register(_OfStore(state, asked))
        return generate_latest(registry) + generate_latest(of_store)


class Measured:
    """Times each request until its last byte is sent; paths that are no endpoint count as one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, endpoints: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            endpoint = scope["path"] if scope["path"] in self._endpoints else "other"
            self._metrics.request(endpoint, status, time.perf_counter() - begun)


class _OfStore:
    """What is served, as it is when Prometheus asks; the same in all workers."""

    def __init__(self, state: StoreState, asked: float | None) -> None:
        self._state = state
        self._asked = asked

    def collect(self) -> Iterator[Metric]:
        state = self._state
        up = not state.problem
        yield GaugeMetricFamily("gatehouse_store_up", "Whether the store answers and serves", value=up)
        yield GaugeMetricFamily(
            "gatehouse_store_building",
            "Whether a materialization has begun and not finished",
            value=state.building is not None,
        )
        if self._asked is not None:
            yield GaugeMetricFamily(
                "gatehouse_model_asked_timestamp_seconds",
                "When the registry last said which version is in production, in seconds since 1970",
                value=self._asked,
            )
        if state.served is None or state.instant is None:
            return
        yield GaugeMetricFamily(
            "gatehouse_store_lost_rows",
            "Whether rows of what is served may be missing: evicted, or gone with a node",
            value=bool(state.loss),
        )
        yield GaugeMetricFamily(
            "gatehouse_served_timestamp_seconds",
            "The first instant after the served day, in seconds since 1970",
            value=state.served.instant.timestamp(),
        )
        fresh = GaugeMetricFamily(
            "gatehouse_view_freshness_seconds", "Age of a view's newest event", labels=["view"]
        )
        for name, view in state.served.views.items():
            if view.newest is not None:
                fresh.add_metric([name], (state.instant - view.newest).total_seconds())
        yield fresh


def _forget_the_dead(folder: Path) -> None:
    """Drop what killed workers said of themselves while they lived; their counts stay."""
    for path in folder.glob("gauge_live*.db"):
        match = _LIVE.match(path.name)
        if match and not _runs(int(match[1])):
            mark_process_dead(int(match[1]), path=str(folder))  # type: ignore[no-untyped-call]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
