"""The workload store-threads: all threads work, and what one raises is raised."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ramster.bench.local_stores import LocalStore, MemoryStore
from ramster.bench.model import Subject
from ramster.bench.store_threads import WORKLOAD, _each, _get, _parts, _put
from tests.support.bench_context import measured
from zcache import PAGE_SIZE


@pytest.mark.parametrize("subject", [Subject.NOTHING, Subject.ZCACHE])
def test_all_figures_are_measured_and_one_thread_does_not_scale(
    subject: Subject, tmp_path: Path
) -> None:
    declared = {figure.name for figure in WORKLOAD.figures}
    assert measured(WORKLOAD, subject, tmp_path, threads=3).keys() == declared
    one = measured(WORKLOAD, subject, tmp_path, threads=1)
    assert one.keys() == declared - {"scaling"}
    assert len(one["put_pages_s"]) == 3


def test_threads_run_together() -> None:
    together = threading.Barrier(3)
    seen: list[int] = []

    def work(part: tuple[LocalStore, int]) -> None:
        together.wait(30)  # passes only if all three are in here at once
        seen.append(part[1])

    parts = [(MemoryStore(), number) for number in range(3)]
    assert _each(parts, work) > 0
    assert sorted(seen) == [0, 1, 2]


@pytest.mark.parametrize("subject", [Subject.NOTHING, Subject.ZCACHE])
def test_threads_have_pages_of_their_own_in_one_store(subject: Subject) -> None:
    parts = _parts(subject, 3, 64)
    stored = [bytes([number]) * (64 * PAGE_SIZE) for number in range(3)]
    for part, pages in zip(parts, stored, strict=True):
        _put(part, memoryview(pages))
    for part, pages in zip(parts, stored, strict=True):
        _get(part, memoryview(pages))
    shared = [s.pages if isinstance(s, MemoryStore) else s.cache for s, _ in parts]  # type: ignore[attr-defined]
    assert all(one is shared[0] for one in shared)


def test_what_a_thread_raises_is_raised() -> None:
    def work(part: tuple[LocalStore, int]) -> None:
        raise AssertionError("a wrong page")

    with pytest.raises(AssertionError, match="a wrong page"):
        _each([(MemoryStore(), 0), (MemoryStore(), 64)], work)


def test_a_store_that_answers_wrongly_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryStore, "get_many", lambda self, indexes, into: None)
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.NOTHING, tmp_path, threads=2)
