"""The workload store-limit: what does not fit is missed, and compression makes more fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.local_stores import RecentPages
from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.store_limit import WORKLOAD
from tests.support.bench_context import measured, measured_apart


@pytest.mark.parametrize("subject", [Subject.NOTHING, Subject.ZCACHE])
def test_all_figures_are_measured(subject: Subject, tmp_path: Path) -> None:
    declared = {figure.name for figure in WORKLOAD.figures}
    assert measured(WORKLOAD, subject, tmp_path, pool=0.5).keys() == declared


def test_a_smaller_pool_misses_and_drops_more(tmp_path: Path) -> None:
    for subject in (Subject.NOTHING, Subject.ZCACHE):
        half = measured(WORKLOAD, subject, tmp_path, 0.1, pool=0.5)
        eighth = measured(WORKLOAD, subject, tmp_path, 0.1, pool=0.125)
        assert half["hit_ratio"] > eighth["hit_ratio"]
        assert half["evicted_per_read"] < eighth["evicted_per_read"]


def test_compression_hits_more_in_the_same_memory(tmp_path: Path) -> None:
    plain = measured_apart(WORKLOAD, Subject.NOTHING, tmp_path, 0.1, pool=0.25)
    cache = measured_apart(WORKLOAD, Subject.ZCACHE, tmp_path, 0.1, pool=0.25)
    assert cache["hit_ratio"] > plain["hit_ratio"]
    assert cache["resident_over_pool"][0] < 1.5


def test_a_hit_with_other_bytes_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecentPages, "get", lambda self, index: bytes(4096))
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.NOTHING, tmp_path, pool=0.5)


def test_other_subjects_are_not_available(tmp_path: Path) -> None:
    with pytest.raises(WorkloadUnavailable, match="memcached"):
        measured(WORKLOAD, Subject.MEMCACHED, tmp_path, pool=0.5)
