"""What a gate found, in words a person can act on: per day, with the rows at fault."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.compile.drift import words_behind
from features.compile.expectations import (
    DS,
    Expectation,
    TableSuites,
    column_of,
    null_share_of,
    nulls_behind,
    positive_share_of,
    rows_behind,
    type_of,
    unknown_share_of,
    words_of,
)
from pipelines.gates.expect import Expectations
from pipelines.gates.partitions import Partition, rows_frame, statistics_frame
from pipelines.verdicts import Failure

EXAMPLES = 5
SHOWN_VALUES = 3

Findings = dict[str, list[Failure]]  # partition name to what is wrong with it


def find_failures(
    expectations: Expectations, suites: TableSuites, partitions: Sequence[Partition], title: str
) -> Findings:
    """Validate partitions together, then tell which of them do not meet which expectation.

    Args:
        expectations: the gate's run of Great Expectations.
        suites: what is expected of the table.
        partitions: some days of the table, read.
        title: the run's name in Data Docs.
    """
    findings: Findings = {partition.name: [] for partition in partitions}
    statistics, rows = statistics_frame(partitions), rows_frame(partitions)
    for unmet in expectations.unmet(suites.partitions, statistics, title):
        for position in expectations.rows_at_fault(unmet, statistics):
            facts = statistics.iloc[position]
            own = rows[rows[DS] == facts[DS]].reset_index(drop=True) if len(rows) else rows
            nulls = nulls_behind(unmet) if len(own) else None
            at_fault = own.iloc[expectations.rows_at_fault(nulls, own)] if nulls else own.iloc[:0]
            findings[facts[DS]].append(_failure(unmet, suites, _observed(unmet, facts), at_fault, len(own)))
    if len(rows) == 0:
        return findings
    for unmet in expectations.unmet(suites.rows, rows, title):
        at_fault = rows.iloc[expectations.rows_at_fault(rows_behind(unmet), rows)]
        for name, own in at_fault.groupby(DS, observed=True, sort=False):
            total = int((rows[DS] == name).sum())
            findings[str(name)].append(_failure(unmet, suites, _values(unmet, own), own, total))
    return findings


def _failure(
    expectation: Expectation, suites: TableSuites, observed: str, rows: pd.DataFrame, total: int
) -> Failure:
    columns = dict.fromkeys((*suites.keys, *_columns(expectation, rows)))
    examples = tuple(
        ", ".join(f"{column}={_text(row[column])}" for column in columns)
        for _, row in rows.head(EXAMPLES).iterrows()
    )
    column, words = column_of(expectation), words_of(expectation)
    found = f"{observed} in {len(rows)} of {total} rows" if len(rows) else observed
    shown = f"; for example {'; '.join(examples)}" if examples else ""
    return Failure(
        column=column,
        expectation=words,
        observed=observed,
        rows=len(rows),
        examples=examples,
        message=f'{column}: expected "{words}", found {found}{shown}',
    )


def _observed(expectation: Expectation, statistics: pd.Series) -> str:
    """The statistic that is not as expected, in words."""
    column = column_of(expectation)
    statistic = getattr(expectation, "column", None)
    rows = statistics["rows"]
    if isinstance(words := statistics.get(words_behind(str(statistic))), str):
        return words
    if statistic == "ratio":
        usual = statistics["usual_rows"]
        return f"{rows} rows, {statistics['ratio']:.3g} times the usual {usual:g}"
    if statistic == type_of(column):
        found = statistics[statistic]
        return "no such column" if found == "absent" else f"type {found}"
    if statistic == null_share_of(column):
        return f"{column} null"
    if statistic == positive_share_of(column):
        return f"only {statistics[statistic]:g}"
    if statistic == unknown_share_of(column):
        return "null in all of them"
    if statistic == "quarantined_share":
        return f"{statistics[statistic]:.1%} of them: {statistics['quarantined_for']}"
    if statistic is None:
        return f"{rows} rows for {statistics['events']} events"
    return f"{statistic}={_text(statistics[statistic])}"


def _values(expectation: Expectation, rows: pd.DataFrame) -> str:
    """The values at fault, the first few distinct ones."""
    found = rows[list(_columns(expectation, rows))].drop_duplicates()
    shown = [
        ", ".join(f"{column}={_text(value)}" for column, value in row.items())
        for _, row in found.head(SHOWN_VALUES).iterrows()
    ]
    more = f" and {len(found) - SHOWN_VALUES} other values" if len(found) > SHOWN_VALUES else ""
    return f"{' or '.join(shown)}{more}"


def _columns(expectation: Expectation, rows: pd.DataFrame) -> tuple[str, ...]:
    """The columns of the rows that an expectation looks at."""
    named = (
        getattr(expectation, "column", None),
        getattr(expectation, "column_A", None),
        getattr(expectation, "column_B", None),
        *getattr(expectation, "column_list", ()),
        *column_of(expectation).split(", "),
    )
    return tuple(dict.fromkeys(column for column in named if column in rows.columns and column != DS))


def _text(value: object) -> str:
    """A value as a person reads it."""
    if value is None or value is pd.NaT or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "null"
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
