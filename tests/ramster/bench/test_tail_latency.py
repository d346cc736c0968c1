"""Percentiles of latencies, held against a definition that is simple and slow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.tail_latency import P50_P99_P999, tail_figures, tail_samples

SECONDS = st.lists(st.floats(0, 100), min_size=1, max_size=300)


@given(SECONDS)
def test_a_percentile_is_the_least_latency_that_so_many_do_not_exceed(seconds: list[float]) -> None:
    found = tail_samples("read", seconds, P50_P99_P999)
    for share, part in P50_P99_P999.items():
        enough = [s for s in seconds if sum(t <= s for t in seconds) >= part * len(seconds)]
        assert found[f"read_{share}_us"] == min(enough) * 1e6


def test_the_tail_of_a_thousand_is_its_last_but_one() -> None:
    found = tail_samples("read", [n / 1e6 for n in range(1, 1001)], P50_P99_P999)
    assert [round(value) for value in found.values()] == [500, 990, 999]


def test_figures_and_samples_have_the_same_names() -> None:
    names = [figure.name for figure in tail_figures("read", "One read", P50_P99_P999)]
    assert names == list(tail_samples("read", [1.0], P50_P99_P999))
    assert tail_figures("read", "One read")[0].text == "One read (p50)."
