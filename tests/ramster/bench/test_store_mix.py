"""The workload store-mix: the mixes are as said, and every get is compared."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ramster.bench.local_stores import MemoryStore
from ramster.bench.model import Subject
from ramster.bench.store_mix import _FLUSH, _GET, _PUT, MIXES, WORKLOAD, _sequence
from tests.support.bench_context import measured


def test_mixes_are_shares_of_a_hundred() -> None:
    assert all(sum(mix) == 100 for mix in MIXES.values())


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("keys", ["uniform", "zipf"])
def test_all_figures_are_measured_on_both_subjects(mix: str, keys: str, tmp_path: Path) -> None:
    declared = {figure.name for figure in WORKLOAD.figures}
    for subject in (Subject.NOTHING, Subject.ZCACHE):
        assert measured(WORKLOAD, subject, tmp_path, mix=mix, keys=keys).keys() == declared


@pytest.mark.parametrize("mix", MIXES)
def test_calls_come_in_the_shares_of_their_mix(mix: str) -> None:
    calls = _sequence(20_000, 500, {"mix": mix, "keys": "zipf"}, random.Random(1))
    kinds = [kind for kind, _, _ in calls]
    for kind, share in zip((_PUT, _GET, _FLUSH), MIXES[mix], strict=True):
        assert kinds.count(kind) / 200 == pytest.approx(share, abs=1.5)


def test_a_page_that_is_not_the_last_one_put_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryStore, "put", lambda self, index, page: None)  # the old one stays
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.NOTHING, tmp_path, mix="write-heavy", keys="zipf")
