"""cluster-scale, small, on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench_runs import cases, first, run

pytest.importorskip("grpc")


def test_four_nodes_spill_fetch_and_are_summed_up(tmp_path: Path) -> None:
    (case,) = (one for one in cases("cluster-scale") if one.parameters["nodes"] == 4)
    samples = run(case, tmp_path)
    assert 0 < first(samples, "full_pages_s") < first(samples, "total_pages_s")
    assert first(samples, "moved_pages_s") > 0
    assert len(samples["full_get_p50_us"]) == len(samples["roomy_get_p99_us"]) == 2  # type: ignore[arg-type]


def test_it_goes_to_eight_nodes() -> None:
    assert [case.parameters["nodes"] for case in cases("cluster-scale")] == [2, 4, 8]
