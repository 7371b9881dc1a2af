"""Who is let in: a token is asked for at every endpoint but those that say how the service is."""

from __future__ import annotations

import math
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from features.declarations.catalog import Catalog
from features.serving.web.errors import RefusedError
from features.serving.web.limits import Buckets
from features.serving.web.replies import problem
from features.serving.web.tokens import Grant, Tokens

OPEN = frozenset({"/healthz", "/readyz"})


class Door:
    """Finds the grant of a request's token, and counts the request against its rate.

    The grant is left in the request's state; it is None where everybody is let in.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens | None, buckets: Buckets) -> None:
        self._app = app
        self._tokens = tokens
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            grant = None
            if self._tokens is not None and scope["path"] not in OPEN:
                grant = self._tokens.find(_bearer(scope))
                if grant is None:
                    refusal = problem(
                        401,
                        "send a token: Authorization: Bearer TOKEN; `gatehouse token NAME` makes one",
                        {"WWW-Authenticate": "Bearer"},
                    )
                    await refusal(scope, receive, send)
                    return
                if wait := self._buckets.take(grant.sha256):
                    refusal = problem(
                        429, f"{grant.name} asks too often", {"Retry-After": str(math.ceil(wait))}
                    )
                    await refusal(scope, receive, send)
                    return
            scope.setdefault("state", {})["grant"] = grant
        await self._app(scope, receive, send)


def require(grant: Grant | None, service: str, *, rank: bool = False) -> None:
    """Let a request through that the grant covers.

    Raises:
        RefusedError: 403, it does not.
    """
    if grant is None:
        return
    if service not in grant.services:
        raise RefusedError(403, f"the token of {grant.name} is not for feature service {service}")
    if rank and not grant.rank:
        raise RefusedError(403, f"the token of {grant.name} is for lookups only, not for ranking")


def require_views(grant: Grant | None, catalog: Catalog, views: Collection[str]) -> None:
    """Let features of `views` through when each view belongs to a feature service of the grant.

    Raises:
        RefusedError: 403, one does not.
    """
    if grant is None:
        return
    granted = {
        view for service in catalog.services if service.name in grant.services for view in service.views
    }
    refused = sorted(set(views) - granted)
    if refused:
        raise RefusedError(403, f"the token of {grant.name} is not for the views {', '.join(refused)}")


def _bearer(scope: Scope) -> str:
    """The token that a request brings; empty when it brings none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            return str(token.strip()) if kind.lower() == "bearer" else ""
    return ""
