"""Names that are safe unquoted in SQL, in Feast's registry and in file paths."""

from __future__ import annotations

import re

from features.declarations.errors import DeclarationError

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


def checked_name(name: str, what: str) -> str:
    """Return `name`, or raise `DeclarationError` saying which `what` carries a bad name."""
    if not NAME.match(name):
        raise DeclarationError(
            f"{what} {name!r} is not a valid name: it must match ^[a-z][a-z0-9_]{{0,62}}$ "
            "because it goes into SQL, paths and Feast's registry. Rename it."
        )
    return name
