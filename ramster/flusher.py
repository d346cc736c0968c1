"""Copies at lenders that are no longer wanted, and telling the lenders so.

Covers: a queue per lender, delivered in order and repeated until acknowledged or until the lender
is gone. Does not cover: why a copy is unwanted (the cache, the ``spiller``).

Why a late or repeated flush does no harm: every message has a *sequence* number under its lease,
and a lender carries each out once, in order. A message is repeated as it was, to the last key,
until it is acknowledged; what comes to be unwanted meanwhile goes into another. So a duplicate that
arrives late removes nothing, not even where the same copy (key and generation) was placed again
after the acknowledgement. While a flush is pending (``pending_keys``), its keys must not be placed
at that lender: the flush would take the new copy for the old one.

Why the queue needs no limit that loses pages: each entry takes the place of a stub that was larger
(16 bytes against some 40), and a lender that is behind gets no new pages
(``ClusterConfig.flush_queue_pages_max``, asked for by the spiller through ``backlog``); so what
one lender can be owed is bounded by what it holds.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import BadMessageError, PeerError, UnknownLeaseError
from ramster.event_log import EventLog
from ramster.lenders import Lender, LenderTable
from ramster.peers import Peers
from ramster.tasks import SupervisedTasks
from ramster.transport import FlushRequest
from zcache import CacheContract, PoolKind, place_of

__all__ = ["Flusher"]

log = EventLog(__name__)


LINGER_S = 0.01
"""How long a batch that is not full waits for more: nobody waits for a flush, and a call costs the
same for one page as for a hundred."""


@dataclass(slots=True)
class _Segment:
    """Pages of one kind to flush in one message."""

    kind: PoolKind
    keys: array[int] = field(default_factory=lambda: array("Q"))
    generations: array[int] = field(default_factory=lambda: array("Q"))
    sequence: int = 0
    """Given when it is first sent; from then on nothing is added to it."""


@dataclass(slots=True)
class _Queue:
    """What one lender is owed."""

    segments: deque[_Segment] = field(default_factory=deque)
    pages: int = 0
    sequence: int = 0
    """The last number given to a segment."""
    poke: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Flusher:
    """Flush queues of one node. Its methods do not wait; one task per lender in arrears does the
    calls.

    ``free_slots``: gets the words of the pages that were given up, for their slots in a file.
    """

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        table: LenderTable,
        peers: Peers,
        random: Random,
        counters: ClusterCounters,
        tasks: SupervisedTasks,
        *,
        free_slots: Callable[[Sequence[int]], None],
    ) -> None:
        self._tasks = tasks
        self._free_slots = free_slots
        self._cache = cache
        self._config = config
        self._table = table
        self._peers = peers
        self._random = random
        self._counters = counters
        self._queues: dict[Lender, _Queue] = {}
        self._stopped = False

    def backlog(self, lender: Lender) -> int:
        """Pages whose flush a lender has not acknowledged."""
        queue = self._queues.get(lender)
        return 0 if queue is None else queue.pages

    def pending_keys(self, lender: Lender) -> set[int]:
        """Keys whose flush a lender has not acknowledged; ``drain`` first, to miss none."""
        queue = self._queues.get(lender)
        if queue is None or queue.pages == 0:
            return set()
        return set().union(*(segment.keys for segment in queue.segments))

    @property
    def pending(self) -> int:
        """Pages whose flush is not acknowledged, over all lenders."""
        return sum(queue.pages for queue in self._queues.values())

    @property
    def frees_room(self) -> bool:
        """Whether a lender that takes spills is owed flushes: it has more room after them."""
        return any(
            queue.pages > 0 and self._peers.takes_spills(lender)
            for lender, queue in self._queues.items()
        )

    def drain(self) -> None:
        """Queue every copy that the cache has given up; to be called after whatever may have done
        so.
        """
        if not len(self._table):
            return  # no page has ever left
        while len(displaced := self._cache.drain_displaced()):
            for row, where in enumerate(displaced.wheres):
                place = self._table.place(place_of(where))
                for lender in place.lenders:
                    self._add(lender, place.kind, displaced.keys[row], displaced.generations[row])
            self._free_slots(displaced.wheres)

    def flush_batch(
        self, lender: Lender, kind: PoolKind, keys: array[int], generations: array[int]
    ) -> None:
        """Queue pages that a spill of unknown outcome may have left at a lender."""
        for key, generation in zip(keys, generations, strict=True):
            self._add(lender, kind, key, generation)

    def resume(self, lender: Lender) -> None:
        """A lender answers again: repeat now rather than after the pause."""
        queue = self._queues.get(lender)
        if queue is not None:
            queue.poke.set()

    def drop(self, lender: Lender) -> None:
        """A lender is gone, and with it all that was to be flushed there."""
        queue = self._queues.pop(lender, None)
        if queue is not None:
            self._counters.flushes_dropped += queue.pages
            queue.segments.clear()
            queue.pages = 0
            queue.poke.set()

    def stop(self) -> None:
        """Begin no more deliveries; what is not delivered ends with the lease."""
        self._stopped = True

    def _add(self, lender: Lender, kind: PoolKind, key: int, generation: int) -> None:
        self._counters.flushes_queued += 1
        if self._table.gone_reason(lender) is not None:
            self._counters.flushes_dropped += 1
            return
        queue = self._queues.get(lender)
        if queue is None:
            queue = self._queues[lender] = _Queue()
        segments = queue.segments
        if (
            not segments
            or segments[-1].sequence
            or segments[-1].kind is not kind
            or len(segments[-1].keys) >= self._config.flush_batch_pages
        ):
            segments.append(_Segment(kind))
        segments[-1].keys.append(key)
        segments[-1].generations.append(generation)
        queue.pages += 1
        if queue.task is None and not self._stopped:
            queue.task = self._tasks.spawn(self._deliver(lender, queue), f"flush to {lender.node}")

    async def _deliver(self, lender: Lender, queue: _Queue) -> None:
        """Send one lender's segments, first to last, each until it is acknowledged."""
        failures = 0
        try:
            while queue.segments:
                if queue.pages < self._config.flush_batch_pages:
                    await asyncio.sleep(LINGER_S)
                    if not queue.segments:  # dropped meanwhile
                        return
                segment = queue.segments[0]
                if not segment.sequence:
                    queue.sequence += 1
                    segment.sequence = queue.sequence
                queue.poke.clear()
                try:
                    await self._send(lender, segment)
                except UnknownLeaseError:
                    self.drop(lender)  # no task of a lender outlives its queue
                except BadMessageError as error:
                    # It will not take it the next time either; its copies end with the lease.
                    log.error(
                        "flush_refused",
                        "{peer} refuses a flush as broken: {reason}",
                        subject=lender.node,
                        peer=lender.node,
                        reason=error,
                    )
                    self._counters.flush_failures += 1
                    self._finish(queue, segment, delivered=False)
                except PeerError:
                    self._counters.flush_failures += 1
                    await self._pause(queue, failures)
                    failures += 1
                else:
                    failures = 0
                    self._finish(queue, segment, delivered=True)
        finally:
            queue.task = None

    async def _send(self, lender: Lender, segment: _Segment) -> None:
        request = FlushRequest(
            lease=lender.lease,
            epoch=self._table.epoch(lender),  # the latest, also where the rest is a repetition
            sequence=segment.sequence,
            kind=segment.kind,
            keys=segment.keys,
            generations=segment.generations,
        )
        await self._peers.flush(lender, request, self._config.call_deadline_s)

    def _finish(self, queue: _Queue, segment: _Segment, *, delivered: bool) -> None:
        if not queue.segments or queue.segments[0] is not segment:
            return  # dropped while the call was under way
        queue.segments.popleft()
        pages = len(segment.keys)
        queue.pages -= pages
        if delivered:
            self._counters.flushes_sent += pages
        else:
            self._counters.flushes_dropped += pages

    async def _pause(self, queue: _Queue, failures: int) -> None:
        pause = min(
            self._config.reconnect_backoff_max_s,
            self._config.reconnect_backoff_min_s * 2.0 ** min(failures, 30),
        )
        try:
            async with asyncio.timeout(pause * self._random.uniform(0.5, 1.0)):
                await queue.poke.wait()
        except TimeoutError:
            return
