"""The leases that a lender gives to owners: what one life of one owner has here.

Covers: opening, finding, renewing and ending leases, freeing what they held, which batches came
before. Does not cover: what is said to owners (``foreign.py``), what a lease means between nodes
(``transport.py``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import PeerRefusedError, UnknownLeaseError
from ramster.event_log import EventLog
from ramster.limits import SPILL_WINDOW
from ramster.removal import SLICE_PAGES
from zcache import CacheContract, PoolKind, PoolTableFullError

__all__ = ["BatchWindow", "Lease", "Leases", "OwnerHeld"]

log = EventLog(__name__)

LEASES_MAX = 1024
"""Owners with a lease at once: more names than a cluster has nodes are somebody's invention."""

SUPERSEDED_MAX = 1024
"""Former lives of owners that are remembered."""

PAUSE_SLACK_S = 1.0
"""A sweep that is later than this, beside twice its interval, says that the node stood still."""


class BatchWindow:
    """The highest batch numbers seen under a lease, so that no batch is taken twice.

    The highest and not the latest: what has left the window is then below all that is in it.
    """

    def __init__(self, size: int = SPILL_WINDOW) -> None:
        self._size = size
        self._heap: list[int] = []
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def admit(self, batch: int) -> bool:
        """Remember a number; False, and nothing changes, if it was or may have been there."""
        full = len(self._heap) >= self._size
        if batch in self._seen or (full and batch < self._heap[0]):
            return False
        heappush(self._heap, batch)
        self._seen.add(batch)
        if full:
            self._seen.remove(heappop(self._heap))
        return True


@dataclass(slots=True)
class Lease:
    """What one life of one owner holds here."""

    number: int
    owner: str
    incarnation: int
    pools: dict[int, int]
    """Pool ids by kind."""
    heard_at: float
    epoch: int = 0
    """The highest spill epoch seen."""
    batches: BatchWindow = field(default_factory=BatchWindow)
    flush_sequence: int = 0
    """The last flush that was carried out."""


class OwnerHeld(NamedTuple):
    """An owner that still has persistent pages here."""

    owner: str
    pages: int
    heard_s: float
    """Seconds since its last word."""


class Leases:
    """The leases in force, oldest first, and the pools of those that ended until they are empty."""

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        clock: Clock,
        random: Random,
        counters: ClusterCounters,
    ) -> None:
        self._cache = cache
        self._config = config
        self._clock = clock
        self._random = random
        self._counters = counters
        self._leases: dict[int, Lease] = {}
        self._by_owner: dict[str, Lease] = {}
        self._superseded: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._ended: deque[int] = deque()
        """Pools of leases that ended, still to be emptied."""
        self._swept_at: float | None = None
        self.ended = asyncio.Event()
        """Set while there are such pools: time to call ``free_ended``."""

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases.values())

    def lease_for(self, owner: str, incarnation: int) -> Lease:
        """The lease of an owner's life, a new one for a new life. Raises PeerRefusedError."""
        lease = self._by_owner.get(owner)
        if lease is not None and lease.incarnation == incarnation:
            lease.heard_at = self._clock.now()
            return lease
        if lease is not None:
            if (owner, incarnation) in self._superseded:
                # Two processes with one name must not free each other's pages in turn.
                raise PeerRefusedError(
                    f"node name {owner!r} offered: a node that started later uses it"
                )
            log.info(
                "lease_superseded",
                "{owner} restarted: its former pages are freed",
                subject=owner,
                owner=owner,
            )
            self._counters.leases_superseded += 1
            self._superseded[owner, lease.incarnation] = None
            if len(self._superseded) > SUPERSEDED_MAX:
                self._superseded.popitem(last=False)
            self.end(lease)
        elif len(self._leases) >= LEASES_MAX:
            raise PeerRefusedError(
                f"too many owners have leases here: accepted are {LEASES_MAX} at once"
            )
        return self._open(owner, incarnation)

    def _open(self, owner: str, incarnation: int) -> Lease:
        pools: dict[int, int] = {}
        try:
            for kind in PoolKind:
                pools[kind] = self._cache.create_pool(kind, foreign=True)
        except PoolTableFullError as error:
            for pool in pools.values():
                self._cache.destroy_pool(pool)
            raise PeerRefusedError(f"no pool is left for {owner!r}: {error}") from error
        number = 0
        while number == 0 or number in self._leases:
            number = self._random.getrandbits(63)
        lease = Lease(number, owner, incarnation, pools, self._clock.now())
        self._leases[number] = self._by_owner[owner] = lease
        self._counters.leases_opened += 1
        log.info("lease_opened", "{owner} may keep pages here", subject=owner, owner=owner)
        return lease

    def renew(self, number: int, incarnation: int | None = None) -> Lease:
        """The lease of an owner that gave a sign of life. Raises UnknownLeaseError.

        ``incarnation``: where the owner says it; another life's word renews nothing.
        """
        lease = self._leases.get(number)
        if lease is None:
            raise UnknownLeaseError(f"no lease {number} at {self._config.node}")
        if incarnation is not None and lease.incarnation != incarnation:
            raise UnknownLeaseError(f"lease {number} is of another life of {lease.owner}")
        lease.heard_at = self._clock.now()
        return lease

    def leave(self, lease: Lease) -> None:
        """End a lease because its owner says that it stops."""
        log.info(
            "lease_left",
            "{owner} leaves: its pages are freed",
            subject=lease.owner,
            owner=lease.owner,
        )
        self._counters.leases_left += 1
        self.end(lease)

    def sweep(self, interval_s: float) -> int:
        """End the leases of owners that were silent for ``lease_s``; returns how many.

        To be called every ``interval_s``. When it comes much later, this node stood still (stopped,
        suspended, overloaded) and heard nobody, whoever spoke: that time does not count.
        """
        now = self._clock.now()
        self._give_credit(now, interval_s)
        ended = [
            lease for lease in self._leases.values() if now - lease.heard_at >= self._config.lease_s
        ]
        for lease in ended:
            log.warning(
                "lease_expired",
                "{owner} was silent for {silent_s:.1f} s: its pages are freed",
                subject=lease.owner,
                owner=lease.owner,
                silent_s=now - lease.heard_at,
            )
            self._counters.leases_expired += 1
            self.end(lease)
        return len(ended)

    def _give_credit(self, now: float, interval_s: float) -> None:
        late_s = 0.0 if self._swept_at is None else now - self._swept_at - interval_s
        self._swept_at = now
        if late_s <= interval_s + PAUSE_SLACK_S:
            return
        log.warning(
            "stood_still",
            "this node stood still for about {late_s:.1f} s: leases last as much longer",
            late_s=late_s,
        )
        for lease in self._leases.values():
            lease.heard_at = min(now, lease.heard_at + late_s)

    def end(self, lease: Lease) -> None:
        """Let nobody reach a lease's pages any more; the first of them are freed at once."""
        del self._leases[lease.number]
        del self._by_owner[lease.owner]
        self._ended.extend(lease.pools.values())
        if not self.free_ended():
            self.ended.set()

    def free_ended(self, pages_max: int = SLICE_PAGES) -> bool:
        """Free some pages of leases that ended; True if there are no more.

        A slice at a time, because a lease may hold a million pages and the owners of other
        leases are to be answered in between.
        """
        while self._ended:
            removed = self._cache.empty_pool(self._ended[0], pages_max)
            pages_max -= removed
            if pages_max <= 0:
                return False
            self._cache.destroy_pool(self._ended.popleft())
        self.ended.clear()
        return True
