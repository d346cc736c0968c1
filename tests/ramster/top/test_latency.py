"""Quantiles of what operations took of late."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.histograms import Histogram
from ramster.top.latency import ANSWERS_MAX, OPERATIONS, Latencies
from tests.ramster.top.clusters import HOSTILE

BOUNDS = (0.001, 0.002, 0.005, 0.01)


def told(histogram: Histogram) -> dict[str, Any]:
    return {"latency": {"put": histogram.as_dict()}}


def test_the_last_answers_count_and_not_what_was_before() -> None:
    histogram, latencies = Histogram(BOUNDS), Latencies()
    for _ in range(1000):
        histogram.observe(0.009)
    latencies.take(told(histogram))
    took = latencies.of("put")
    assert took is not None
    assert took.p50_s > 0.005  # nothing of late yet: since the start
    for _ in range(10):
        histogram.observe(0.0015)
    latencies.take(told(histogram))
    took = latencies.of("put")
    assert took is not None
    assert 0.001 <= took.p50_s <= took.p99_s <= 0.002


def test_what_is_longer_ago_than_the_last_answers_is_forgotten() -> None:
    histogram, latencies = Histogram(BOUNDS), Latencies()
    for number in range(ANSWERS_MAX + 1):
        histogram.observe(0.009 if number == 0 else 0.0005)
        latencies.take(told(histogram))
    took = latencies.of("put")
    assert took is not None
    assert took.p99_s <= 0.001


def test_a_node_that_restarts_begins_anew() -> None:
    old, new, latencies = Histogram(BOUNDS), Histogram(BOUNDS), Latencies()
    for _ in range(100):
        old.observe(0.009)
    latencies.take(told(old))
    new.observe(0.0005)
    latencies.take(told(new))
    took = latencies.of("put")
    assert took is not None
    assert took.p99_s <= 0.001


def test_other_bounds_are_another_histogram() -> None:
    latencies = Latencies()
    for bounds in (BOUNDS, BOUNDS[:2]):
        histogram = Histogram(bounds)
        histogram.observe(0.0005)
        latencies.take(told(histogram))
    assert latencies.of("put") is not None


def test_an_operation_that_is_not_told_has_none() -> None:
    latencies = Latencies()
    assert latencies.of("put") is None
    latencies.take({"latency": {"put": None, "get_local": Histogram(BOUNDS).as_dict()}})
    assert latencies.of("put") is None
    assert latencies.of("get here") is None  # nothing was counted


def test_requests_of_block_devices_are_read_by_kind() -> None:
    histogram, latencies = Histogram(BOUNDS), Latencies()
    histogram.observe(0.0005)
    latencies.take({"latency": {"nbd": {"read": histogram.as_dict()}}})
    assert latencies.of("nbd read") is not None
    assert latencies.of("nbd write") is None


@pytest.mark.parametrize(
    "histogram",
    [
        3,
        {"bounds": [1, 2], "counts": [1, 2]},
        {"bounds": [], "counts": [1]},
        {"bounds": [2, 1], "counts": [1, 1, 1]},
        {"bounds": [1, 1], "counts": [1, 1, 1]},
        {"bounds": [1, "2"], "counts": [1, 1, 1]},
        {"bounds": [1, math.nan], "counts": [1, 1, 1]},
        {"bounds": [1, 2], "counts": [1, -1, 1]},
        {"bounds": [1, 2], "counts": [1e300, 1, 1]},
        {"bounds": [1, 2], "counts": HOSTILE},
        {"bounds": list(range(1, 2000)), "counts": [1] * 2000},
    ],
)
def test_a_histogram_that_makes_no_sense_is_none(histogram: object) -> None:
    latencies = Latencies()
    latencies.take({"latency": {"put": histogram}})
    assert latencies.of("put") is None


COUNTS = st.lists(st.integers(0, 10**9) | st.floats(0, 1e24), min_size=5, max_size=5)


@given(st.lists(COUNTS, max_size=15))
def test_whatever_is_told_quantiles_are_in_order_and_within_the_bounds(
    answers: list[list[float]],
) -> None:
    latencies = Latencies()
    for counts in answers:
        latencies.take({"latency": {"put": {"bounds": list(BOUNDS), "counts": counts}}})
        for operation in OPERATIONS:
            took = latencies.of(operation)
            if took is not None:
                assert 0 <= took.p50_s <= took.p99_s <= BOUNDS[-1]
