"""Ids that profiles link to, an item's author: remembered, so that a request need not wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from features.declarations.groups import Profile
from features.serving.batch import ViewBatch
from features.serving.reader import Ids
from features.stores.packed.unpack import Column

_REMEMBERED = 1_000_000
"""Ids whose links are remembered; beyond so many they are forgotten together."""


class Links:
    """What each profile last said of the ids it was asked for. Safe to share between threads.

    Args:
        profiles: those that have links.
    """

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self._profiles = profiles
        self._last: dict[str, dict[str, tuple[str | None, ...]]] = {profile.name: {} for profile in profiles}

    def guess(self, given: Mapping[str, Ids], size: int) -> dict[str, Ids] | None:
        """Each linked id column as it was last; None when no profile was asked for any of these ids."""
        guessed: dict[str, Ids] = {}
        for profile in self._profiles:
            last, none = self._last[profile.name], (None,) * len(profile.links)
            own = given[profile.keys[0].column]
            rows = [last.get(id_ or "", none) for id_ in ([own] if isinstance(own, str) else own)]
            if all(row is none for row in rows):
                return None
            guessed |= _columns(profile, rows, own, size)
        return guessed

    def follow(self, given: Mapping[str, Ids], views: Mapping[str, ViewBatch], size: int) -> dict[str, Ids]:
        """Each linked id column as `views` tell; it is the next guess."""
        followed: dict[str, Ids] = {}
        for profile in self._profiles:
            links = [_ids(views[profile.name].column(link.column)) for link in profile.links]
            rows = list(zip(*links, strict=True))
            own = given[profile.keys[0].column]
            last = self._last[profile.name]
            if len(last) > _REMEMBERED:
                last.clear()
            last.update(zip([own] * size if isinstance(own, str) else own, rows, strict=True))  # type: ignore[arg-type]
            followed |= _columns(profile, rows, own, size)
        return followed


def _columns(profile: Profile, rows: Sequence[tuple[str | None, ...]], own: Ids, size: int) -> dict[str, Ids]:
    """The columns of a profile's links; one id for all rows where the profile's own key is."""
    if not isinstance(own, str):
        return {link.column: [row[place] for row in rows] for place, link in enumerate(profile.links)}
    columns: dict[str, Ids] = {}
    for place, link in enumerate(profile.links):
        id_ = rows[0][place] if rows else None
        columns[link.column] = [None] * size if id_ is None else id_
    return columns


def _ids(column: Column) -> list[str | None]:
    ids: list[str | None] = column.tolist() if isinstance(column, np.ndarray) else column.to_pylist()
    return ids
