"""Compile declarations to expectations of drift: how far a feature may lie from its training days.

They look at statistics of a partition, as null shares do, and join the partitions suite of a table
that has a baseline. A statistic that is null was not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from great_expectations import ExpectationSuite
from great_expectations import expectations as gxe

from features.compile.expectations import Expectation, TableSuites
from features.declarations.features import Feature


def psi_of(column: str) -> str:
    """Name of the statistic that holds a column's population stability index, None if it was not judged."""
    return f"{column}.psi"


def null_shift_of(column: str) -> str:
    """Name of the statistic that holds how far a column's share of nulls moved; None if not judged."""
    return f"{column}.null_shift"


def words_behind(statistic: str) -> str:
    """Name of the statistic that says another one in words."""
    return f"{statistic}.words"


def with_drift(
    suites: TableSuites, indices: Mapping[str, Feature], null_shifts: Mapping[str, Feature]
) -> TableSuites:
    """The suites of a table, some columns held to what they look like in the training days as well.

    Args:
        suites: the table's.
        indices: columns whose population stability index is judged.
        null_shifts: columns whose share of nulls is.
    """
    expectations = [
        *suites.partitions.expectations,
        *(_index(column, feature.max_psi) for column, feature in indices.items()),
        *(_null_shift(column, feature.max_null_shift) for column, feature in null_shifts.items()),
    ]
    partitions = ExpectationSuite(name=suites.partitions.name, expectations=expectations)
    return replace(suites, partitions=partitions)


def _index(column: str, most: float) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=psi_of(column),
        max_value=most,
        description=f"PSI of {column} against the training days is at most {most:g}",
        meta={"column": column},
    )


def _null_shift(column: str, most: float) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=null_shift_of(column),
        max_value=most,
        description=f"the share of nulls of {column} is within {most:.0%} of that of the training days",
        meta={"column": column},
    )
