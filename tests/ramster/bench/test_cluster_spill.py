"""cluster-spill, small, on real nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from ramster.bench import cluster_spill
from ramster.bench.lending import Owner
from ramster.cluster_store import ClusterStore
from tests.support.bench_runs import cases, run

pytest.importorskip("grpc")


def test_pages_leave_and_gets_are_timed(tmp_path: Path) -> None:
    samples = run(cases("cluster-spill")[0], tmp_path)
    for name in ("fill_mb_s", "spill_filling_mb_s", "spill_alone_mb_s"):
        assert len(samples[name]) == 3  # type: ignore[arg-type]
        assert min(samples[name]) > 0  # type: ignore[type-var, arg-type]


def test_gets_that_are_called_local_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, int]] = []
    probe = cluster_spill._probe

    async def counted(owner: Owner, ended: asyncio.Event, least: int) -> list[float]:
        counters = cast("ClusterStore", owner.node.store).counters
        local, remote = counters.local_hits, counters.remote_hits
        times = await probe(owner, ended, least)
        told.append((len(times), counters.local_hits - local, counters.remote_hits - remote))
        return times

    monkeypatch.setattr(cluster_spill, "_probe", counted)
    run(cases("cluster-spill")[0], tmp_path)
    assert len(told) > 1
    for taken, local, _ in told:
        assert taken == local
    # The pages are put anew before each pass: hardly any has left.
    assert sum(remote for _, _, remote in told) < sum(taken for taken, _, _ in told) / 5


def test_it_is_measured_with_one_copy_and_with_two() -> None:
    assert [case.parameters["replicas"] for case in cases("cluster-spill")] == [1, 2]
