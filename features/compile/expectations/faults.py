"""The rows at fault: what to ask of rows where a suite was not met."""

from __future__ import annotations

from great_expectations import expectations as gxe

from features.compile.expectations.checks import Expectation, column_of
from features.compile.expectations.frames import null_share_of


def rows_behind(expectation: Expectation) -> Expectation:
    """The expectation that points at the rows because of which one of a rows suite was not met."""
    match expectation:
        case gxe.ExpectColumnMinToBeBetween(column=column, min_value=low):
            return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low)
        case gxe.ExpectColumnMaxToBeBetween(column=column, max_value=high):
            return gxe.ExpectColumnValuesToBeBetween(column=column, max_value=high)
    return expectation


def nulls_behind(expectation: Expectation) -> Expectation | None:
    """The same for one of a partitions suite: the nulls behind a null share.

    None where no row is at fault but the partition as a whole: its volume, a column's type.
    """
    column = column_of(expectation)
    if getattr(expectation, "column", None) == null_share_of(column):
        return gxe.ExpectColumnValuesToNotBeNull(column=column)
    return None
