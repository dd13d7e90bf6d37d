import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.traffic import histogram

VALUES = st.lists(st.integers(0, 10**12) | st.integers(0, 5_000), max_size=200)
SHARES = st.floats(0, 1)


def of(values):
    return histogram.of_buckets([histogram.bucket(value) for value in values])


class TestBucket:
    @given(st.integers(1, 10**16))
    def test_middle_is_within_two_percent(self, value):
        (found,) = histogram.quantiles(of([value]), [0.5])[1]

        assert abs(found - value) <= 0.02 * value

    def test_edges_belong_to_the_bucket_that_begins_there(self):
        for b in range(20, 800):
            edge = math.ceil(histogram.GROWTH**b)

            assert histogram.bucket(edge) >= b
            assert histogram.bucket(edge - 1) <= b

    @given(st.integers(0, 10**16), st.integers(0, 10**16))
    def test_larger_values_are_never_in_smaller_buckets(self, one, other):
        low, high = sorted((one, other))

        assert histogram.bucket(low) <= histogram.bucket(high)

    @pytest.mark.parametrize("value", [-5, 0, 1])
    def test_nothing_is_below_the_first(self, value):
        assert histogram.bucket(value) == 0

    def test_last_one_takes_all_that_is_larger(self):
        assert histogram.bucket(10**30) == histogram.BUCKETS - 1


class TestMerge:
    @given(VALUES, VALUES)
    def test_is_the_histogram_of_both(self, some, others):
        merged = of(some) + of(others)

        assert histogram.decode(merged) == histogram.decode(of(some + others))

    @given(VALUES, VALUES)
    def test_order_does_not_matter(self, some, others):
        one, other = of(some), of(others)

        assert histogram.compact(one + other) == histogram.compact(other + one)

    def test_nothing_is_nothing(self):
        assert histogram.quantiles(b"", [0.5]) == (0, [None])


class TestEncode:
    @given(st.dictionaries(st.integers(0, histogram.BUCKETS - 1), st.integers(1, 10**9), max_size=50))
    def test_is_read_back(self, counts):
        assert histogram.decode(histogram.encode(counts)) == counts

    def test_bytes_are_those_of_the_docstring(self):
        # 8 in bucket 5 is one digit; 9 is the digits 1 and 1.
        assert histogram.encode({5: 8}) == (5 << 6 | 7).to_bytes(2, "little")
        assert histogram.encode({5: 9}) == (5 << 6).to_bytes(2, "little") + (5 << 6 | 1 << 3).to_bytes(2, "little")

    def test_a_million_calls_take_less_than_a_kilobyte(self):
        rng = random.Random(4)
        values = [int(rng.lognormvariate(9, 0.6)) for _ in range(20_000)] * 50

        assert len(histogram.compact(of(values))) < 1_024

    @given(st.lists(VALUES, max_size=5))
    def test_compacting_changes_no_count(self, several):
        whole = b"".join(of(values) for values in several)

        assert histogram.decode(histogram.compact(whole)) == histogram.decode(whole)
        assert len(histogram.compact(whole)) <= len(whole)

    def test_half_a_word_is_refused(self):
        with pytest.raises(ValueError, match="not a multiple"):
            histogram.decode(b"\x00")


class TestQuantile:
    @given(VALUES.filter(bool), SHARES)
    def test_is_within_two_percent_of_the_value_of_that_rank(self, values, share):
        exact = max(1, sorted(values)[math.floor(share * (len(values) - 1))])

        (found,) = histogram.quantiles(of(values), [share])[1]

        assert abs(found - exact) <= 0.02 * exact

    @given(VALUES)
    def test_count_is_how_many_there_were(self, values):
        assert histogram.decode(of(values)).total() == len(values)
