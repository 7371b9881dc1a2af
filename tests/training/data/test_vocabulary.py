from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from training.data.vocabulary import Vocabulary

COLUMN = st.lists(st.none() | st.text(max_size=2), max_size=30)


@given(COLUMN, COLUMN, st.integers(1, 3))
def test_fit_orders_by_count_then_value_whatever_the_row_order(left, right, min_count):
    counts = Counter(value for value in left + right if value is not None)
    expected = sorted((value for value in counts if counts[value] >= min_count),
                      key=lambda value: (-counts[value], value.encode()))  # fmt: skip
    columns = [pa.array(left, pa.string()), pa.array(right, pa.string())]
    assert list(Vocabulary.fit(columns, min_count).values) == expected
    assert Vocabulary.fit(columns[::-1], min_count) == Vocabulary.fit(columns, min_count)


@given(COLUMN, COLUMN)
def test_lookup_equals_a_dictionary(known, column):
    vocabulary = Vocabulary.fit([pa.array(known, pa.string())])
    index = {value: number for number, value in enumerate(vocabulary.values, start=1)}
    expected = [index.get(value, 0) for value in column]
    assert vocabulary.lookup(pa.array(column, pa.string())).tolist() == expected


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c"]), max_size=9))
def test_lookup_takes_dictionary_arrays(column):
    vocabulary = Vocabulary(["b", "a"])
    plain = pa.array(column, pa.string())
    assert vocabulary.lookup(plain.dictionary_encode()).tolist() == vocabulary.lookup(plain).tolist()


def test_lookup_reads_numbers_as_their_text():
    assert Vocabulary(["7", "1"]).lookup(pa.array([1, 7, 8, None])).tolist() == [2, 1, 0, 0]
