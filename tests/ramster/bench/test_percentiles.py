"""Latencies summed up."""

from __future__ import annotations

import random

from ramster.bench.percentiles import latency_figures, latency_samples


def test_percentiles_are_of_the_nearest_rank() -> None:
    seconds = [n / 1e6 for n in range(1, 201)]
    random.Random(0).shuffle(seconds)
    found = latency_samples("map", seconds)
    assert {name: round(value) for name, value in found.items()} == {
        "map_p50_us": 100,
        "map_p95_us": 190,
        "map_p99_us": 198,
        "map_max_us": 200,
    }


def test_one_latency_is_every_percentile() -> None:
    assert set(latency_samples("x", [0.5]).values()) == {500_000.0}


def test_figures_are_declared_under_the_same_names() -> None:
    assert [f.name for f in latency_figures("x", "X")] == list(latency_samples("x", [0.5]))
