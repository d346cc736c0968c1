"""cluster-peerloss, small, with a real lender that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Case
from tests.support.bench_runs import cases, first, run

pytest.importorskip("grpc")

PAGES = 2048


def case(replicas: int) -> Case:
    (found,) = (one for one in cases("cluster-peerloss") if one.parameters["replicas"] == replicas)
    return found


def test_with_two_copies_nothing_is_lost(tmp_path: Path) -> None:
    # Busy processors hold up a lender for a second; a second one that counts as dead is a loss.
    samples = run(case(2), tmp_path, dead_after=3)
    assert first(samples, "pages_lost") == first(samples, "read_errors") == 0
    assert first(samples, "verified_pages") == PAGES


def test_with_one_copy_the_loss_is_explicit(tmp_path: Path) -> None:
    samples = run(case(1), tmp_path, dead_after=1)
    assert first(samples, "pages_lost") > 0
    assert first(samples, "verified_pages") + first(samples, "pages_lost") == PAGES
