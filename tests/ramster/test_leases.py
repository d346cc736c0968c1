"""Leases: how they end, how long they last when the lender itself stood still, batches seen."""

from __future__ import annotations

import logging
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import PeerRefusedError, UnknownLeaseError
from ramster.leases import LEASES_MAX, PAUSE_SLACK_S, BatchWindow, Leases
from tests.support.hand_clock import HandClock
from zcache import Cache, CacheConfig

INTERVAL_S = 5.0
LEASE_S = 60.0


class Lending:
    """The leases of a lender that is swept as it should be, unless a test says otherwise."""

    def __init__(self) -> None:
        self.cache = Cache(CacheConfig(pool_bytes_max=1 << 20, foreign_bytes_max=1 << 20))
        self.clock = HandClock()
        self.counters = ClusterCounters()
        self.leases = Leases(
            self.cache,
            ClusterConfig(node="b", lease_s=LEASE_S),
            self.clock,
            Random(3),
            self.counters,
        )
        self.leases.sweep(INTERVAL_S)

    def run(self, seconds: float) -> int:
        """Let time pass with sweeps in it; how many leases ended."""
        ended, until = 0, self.clock.seconds + seconds
        while self.clock.seconds < until:
            self.clock.seconds = min(until, self.clock.seconds + INTERVAL_S)
            ended += self.leases.sweep(INTERVAL_S)
        return ended

    def stand_still(self, seconds: float) -> int:
        """Let time pass in which this node does nothing; how many leases the next sweep ends."""
        self.clock.seconds += seconds
        return self.leases.sweep(INTERVAL_S)


def test_a_lease_lasts_from_word_to_word_and_no_longer() -> None:
    lending = Lending()
    lease = lending.leases.lease_for("a", 1)
    assert lending.run(LEASE_S - 1) == 0
    assert lending.leases.renew(lease.number) is lease
    assert lending.run(LEASE_S - 1) == 0
    assert lending.run(1) == 1
    with pytest.raises(UnknownLeaseError):
        lending.leases.renew(lease.number)
    assert lending.counters.leases_expired == 1


def test_owners_beyond_the_bound_are_refused_until_a_lease_ends() -> None:
    lending = Lending()
    leases = [lending.leases.lease_for(f"a{number}", 1) for number in range(LEASES_MAX)]
    pools = lending.cache.stats().pools
    with pytest.raises(PeerRefusedError, match=r"too many owners .* accepted are 1024 at once"):
        lending.leases.lease_for("late", 1)
    assert lending.cache.stats().pools == pools
    assert lending.leases.lease_for("a7", 1) is leases[7]
    assert lending.leases.lease_for("a8", 2).incarnation == 2, "a new life of a known owner"
    lending.leases.leave(leases[9])
    assert lending.leases.lease_for("late", 1).owner == "late"


def test_the_word_of_another_life_renews_nothing() -> None:
    lending = Lending()
    lease = lending.leases.lease_for("a", 1)
    lending.run(LEASE_S - 1)
    with pytest.raises(UnknownLeaseError, match="another life of a"):
        lending.leases.renew(lease.number, 2)
    assert lending.run(1) == 1


def test_a_lease_that_is_left_is_over_and_its_pools_are_gone() -> None:
    lending = Lending()
    lease = lending.leases.lease_for("a", 1)
    lending.leases.leave(lease)
    assert list(lending.leases) == []
    assert lending.cache.stats().pools == 0
    assert lending.counters.leases_left == 1
    again = lending.leases.lease_for("a", 1)
    assert again.number != lease.number


def test_time_that_the_lender_stood_still_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    """Its owners may have spoken all the while; it could not hear them."""
    lending = Lending()
    lending.leases.lease_for("a", 1)
    lending.run(20)
    with caplog.at_level(logging.WARNING, "ramster.leases"):
        assert lending.stand_still(3600.0) == 0
    assert "stood still for about 3595.0 s" in caplog.text
    # 20 s before, and the one interval in which it would have looked, are used up.
    assert lending.run(LEASE_S - 20 - INTERVAL_S - 1) == 0
    assert lending.run(1) == 1


def test_credit_gives_no_lease_more_than_its_time_from_now() -> None:
    lending = Lending()
    lending.leases.lease_for("a", 1)
    lending.clock.seconds += 1800.0
    later = lending.leases.lease_for("c", 1)
    lending.clock.seconds += 1800.0
    lending.leases.renew(later.number)
    lending.leases.sweep(INTERVAL_S)
    assert later.heard_at == lending.clock.seconds
    assert lending.run(LEASE_S - 1) == 1, "a, of which nothing was heard"
    assert lending.run(1) == 1


def test_a_sweep_that_is_a_little_late_gives_no_credit() -> None:
    lending = Lending()
    lease = lending.leases.lease_for("a", 1)
    heard_at = lease.heard_at
    late = 2 * INTERVAL_S + PAUSE_SLACK_S
    lending.stand_still(late)
    assert lease.heard_at == heard_at
    lending.stand_still(late + 0.1)
    assert lease.heard_at == pytest.approx(heard_at + late + 0.1 - INTERVAL_S)


def test_a_lender_that_is_always_late_still_ends_leases() -> None:
    lending = Lending()
    lending.leases.lease_for("a", 1)
    sweeps = 1
    while not lending.stand_still(10 * INTERVAL_S):
        sweeps += 1
        assert sweeps < 100
    assert sweeps == LEASE_S / INTERVAL_S


def test_no_batch_is_taken_twice_and_rising_ones_are_always_taken() -> None:
    window = BatchWindow(4)
    assert all(window.admit(batch) for batch in (1, 3, 2, 10))
    assert not any(window.admit(batch) for batch in (1, 2, 3, 10))
    assert window.admit(11)
    assert not window.admit(1), "below all that is remembered: it may have been there"
    assert window.admit(5), "late, and certainly not there before"
    assert not window.admit(5)
    assert len(window) == 4


@given(st.lists(st.integers(1, 40)), st.integers(1, 8))
def test_whatever_the_order_no_number_is_admitted_twice(numbers: list[int], size: int) -> None:
    window = BatchWindow(size)
    admitted = []
    for number in numbers:
        new_highest = number > max(admitted, default=0)
        taken = window.admit(number)
        assert taken or not new_highest
        if taken:
            admitted.append(number)
        assert len(window) <= size
    assert len(admitted) == len(set(admitted))
