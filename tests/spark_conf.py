"""Settings of a Spark session that hold for some lines of a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

PARTITIONS = "spark.sql.shuffle.partitions"
COALESCED = "spark.sql.adaptive.coalescePartitions.enabled"


@contextmanager
def changed(spark: Any, settings: Mapping[str, str]) -> Iterator[None]:
    """Set `settings`, and what they were before at the end."""
    before = {name: spark.conf.get(name) for name in settings}
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)
