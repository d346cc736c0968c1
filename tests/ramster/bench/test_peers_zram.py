"""peers-zram, small: the cache always, the device where the kernel and the user allow one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Case, Subject, WorkloadUnavailable
from tests.support.bench_runs import cases, first, run


@pytest.mark.parametrize("case", cases("peers-zram"), ids=lambda case: case.subject)
def test_it_is_measured(case: Case, tmp_path: Path) -> None:
    try:
        samples = run(case, tmp_path)
    except WorkloadUnavailable as reason:
        assert case.subject is Subject.ZRAM
        pytest.skip(str(reason))
    assert first(samples, "get_pages_s") > 0
    assert first(samples, "taken_bytes_page") > 0
