"""The workload store-threads: all threads work, and what one raises is raised."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ramster.bench.local_stores import LocalStore, MemoryStore
from ramster.bench.model import Subject
from ramster.bench.store_threads import WORKLOAD, _each
from tests.support.bench_context import measured


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
    seen: list[LocalStore] = []

    def work(store: LocalStore) -> None:
        together.wait(30)  # passes only if all three are in here at once
        seen.append(store)

    stores = [MemoryStore() for _ in range(3)]
    assert _each(stores, work) > 0
    assert {id(store) for store in seen} == {id(store) for store in stores}


def test_what_a_thread_raises_is_raised() -> None:
    def work(store: LocalStore) -> None:
        raise AssertionError("a wrong page")

    with pytest.raises(AssertionError, match="a wrong page"):
        _each([MemoryStore(), MemoryStore()], work)


def test_a_store_that_answers_wrongly_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryStore, "get_many", lambda self, indexes, into: None)
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.NOTHING, tmp_path, threads=2)
