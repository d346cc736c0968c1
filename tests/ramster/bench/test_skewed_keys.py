"""Sequences of keys: in range, skewed as said."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.skewed_keys import uniform, zipf


@given(st.integers(1, 300), st.integers(0, 300), st.integers())
def test_keys_are_in_range_and_as_many_as_asked_for(keys: int, count: int, seed: int) -> None:
    for draw in (uniform, zipf):
        drawn = draw(count, keys, random.Random(seed))
        assert len(drawn) == count
        assert set(drawn) <= set(range(keys))
        assert drawn == draw(count, keys, random.Random(seed))


def test_zipf_halves_from_the_first_to_the_second() -> None:
    counts = Counter(zipf(100_000, 100, random.Random(1), exponent=1.0)).most_common()
    shares = [count / 100_000 for _, count in counts]
    total = sum(1 / rank for rank in range(1, 101))
    assert shares[0] == pytest.approx(1 / total, rel=0.05)
    assert shares[1] == pytest.approx(1 / 2 / total, rel=0.05)


def test_popular_keys_are_scattered() -> None:
    popular = [key for key, _ in Counter(zipf(50_000, 1000, random.Random(1))).most_common(10)]
    assert max(popular) - min(popular) > 100


def test_uniform_keys_are_alike() -> None:
    counts = Counter(uniform(100_000, 10, random.Random(1)))
    assert all(count == pytest.approx(10_000, rel=0.1) for count in counts.values())
