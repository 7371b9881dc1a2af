"""Errors of encoding and of encoded arrays."""

from __future__ import annotations

from features.declarations.errors import GatehouseError


class EncodingError(GatehouseError):
    """Rows that cannot be encoded: a column is missing or has another shape than declared."""


class EncodedDataError(GatehouseError):
    """Encoded arrays that are missing, incomplete or do not hold what is asked of them."""
