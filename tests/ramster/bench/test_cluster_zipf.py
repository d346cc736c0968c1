"""cluster-zipf, small, on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench_runs import cases, first, run

pytest.importorskip("grpc")


def test_popular_pages_come_home(tmp_path: Path) -> None:
    samples = run(cases("cluster-zipf")[1], tmp_path)
    cold, warm = first(samples, "local_share_cold"), first(samples, "local_share")
    assert 0 < cold < warm < 1
    assert 0 < first(samples, "local_share_best") < 1


def test_a_larger_pool_serves_more_at_home(tmp_path: Path) -> None:
    times_2, times_4 = (run(case, tmp_path) for case in cases("cluster-zipf"))
    assert first(times_2, "local_share_best") > first(times_4, "local_share_best")
    assert first(times_2, "local_share") > first(times_4, "local_share")
