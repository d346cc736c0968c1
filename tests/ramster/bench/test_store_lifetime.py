"""The workload store-lifetime: the pool stays full, deaths leave gaps, compaction closes them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ramster.bench.local_stores import CacheStore
from ramster.bench.model import Subject
from ramster.bench.store_lifetime import LIFETIMES, WORKLOAD, _any, _mostly_young
from tests.support.bench_context import measured

CACHE_ONLY = {
    "refused_share",
    "frames_over_blobs_before",
    "frames_over_blobs_after",
    "compact_ms",
    "moved_per_put",
}


@pytest.mark.parametrize("lifetime", LIFETIMES)
@pytest.mark.parametrize("subject", [Subject.NOTHING, Subject.ZCACHE])
def test_all_figures_are_measured(lifetime: str, subject: Subject, tmp_path: Path) -> None:
    declared = {figure.name for figure in WORKLOAD.figures}
    samples = measured(WORKLOAD, subject, tmp_path, lifetime=lifetime)
    assert samples.keys() == (declared if subject is Subject.ZCACHE else declared - CACHE_ONLY)


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_compaction_leaves_fewer_gaps(lifetime: str, tmp_path: Path) -> None:
    samples = measured(WORKLOAD, Subject.ZCACHE, tmp_path, 0.25, lifetime=lifetime)
    (before,), (after,) = (
        samples["frames_over_blobs_before"],
        samples["frames_over_blobs_after"],
    )
    assert 1 < after <= before < 2
    assert 0 <= samples["refused_share"][0] < 0.5


def test_sizes_that_change_meet_the_limit_and_make_puts_compact(tmp_path: Path) -> None:
    uniform, fragmenting = (
        measured(WORKLOAD, Subject.ZCACHE, tmp_path, 0.25, lifetime=lifetime)
        for lifetime in ("uniform", "fragmenting")
    )
    assert fragmenting["moved_per_put"] > uniform["moved_per_put"]


def test_generations_die_young_and_others_at_any_age() -> None:
    chance = random.Random(1)
    young = [_mostly_young(1000, chance) for _ in range(2000)]
    assert sum(victim >= 900 for victim in young) == pytest.approx(0.91 * 2000, rel=0.05)
    anyone = [_any(1000, chance) for _ in range(2000)]
    assert sum(victim >= 900 for victim in anyone) == pytest.approx(0.10 * 2000, rel=0.3)
    assert {_mostly_young(1, chance), _any(1, chance)} == {0}


def test_a_page_that_changed_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CacheStore.__init__

    def forgetful(self: CacheStore, *arguments: int) -> None:
        whole(self, *arguments)
        self.get = lambda index: bytes(4096)  # type: ignore[assignment,misc]

    monkeypatch.setattr(CacheStore, "__init__", forgetful)
    with pytest.raises(AssertionError, match="not the bytes that were put"):
        measured(WORKLOAD, Subject.ZCACHE, tmp_path, lifetime="uniform")
