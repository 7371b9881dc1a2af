"""Compile feature groups to Spark: events to tiles, tiles to snapshots, profile tables to views.

Only built-in expressions: no Python runs on a row. Whatever is collected per key is bounded, so a
key with a large share of all events costs no more memory than any other.
"""

from features.compile.spark.schemas import event_schema, tile_schema
from features.compile.spark.views import profile_rows, row_order, snapshots, tile_order, tiles

__all__ = ["event_schema", "profile_rows", "row_order", "snapshots", "tile_order", "tile_schema", "tiles"]
