"""Why a request is refused."""

from __future__ import annotations

from features.declarations.errors import GatehouseError


class RefusedError(GatehouseError):
    """A request that is not answered.

    Attributes:
        status: the HTTP status that says so.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TokenError(GatehouseError):
    """The file of tokens, or what it should take in, is not in order."""
