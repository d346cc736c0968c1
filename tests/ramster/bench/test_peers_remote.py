"""peers-remote, small, for every rival that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Case, Subject
from tests.support.bench_runs import cases, first, run
from tests.support.rival_programs import need_for


@pytest.mark.nbd_clients
@pytest.mark.parametrize("case", cases("peers-remote"), ids=lambda case: case.subject)
def test_it_is_measured(case: Case, tmp_path: Path) -> None:
    need_for(case.subject)
    if case.subject is Subject.RAMSTER:
        pytest.importorskip("grpc")
    samples = run(case, tmp_path)
    tail = [first(samples, f"get_{share}_us") for share in ("p50", "p99", "p999")]
    assert tail == sorted(tail)
    assert first(samples, "get32_mb_s") > 0
    assert first(samples, "held_bytes_page") > 0
