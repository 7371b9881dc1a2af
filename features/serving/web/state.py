"""How the store is: what it serves, what is being built, and what is missing or too old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.declarations.catalog import Catalog
from features.declarations.groups import Profile
from features.serving.online import packed_store, served_of
from features.serving.served import Served
from features.serving.web.contract import Readiness
from features.serving.web.lookups import Lookups
from features.stores.errors import StoreError
from features.stores.packed.generations import loss
from features.stores.packed.pointer import Pointer


@dataclass(frozen=True, slots=True)
class StoreState:
    """The store at one instant.

    Attributes:
        served: what it serves; None when it serves nothing or does not answer.
        instant: the instant ages are judged at; None with `served`.
        building: what is being written, and since when; None while nothing is.
        problem: why nothing can be said of it; empty otherwise.
        loss: why rows of what is served may be missing; empty when none is known to be.
    """

    served: Served | None = None
    instant: datetime | None = None
    building: dict[str, Any] | None = None
    problem: str = ""
    loss: str = ""

    @classmethod
    def of(cls, lookups: Lookups) -> StoreState:
        """How the store is now; never raises for a store that is away."""
        store = lookups.store
        try:
            backend = packed_store(store).backend(store.config)
            pointer = Pointer.parse(backend.pointer())
            lost = loss(backend, pointer)
            building = pointer.building.about if pointer.building else None
            served = served_of(pointer)
        except StoreError as error:
            return cls(problem=str(error))
        if served is None:
            return cls(building=building, problem="nothing is served yet; run `gatehouse materialize` first")
        return cls(served, lookups.clock(served), building, loss=lost)


def readiness(lookups: Lookups, model: str | None) -> Readiness:
    """Whether every view of every feature service can be looked up, and why not; `model` is what ranks."""
    state = StoreState.of(lookups)
    reasons = list(_reasons(lookups, state))
    served = state.served
    return Readiness(
        ready=not reasons,
        reasons=reasons,
        dataset=served.dataset if served else None,
        ds=served.ds if served else None,
        building=state.building,
        model=model,
    )


def _reasons(lookups: Lookups, state: StoreState) -> Iterator[str]:
    if state.served is None or state.instant is None:
        yield state.problem
        return
    try:
        for service in lookups.catalog.services:
            lookups.of(service.name).served()
    except StoreError as error:
        yield str(error)
        return
    if state.loss:
        yield f"{state.loss}; run `gatehouse materialize` to write all rows again"
    yield from _of_views(lookups.catalog, state.served, state.instant)


def _of_views(catalog: Catalog, served: Served, instant: datetime) -> Iterator[str]:
    """What is wrong with the views of the catalog's services."""
    needed = {name for service in catalog.services for name in service.views}
    for view in (view for view in catalog.views if view.name in needed):
        share = served.views.get(view.name)
        if share is None:
            yield f"view {view.name} is not served; run `gatehouse materialize`"
        elif isinstance(view, Profile):
            continue  # a profile does not age
        elif share.newest is None:
            yield f"view {view.name} has no rows"
        elif view.ttl and share.newest < instant - view.ttl:
            yield (
                f"view {view.name} is stale: its newest rows are of {share.newest:%Y-%m-%d %H:%M} UTC, "
                f"older than its TTL of {view.ttl.days} days"
            )
