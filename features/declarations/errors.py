"""The errors that every part of Gatehouse raises: what went wrong, where, and the way out."""

from __future__ import annotations


class GatehouseError(Exception):
    """Base of the project's errors; the command line prints it without a traceback.

    Attributes:
        exit_code: the process exit status the command line ends with.
    """

    exit_code = 1


class DeclarationError(GatehouseError):
    """A declaration that cannot work; raised when the declaring module is imported."""
