"""Clients that look up and rank over HTTP, one request after the other, and check every answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import requests

from benchmarks.soak_home import Oracle

PACE = 0.05
"""Seconds between two requests of a client."""
_A_CONNECTION = 50
"""Requests until a client connects anew, and may get another worker."""
_SECONDS = 30.0
_SHOWN = 20
_CLOSE = 1e-5  # scores of few rows and of many differ in the last bits


@dataclass
class Seen:
    """What all clients together were answered.

    Attributes:
        taken: (endpoint, seconds since the start, milliseconds) of each request.
        wrong: answers that are not the oracle's; the first few.
        failed: requests that were not answered, or by defaults; the first few.
        counts: how many there were of each.
        days: served days that were named.
        models: versions that were named.
    """

    taken: list[tuple[str, float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"wrong": 0, "failed": 0})
    days: set[date] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    last_model: str = ""

    def note(self, kind: str, what: str) -> None:
        """Count a wrong answer or a failed request."""
        self.counts[kind] += 1
        kept = self.wrong if kind == "wrong" else self.failed
        if len(kept) < _SHOWN:
            kept.append(what)


class Client(threading.Thread):
    """Asks until it is told to stop.

    Args:
        number: seeds what it asks for.
        url: of the service.
        oracle: knows the answers.
        seen: takes what came.
        begun: what time counts from, by time.monotonic.
        stop: set to end it.
    """

    def __init__(
        self, number: int, url: str, oracle: Oracle, seen: Seen, begun: float, stop: threading.Event
    ) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._random = random.Random(number)  # noqa: S311
        self._url = url
        self._oracle = oracle
        self._seen = seen
        self._begun = begun
        self._stop_asking = stop

    def run(self) -> None:
        asked = 0
        while not self._stop_asking.is_set():
            with requests.Session() as session:
                for _ in range(_A_CONNECTION):
                    if self._stop_asking.wait(PACE):
                        return
                    self._ask(session, ("/v1/lookup", "/v1/rank")[asked % 2])
                    asked += 1

    def _ask(self, session: requests.Session, endpoint: str) -> None:
        ids = self._oracle.ids
        body = {
            "scenario": self._random.choice(ids["scenario"]),
            "user": self._random.choice(ids["user"]),
            "items": self._random.sample(ids["item"], self._random.randint(1, len(ids["item"]))),
        }
        if endpoint == "/v1/lookup":
            body["service"] = "ranker_v1"
        begun = time.monotonic()
        try:
            response = session.post(f"{self._url}{endpoint}", json=body, timeout=_SECONDS)
        except requests.RequestException as error:
            self._seen.note("failed", f"{endpoint}: {error}")
            return
        now = time.monotonic()
        self._seen.taken.append((endpoint, now - self._begun, (now - begun) * 1e3))
        if response.status_code != 200 or response.json()["degraded"]:
            self._seen.note("failed", f"{endpoint}: {response.status_code} {response.text[:300]}")
            return
        check = self._check_lookup if endpoint == "/v1/lookup" else self._check_ranking
        if wrong := check(body, response.json()):
            self._seen.note("wrong", f"{endpoint} {body}: {wrong}")

    def _check_lookup(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
        """What is wrong with an answer; empty when all is right."""
        ds = _day(answer)
        self._seen.days.add(ds)
        table = self._oracle.features(ds, asked["scenario"], asked["user"], asked["items"])
        for name in self._oracle.columns:
            found, known = answer["columns"][name], table[name].to_pylist()
            if [_plain(value) for value in found] != [_plain(value) for value in known]:
                return f"{name} of {ds} is {found}, not {known}"
        return ""

    def _check_ranking(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
        ds, reference = _day(answer), answer["model"]
        self._seen.days.add(ds)
        self._seen.models.add(reference)
        self._seen.last_model = reference
        if sorted(answer["items"]) != sorted(asked["items"]):
            return f"other items: {answer['items']}"
        known = self._oracle.scores(reference, ds, asked["scenario"], asked["user"], answer["items"])
        found = np.array(list(answer["scores"].values()), np.float32).T
        if not np.allclose(found, known, rtol=0, atol=_CLOSE):
            return f"{reference} of {ds} gives {found.tolist()}, not {known.tolist()}"
        if (np.diff(found[:, 0]) > 0).any():
            return f"not best first: {found[:, 0].tolist()}"
        return ""


def _day(answer: Mapping[str, Any]) -> date:
    """The served day that an answer names."""
    return datetime.fromisoformat(answer["instant"]).date() - timedelta(days=1)


def _plain(value: Any) -> Any:
    """A float as float32 holds it; whatever else as it is."""
    return float(np.float32(value)) if isinstance(value, float) else value
