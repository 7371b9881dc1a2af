"""What tells whether a server still has all rows that were written.

A server that is short of memory may throw any key away (`maxmemory` with an allkeys policy), and a node of a
cluster may come back empty. A lookup cannot tell such a row from one that never was; counts can.
https://valkey.io/topics/lru-cache/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Census:
    """A server's own counts at one instant.

    Attributes:
        keys: keys of its database, whoever wrote them, without the backend's own records.
        evicted: each process of the server to the keys that it has thrown away since it started.
    """

    keys: int = 0
    evicted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Witness:
    """What was there when rows had been written; kept beside the pointer.

    Attributes:
        keys: entity to the keys of its generation that is read.
        evicted: the census' when writing began, so that nothing thrown away meanwhile goes unseen.
    """

    keys: Mapping[str, int] = field(default_factory=dict)
    evicted: Mapping[str, int] = field(default_factory=dict)

    def loss(self, now: Census) -> str:
        """What must have been lost since, by a census of today; empty when nothing was.

        Evictions are never missed, though the keys may have been somebody else's. Keys that went in another
        way are missed while as many others lie in the same database.
        """
        evicted = sum(max(0, count - self.evicted.get(process, 0)) for process, count in now.evicted.items())
        if evicted:
            return f"the online store has thrown {evicted:,} keys away for want of memory"
        keys = sum(self.keys.values())
        if now.keys < keys:
            return f"the online store has lost {keys - now.keys:,} of {keys:,} keys"
        return ""
