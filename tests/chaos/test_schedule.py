"""Schedules of faults."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.chaos.schedule import KINDS, LENDERS, OWNER, one_by_one, schedule


def test_a_seed_gives_the_same_faults_every_time() -> None:
    first, again, other = (list(islice(schedule(seed), 40)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_short_run_meets_every_kind() -> None:
    once = len(KINDS) - 1 + len(LENDERS)
    for seed in range(20):
        assert {fault.kind for fault in islice(schedule(seed), once)} == set(KINDS)


def test_the_owner_is_paused_for_a_moment_and_nothing_else() -> None:
    for fault in islice(schedule(1), 500):
        assert (fault.target == OWNER) == (fault.kind == "owner-pause")
        assert fault.target != OWNER or fault.hold_s < 2


def test_rolling_goes_over_every_lender() -> None:
    rolling = [fault.target for fault in islice(schedule(1), 200) if fault.kind == "rolling"]
    assert sorted(rolling[:4]) == sorted(rolling[4:8]) == list(LENDERS)
    assert [fault.target for fault in one_by_one()] == list(LENDERS)


def test_only_the_kinds_asked_for() -> None:
    faults = list(islice(schedule(1, ["kill", "cut"]), 50))
    assert {fault.kind for fault in faults} == {"kill", "cut"}
    with pytest.raises(ValueError, match=r"no such fault: burn; there are kill"):
        schedule(1, ["kill", "burn"])
