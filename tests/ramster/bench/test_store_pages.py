"""The workload store-pages: what it measures follows from its data, and wrong pages are seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.local_stores import MemoryStore
from ramster.bench.model import Subject
from ramster.bench.store_pages import WORKLOAD
from tests.support.bench_context import measured, measured_apart
from zcache import PAGE_SIZE

CACHE_ONLY = {"frames_over_blobs", "blob_ratio"}


def test_both_subjects_measure_all_figures_that_they_have(tmp_path: Path) -> None:
    declared = {figure.name for figure in WORKLOAD.figures}
    cache = measured(WORKLOAD, Subject.ZCACHE, tmp_path, ratio=3.0, same=0.1)
    plain = measured(WORKLOAD, Subject.NOTHING, tmp_path, ratio=3.0, same=0.1)
    assert cache.keys() == declared
    assert plain.keys() == declared - CACHE_ONLY


@pytest.mark.parametrize("ratio", [1.0, 3.0, 10.0])
def test_blobs_have_the_ratio_and_memory_follows(ratio: float, tmp_path: Path) -> None:
    samples = measured_apart(WORKLOAD, Subject.ZCACHE, tmp_path, 0.25, ratio=ratio, same=0.0)
    assert samples["blob_ratio"] == [pytest.approx(ratio, rel=0.05)]
    blob = PAGE_SIZE / ratio
    frames = blob * samples["frames_over_blobs"][0]  # some of them not touched yet
    assert blob * 0.9 < samples["resident_bytes_page"][0] < frames + 800


def test_same_filled_pages_take_no_frames(tmp_path: Path) -> None:
    samples = measured_apart(WORKLOAD, Subject.ZCACHE, tmp_path, 0.25, ratio=1.0, same=0.9)
    assert samples["resident_bytes_page"][0] < PAGE_SIZE / 4


def test_plain_memory_takes_a_page_a_page(tmp_path: Path) -> None:
    samples = measured_apart(WORKLOAD, Subject.NOTHING, tmp_path, 0.25, ratio=10.0, same=0.5)
    assert PAGE_SIZE * 0.9 < samples["resident_bytes_page"][0] < PAGE_SIZE * 1.2


@pytest.mark.parametrize("call", ["get", "get_many", "flush"])
def test_a_store_that_answers_wrongly_fails(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryStore, call, lambda self, *arguments: None)
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.NOTHING, tmp_path, ratio=3.0, same=0.0)
