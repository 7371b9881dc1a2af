"""The population stability index and its bins against loops over the values."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates.drift import (
    FLOOR,
    TOP_VALUES,
    Bins,
    Distribution,
    chance,
    count,
    divide,
    largest_shift,
    null_chance,
    null_share,
    psi,
)

# Few different values, so that heavy ones and ties are common.
numbers = st.lists(st.one_of(st.none(), st.integers(0, 6).map(float), st.floats(-9, 9, width=32)), min_size=1)
words = st.lists(st.one_of(st.none(), st.sampled_from("abcde")), min_size=1)
counts = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any)


def column(values: list[float | None], dtype: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, dtype or pa.float32())])


def counted_by_loop(values: list[float | None], bins: Bins) -> tuple[int, ...]:
    edges = [-math.inf, *bins.edges, math.inf]
    known = [value for value in values if value is not None]
    return tuple(sum(low < value <= high for value in known) for low, high in pairwise(edges))


def index_by_loop(expected: list[int], actual: list[int]) -> float:
    total = 0.0
    for before, after in zip(expected, actual, strict=True):
        q, p = max(before / sum(expected), FLOOR), max(after / sum(actual), FLOOR)
        total += (p - q) * math.log(p / q)
    return total


@given(numbers, numbers)
def test_count_puts_each_number_into_its_bin(
    baseline: list[float | None], values: list[float | None]
) -> None:
    bins = divide(column(baseline))
    assert count(column(values), bins, 1).counts == counted_by_loop(values, bins)


@given(numbers, st.randoms())
def test_bins_do_not_depend_on_the_order_of_rows(values: list[float | None], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert divide(column(shuffled)) == divide(column(values))


@given(numbers)
def test_a_value_of_a_tenth_of_the_rows_or_more_has_a_bin_of_its_own(values: list[float | None]) -> None:
    bins = divide(column(values))
    known = Counter(value for value in values if value is not None)
    heavy = [value for value, rows in known.items() if rows >= 0.1 * known.total()]
    for value in heavy:
        only = count(column([value]), bins, 1).counts.index(1)
        assert count(column(values), bins, 1).counts[only] == known[value]
        assert bins.label(only) == f"{value + 0.0:g}"


@given(words, words)
def test_count_of_text_keeps_the_most_frequent_and_the_rest(baseline: list[str], values: list[str]) -> None:
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        bins = divide(pa.chunked_array([pa.array(baseline, pa.string()).cast(kind)]))
        found = count(pa.chunked_array([pa.array(values, pa.string()).cast(kind)]), bins, 1)
        known = Counter(value for value in values if value is not None)
        named = [known[value] for value in bins.values]
        assert found.counts == (*named, known.total() - sum(named))


def test_rare_texts_share_a_bin_when_there_are_many() -> None:
    bins = divide(pa.chunked_array([pa.array([str(n) for n in range(30)] + ["7", "9", "9"])]))
    assert bins.values[:2] == ("9", "7")
    assert len(bins.values) == TOP_VALUES
    assert bins.label(TOP_VALUES) == "other values"


@given(numbers, numbers, numbers)
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(
    baseline: list[float | None], left: list[float | None], right: list[float | None]
) -> None:
    bins = divide(column(baseline))
    parts = [count(column(part), bins, 1).counts for part in (left, right)]
    assert count(column(left + right), bins, 1).counts == tuple(map(sum, zip(*parts, strict=True)))


@given(counts, st.data())
def test_psi_is_what_a_loop_over_the_bins_says(expected: list[int], data: st.DataObject) -> None:
    size = len(expected)
    actual = data.draw(st.lists(st.integers(0, 50), min_size=size, max_size=size).filter(any))
    found = psi(expected, actual)
    assert found == pytest.approx(index_by_loop(expected, actual))
    assert found == pytest.approx(psi(actual, expected))
    assert found is not None
    assert found >= 0.0


@given(counts, st.integers(1, 9))
def test_psi_is_zero_when_the_shares_are_equal(expected: list[int], times: int) -> None:
    assert psi(expected, [times * rows for rows in expected]) == pytest.approx(0.0, abs=1e-12)


@given(st.integers(1, 20), st.integers(1, 20))
def test_psi_grows_with_the_shift(near: int, further: int) -> None:
    def shifted(rows: int) -> float:
        return psi([50, 50], [50 - rows, 50 + rows]) or 0.0

    assert shifted(near + further) > shifted(near)


def test_psi_is_unknown_when_a_sample_has_no_values() -> None:
    assert psi([0, 0], [1, 2]) is None
    assert psi([1, 2], [0, 0]) is None


def test_chance_is_rarely_exceeded_by_samples_of_one_distribution() -> None:
    rng = np.random.default_rng(0)
    for units in (200, 2000):
        baseline = column(list(rng.normal(size=units)))
        expected = count(baseline, divide(baseline), units)
        found = [
            psi(expected.counts, actual.counts) or 0.0
            for actual in (
                count(column(list(rng.normal(size=units))), expected.bins, units) for _ in range(200)
            )
        ]
        bound = chance(expected, expected)
        assert max(found) < bound < 10.0 * float(np.median(found))


def test_chance_is_endless_when_nothing_was_counted() -> None:
    nothing = Distribution(bins=Bins(edges=(0.0,)), counts=(0, 0), units=0)
    assert chance(nothing, nothing) == math.inf
    assert null_chance(0.0, 0, 5) == math.inf


def test_null_chance_shrinks_as_keys_grow() -> None:
    bounds = [null_chance(0.2, units, units) for units in (10, 100, 1000, 10_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert null_chance(0.0, 1000, 1000) > 0.0


@given(st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(0, 1, width=32)), min_size=1))
def test_a_null_and_nan_are_in_no_bin(values: list[float | None]) -> None:
    nulls = sum(value is None or math.isnan(value) for value in values)
    assert null_share(column(values)) == nulls / len(values)
    assert sum(count(column(values), divide(column(values)), 1).counts) == len(values) - nulls


@pytest.mark.parametrize(
    ("edges", "labels"),
    [
        ((), ["any number"]),
        ((1.0, 3.0), ["up to 1", "above 1 up to 3", "above 3"]),
        ((math.nextafter(0, -1), 0.0, 3.0), ["below 0", "0", "above 0 up to 3", "above 3"]),
    ],
)
def test_bins_are_named_as_people_say_them(edges: tuple[float, ...], labels: list[str]) -> None:
    bins = Bins(edges=edges)
    assert [bins.label(position) for position in range(len(edges) + 1)] == labels


def test_largest_shift_names_the_bin_that_moved_most() -> None:
    baseline = column([0.0] * 12 + [float(n) for n in range(1, 89)])
    expected = count(baseline, divide(baseline), 100)
    actual = count(column([0.0] * 71 + [float(n) for n in range(1, 88, 3)]), expected.bins, 100)
    assert largest_shift(expected, actual) == "the share of 0 went from 12% to 71%"
