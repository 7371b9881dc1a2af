"""Errors of the stores and of what is asked of them."""

from __future__ import annotations

from features.declarations.errors import GatehouseError


class StoreError(GatehouseError):
    """A store's files or settings are not in a state that can be worked with."""


class SpineError(GatehouseError):
    """A spine that features cannot be joined to: a column is missing, ambiguous or of the wrong type."""


class StoreUnavailableError(StoreError):
    """A store does not answer: it is away, slow, locked or damaged."""
