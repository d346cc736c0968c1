"""Broken lives and leases.

Covers: what a lender gives up or keeps, and what an owner makes of it. Does not cover: single pages
(its neighbours).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from ramster.cluster import Cluster
from ramster.errors import UnknownLeaseError
from ramster.foreign import ForeignPages
from ramster.leases import Leases
from ramster.membership import Membership
from tests.simulation.variants.table import variant


@variant()
def a_restarted_lender_is_the_same() -> Iterator[None]:
    """An owner does not notice that a lender lives another life."""
    real = Membership.on_hello_reply

    def on_hello_reply(self: Any, address: str, reply: Any, **times: Any) -> Any:
        lender = self._peers[address].lender
        if lender is not None:
            reply = replace(reply, incarnation=lender.incarnation, lease=lender.lease)
        return real(self, address, reply, **times)

    with (
        patch.object(Membership, "on_hello_reply", on_hello_reply),
        patch.object(Leases, "renew", _renew_any_lease),
    ):
        yield


def _renew_any_lease(self: Any, number: int, incarnation: int | None = None) -> Any:
    """A lender that takes any lease for the oldest that it knows."""
    lease = self._leases.get(number) or next(iter(self._leases.values()), None)
    if lease is None:
        raise UnknownLeaseError("no lease at all")
    lease.heard_at = self._clock.now()
    return lease


@variant()
def leases_never_end() -> Iterator[None]:
    """A lender keeps the pages of owners that are gone."""

    def lease_for(self: Any, owner: str, incarnation: int) -> Any:
        lease = self._by_owner.get(owner)
        if lease is not None and lease.incarnation == incarnation:
            return self.renew(lease.number)
        return self._open(owner, incarnation)

    with (
        patch.object(Leases, "sweep", lambda self, interval_s: 0),
        patch.object(Leases, "lease_for", lease_for),
    ):
        yield


@variant(first=22)
def a_lease_ends_without_a_new_number() -> Iterator[None]:
    """A lender frees an owner's pages and keeps the lease."""

    def sweep(self: Any, interval_s: float) -> int:
        now = self._clock.now()
        for lease in self._leases.values():
            if now - lease.heard_at >= self._config.lease_s:
                for pool in lease.pools.values():
                    self._cache.empty_pool(pool, 10**6)
        return 0

    with patch.object(Leases, "sweep", sweep):
        yield


@variant()
def a_lender_that_is_gone_keeps_its_stubs() -> Iterator[None]:
    """An owner does not act on the end of a lender."""
    with patch.object(Cluster, "_lender_gone", lambda self, event: None):
        yield


@variant()
def a_goodbye_is_not_heard() -> Iterator[None]:
    """A lender keeps the pages of an owner that left in good order till its lease ends."""
    real = ForeignPages.on_heartbeat

    def on_heartbeat(self: Any, beat: Any) -> Any:
        return real(self, replace(beat, leaving=False))

    with patch.object(ForeignPages, "on_heartbeat", on_heartbeat):
        yield


@variant("single")
def a_lender_that_stood_still_counts_that_as_silence() -> Iterator[None]:
    """A lender that was stopped for a while ends the leases of all that it did not hear."""
    with patch.object(Leases, "_give_credit", lambda self, now, interval_s: None):
        yield
