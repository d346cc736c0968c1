"""Histograms: what falls where, and quantiles."""

from __future__ import annotations

import json
import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.histograms import (
    BATCH_PAGES,
    DEVICE_SECONDS,
    NETWORK_SECONDS,
    STORE_SECONDS,
    BatchHistogram,
    Histogram,
    quantile,
)

ALL_BOUNDS = [BATCH_PAGES, DEVICE_SECONDS, NETWORK_SECONDS, STORE_SECONDS]
VALUES = st.lists(st.floats(0, 20, allow_nan=False), max_size=60)


@pytest.mark.parametrize("bounds", ALL_BOUNDS)
def test_bounds_rise_and_are_few(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) <= 24


def test_bounds_are_the_round_numbers_that_they_are_written_as() -> None:
    assert STORE_SECONDS[:4] == (1e-6, 2.5e-6, 5e-6, 1e-5)
    assert STORE_SECONDS[-3:] == (2.5, 5.0, 10.0)
    assert (NETWORK_SECONDS[0], DEVICE_SECONDS[0]) == (1e-4, 1e-5)
    assert (BATCH_PAGES[0], BATCH_PAGES[-1]) == (1, 4096)


def test_a_bound_belongs_to_the_bucket_that_it_ends() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.1, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]


@given(VALUES)
def test_every_value_is_counted_once(values: list[float]) -> None:
    histogram = Histogram(NETWORK_SECONDS)
    for value in values:
        histogram.observe(value)
    found = histogram.as_dict()
    assert found["count"] == sum(found["counts"]) == len(values)
    assert found["sum"] == pytest.approx(sum(values), abs=1e-6)
    assert len(found["counts"]) == len(found["bounds"]) + 1
    for bound, upto in zip(
        found["bounds"],
        [sum(found["counts"][: n + 1]) for n in range(len(found["bounds"]))],
        strict=True,
    ):
        assert upto == sum(value <= bound for value in values)


def test_a_snapshot_is_json_and_stays_as_it_was() -> None:
    histogram = Histogram(BATCH_PAGES)
    histogram.observe(3)
    before = histogram.as_dict()
    histogram.observe(5)
    assert json.loads(json.dumps(before)) == before
    assert before["count"] == 1


def test_nothing_has_no_quantile() -> None:
    assert quantile(0.5, BATCH_PAGES, [0] * 14) is None


def test_quantiles_are_interpolated_within_a_bucket() -> None:
    # As Prometheus does: 4 values up to 1, 4 more up to 3.
    assert quantile(0.5, (1.0, 3.0), [4, 4, 0]) == 1.0
    assert quantile(0.75, (1.0, 3.0), [4, 4, 0]) == 2.0
    assert quantile(0.25, (1.0, 3.0), [4, 4, 0]) == 0.5
    assert quantile(0.0, (1.0, 3.0), [0, 4, 0]) == 1.0
    assert quantile(1.0, (1.0, 3.0), [4, 4, 0]) == 3.0


def test_above_all_bounds_the_last_one_is_the_answer() -> None:
    assert quantile(0.99, (1.0, 3.0), [0, 0, 5]) == 3.0


@given(st.lists(st.floats(1e-5, 9.9), min_size=1, max_size=60), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    histogram = Histogram(NETWORK_SECONDS)
    for value in values:
        histogram.observe(value)
    found = quantile(share, histogram.bounds, histogram.counts)
    assert found is not None
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    bucket = bisect_left(NETWORK_SECONDS, true)
    assert (0.0, *NETWORK_SECONDS)[bucket] <= found <= NETWORK_SECONDS[bucket]


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 10_000)), max_size=40))
def test_a_batch_is_counted_as_by_two_histograms(batches: list[tuple[float, int]]) -> None:
    both = BatchHistogram(STORE_SECONDS)
    seconds, pages = Histogram(STORE_SECONDS), Histogram(BATCH_PAGES)
    for took, size in batches:
        both.observe(took, size)
        seconds.observe(took)
        pages.observe(size)
    assert both.durations.as_dict() == seconds.as_dict()
    assert both.sizes.as_dict() == pages.as_dict()
