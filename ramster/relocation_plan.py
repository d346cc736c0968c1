"""Which pages that are away should move, and which first.

Covers: the places worth moving pages from, in the order of their urgency, and when a kind of move
may go on. Does not cover: moving them (``relocator.py``).

In this order:
1. *evacuate*: lenders that drain or want room;
2. *rebuild*: pages with fewer copies than they should have;
3. *repatriate*: when this node has had room for a while; pages at suspect lenders first, then
   those at lenders with little room, then those in the write-back file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.lenders import Lender, LenderTable, Place
from ramster.membership import Membership
from ramster.peer_state import PeerState
from ramster.replication import Replication
from zcache import CacheContract, PoolKind

__all__ = ["IDLE_S", "Move", "Reason", "RelocationPlan"]

IDLE_S = 0.25
"""Pause between two looks when there is nothing to move, and after a move that went wrong."""

HOME_SHARE = 0.9
"""Pages come home while the pool is under this share of its low watermark."""


class Reason(StrEnum):
    """Why pages move."""

    EVACUATE = "evacuate"
    REBUILD = "rebuild"
    REPATRIATE = "repatriate"


class Move(NamedTuple):
    """Pages of one place that should go elsewhere."""

    reason: Reason
    number: int
    place: Place
    keep: tuple[Lender, ...]
    """Lenders that go on holding them."""


class RelocationPlan:
    """What one node should move."""

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        membership: Membership,
        replication: Replication,
        table: LenderTable,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._config = config
        self._membership = membership
        self._replication = replication
        self._table = table
        self._clock = clock
        self._not_before: dict[int, float] = {}
        """Places of which nothing could be moved, and when to look again."""
        self._rested: dict[Reason, float] = {}
        """When a kind of move may go on, by its rate."""
        self._room_since: float | None = None

    def moves(self) -> Iterator[Move]:
        """What is worth moving now, most urgent first."""
        now = self._clock.now()
        away = self._cache.stats().away_by_where
        for number in [number for number in self._not_before if number not in away]:
            del self._not_before[number]
        places = [
            (number, self._table.place(number))
            for number in away
            if self._not_before.get(number, now) <= now
        ]
        yield from self._evacuations(places)
        if self._may_go_on(Reason.REBUILD):
            yield from self._rebuilds(places)
        if self._wants_home(now) and self._may_go_on(Reason.REPATRIATE):
            yield from self._repatriations(places)

    def rest(self, move: Move) -> None:
        """Nothing could be moved from there: look again after a while."""
        self._not_before[move.number] = self._clock.now() + IDLE_S

    def pace(self, reason: Reason, size: int, began: float) -> None:
        """So many bytes were moved since ``began``: go on when the rate allows it."""
        rate = self.rate(reason)
        if math.isfinite(rate):
            self._rested[reason] = began + size / rate

    def rate(self, reason: Reason) -> float:
        """Bytes of blobs a second."""
        if reason is Reason.REBUILD:
            return self._config.rebuild_bytes_per_s
        if reason is Reason.REPATRIATE:
            return self._config.repatriate_bytes_per_s
        return math.inf

    def pause_s(self) -> float:
        """Until the next look: when a kind of move may go on, or a while."""
        now = self._clock.now()
        waits = [at - now for at in self._rested.values() if at > now]
        return min([IDLE_S, *waits])

    def room_at_home(self) -> bool:
        """Whether pages may come home without anyone asking for them."""
        return self._cache.excess_bytes(HOME_SHARE * self._cache.config.low_watermark) == 0

    def must_do_with_fewer(self, move: Move) -> bool:
        """Whether the copies of lenders that are about to stop can only be given up: others are
        left, and there is no further node. To wait would not save them.
        """
        leaving = [lender for lender in move.place.lenders if lender not in move.keep]
        peers = [self._membership.peer_of(lender) for lender in leaving]
        have = {lender.node for lender in move.place.lenders}
        return (
            move.reason is Reason.EVACUATE
            and all(peer is None or peer.draining for peer in peers)
            and len(move.keep) >= self._replication.least(move.place.copies)
            and all(peer.lender.node in have for peer in self._membership.candidates())
        )

    def _may_go_on(self, reason: Reason) -> bool:
        return self._rested.get(reason, 0.0) <= self._clock.now()

    def _evacuations(self, places: list[tuple[int, Place]]) -> Iterator[Move]:
        leaving = {
            peer.lender
            for peer in self._membership
            if peer.lender is not None and (peer.draining or peer.wanted_bytes > 0)
        }
        for number, place in places:
            if place.kind is PoolKind.PERSISTENT and not leaving.isdisjoint(place.lenders):
                keep = tuple(
                    lender for lender in self._replication.held(place) if lender not in leaving
                )
                yield Move(Reason.EVACUATE, number, place, keep)

    def _rebuilds(self, places: list[tuple[int, Place]]) -> Iterator[Move]:
        for number, place in places:
            held = self._replication.held(place)
            if self._replication.missing(place) and (held or place.disk):
                yield Move(Reason.REBUILD, number, place, held)

    def _repatriations(self, places: list[tuple[int, Place]]) -> Iterator[Move]:
        def urgency(item: tuple[int, Place]) -> tuple[bool, int]:
            peers = [self._membership.peer_of(lender) for lender in item[1].lenders]
            known = [peer for peer in peers if peer is not None]
            shaky = any(peer.state is PeerState.SUSPECT for peer in known)
            return (not shaky, min((peer.room_bytes for peer in known), default=2**62))

        for number, place in sorted(places, key=urgency):
            if place.disk or self._replication.held(place):
                yield Move(Reason.REPATRIATE, number, place, ())

    def _wants_home(self, now: float) -> bool:
        """Whether there has been room at home for long enough."""
        if not self._config.repatriate_bytes_per_s or not self.room_at_home():
            self._room_since = None
            return False
        if self._room_since is None:
            self._room_since = now
        return now - self._room_since >= self._config.repatriate_after_s
