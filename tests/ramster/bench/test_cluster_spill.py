"""cluster-spill, small, on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench_runs import cases, run

pytest.importorskip("grpc")


def test_pages_leave_and_gets_are_timed(tmp_path: Path) -> None:
    samples = run(cases("cluster-spill")[0], tmp_path)
    for name in ("fill_mb_s", "spill_filling_mb_s", "spill_alone_mb_s"):
        assert len(samples[name]) == 3  # type: ignore[arg-type]
        assert min(samples[name]) > 0  # type: ignore[type-var, arg-type]


def test_it_is_measured_with_one_copy_and_with_two() -> None:
    assert [case.parameters["replicas"] for case in cases("cluster-spill")] == [1, 2]
