"""Which rows are asked for where a suite was not met."""

from __future__ import annotations

from great_expectations import expectations as gxe

from features.compile.expectations import event_suites, nulls_behind, rows_behind
from features.declarations.catalogs import find_catalog


def test_rows_behind_extremes_are_the_values_beyond_them() -> None:
    least = gxe.ExpectColumnMinToBeBetween(column="rate", min_value=0.0)
    greatest = gxe.ExpectColumnMaxToBeBetween(column="rate", max_value=1.0)
    assert rows_behind(least) == gxe.ExpectColumnValuesToBeBetween(column="rate", min_value=0.0)
    assert rows_behind(greatest) == gxe.ExpectColumnValuesToBeBetween(column="rate", max_value=1.0)


def test_nulls_stand_behind_a_null_share_and_behind_nothing_else() -> None:
    suites = event_suites(find_catalog("kuairand-pure"))
    behind = {getattr(check, "column", None): nulls_behind(check) for check in suites.partitions.expectations}
    assert behind["label_click.null_share"] == gxe.ExpectColumnValuesToNotBeNull(column="label_click")
    assert behind["label_click.type"] is None
    assert behind["ratio"] is None
