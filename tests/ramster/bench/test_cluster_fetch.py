"""cluster-fetch, small, on real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench_runs import cases, first, run

pytest.importorskip("grpc")


@pytest.mark.parametrize("case", cases("cluster-fetch"), ids=lambda case: case.label)
def test_fetches_are_timed_alone_and_together(case, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    samples = run(case, tmp_path)
    tail = [first(samples, f"fetch_{share}_us") for share in ("p50", "p99", "p999")]
    assert tail == sorted(tail)
    assert tail[0] > 0
    assert first(samples, "fetch16_pages_s") > 0
    assert first(samples, "read_in_order_mb_s") > 0
