"""Moving cold pages to lenders, in the background.

Covers: when to spill, how many batches are on their way, and that every ticket ends exactly once
whatever happens. Does not cover: which pages are cold (the cache), which lender
(``placement.py``), what is sent when a copy is unwanted (``flusher.py``).

A batch whose outcome is unknown (no answer in time, connection lost, an answer that makes no
sense) is kept at home, its epoch is ended and its pages are flushed at the lender: the late batch
is refused there, or what it left is removed. One that a lender accepted before it was found to be
gone stays home as well.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ramster.cluster_config import SPILL_AUTO, SPILL_NOWHERE, ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import (
    BadMessageError,
    PeerError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.flusher import Flusher
from ramster.lenders import Lender, LenderTable
from ramster.limits import SPILL_PAGES_MAX
from ramster.membership import Membership
from ramster.peers import Peers
from ramster.placement import Candidate, choose_lender
from ramster.tasks import SupervisedTasks
from ramster.transport import SpillReply, SpillRequest
from zcache import PAGE_SIZE, AdoptStatus, CacheContract, PoolKind, SpillTicket

__all__ = ["Spiller"]

log = logging.getLogger(__name__)

ROOM_BYTES_MIN = 4 * PAGE_SIZE
"""A lender with less room is not worth a message."""

COMPACT_FRAMES_MAX = 8
"""Frames freed by one compaction, so that it does not hold up the event loop: about 1 ms."""

FRAMES_OWED_MAX = 256
"""Compaction that is remembered while spilling goes on."""

_ACCEPTED = bytes(1 if status == AdoptStatus.STORED else 0 for status in range(256))


@dataclass(slots=True)
class _Batch:
    """A ticket on its way to a lender."""

    ticket: SpillTicket
    lender: Lender
    epoch: int
    size: int
    task: asyncio.Task[None] | None = None


class Spiller:
    """Spills while the pool is above its watermark or writers wait for room.

    It starts above the high watermark (or when a writer was refused) and stops under the low one.
    ``writers_wait``: whether some put waits for room. ``on_progress``: called when room was made,
    and when it is clear that none will be.
    """

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        membership: Membership,
        table: LenderTable,
        peers: Peers,
        flusher: Flusher,
        random: Random,
        counters: ClusterCounters,
        tasks: SupervisedTasks,
        *,
        writers_wait: Callable[[], bool],
        on_progress: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._config = config
        self._membership = membership
        self._table = table
        self._peers = peers
        self._flusher = flusher
        self._random = random
        self._counters = counters
        self._tasks = tasks
        self._writers_wait = writers_wait
        self._on_progress = on_progress
        self.target = config.spill_target
        """"auto", "none" or a node's name; may change at any time, for batches to come."""
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held over each piece of work and the pass of the event loop after it: replies that come
        together do not hold up others together."""
        self._batches: dict[int, _Batch] = {}
        self._numbers = itertools.count(1)
        self._bytes_in_flight = 0
        self._exhausted = False
        """The last look found no page to spill; cleared when there may be one again: by a put that
        stored something, and when a batch ends."""
        self._frames_owed = 0
        """Frames that should have become free by what left, and are held by what is left."""
        self._stopped = False

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of blobs in batches on their way."""
        return self._bytes_in_flight

    def poke(self) -> bool:
        """Look whether there is work, after puts and when lenders or room appear; cheap.

        True when the spiller waits for its turn on the event loop.
        """
        if not self._wake.is_set() and self._needed():
            self._wake.set()
        return self._wake.is_set()

    def put_refused(self) -> None:
        """A put found no room: whatever was exhausted before is looked at again."""
        self._exhausted = False
        self._wake.set()

    def may_make_room(self) -> bool:
        """Whether a writer has a reason to wait: a batch is on its way, or one can be sent."""
        if self._batches:
            return True
        if self._exhausted or self.target == SPILL_NOWHERE:
            return False
        return self._choose() is not None or self._membership.may_gain_room()

    def why_not(self) -> str:
        """Why no room will be made, for people."""
        if self.target == SPILL_NOWHERE:
            return "spilling is switched off"
        if self._choose() is not None:
            return "no page is left that could go to a peer"
        if self.target == SPILL_AUTO:
            return "no peer that answers has room"
        return f"the spill target {self.target} does not answer or has no room"

    async def run(self) -> None:
        """Spill when needed, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._needed():
                await self._work()

    async def stop(self) -> None:
        """End all batches under way, waiting for no peer; their pages stay home."""
        self._stopped = True
        batches = list(self._batches.values())
        tasks = [batch.task for batch in batches if batch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for batch in list(self._batches.values()):  # those whose task never began to run
            self._keep_home(batch)

    # -- when
    # --------------------------------------------------------------------------------------------

    def _needed(self) -> bool:
        return self._writers_wait() or self._excess(self._cache.config.high_watermark) > 0

    def _excess(self, watermark: float) -> int:
        return self._cache.excess_bytes(watermark)

    def _wanted_bytes(self) -> int:
        """How much more should leave than is on its way."""
        wanted = self._excess(self._cache.config.low_watermark) - self._bytes_in_flight
        if wanted <= 0 and not self._batches and self._writers_wait():
            return PAGE_SIZE
        return wanted

    async def _work(self) -> None:
        """Send batches until enough has left, or nothing more can."""
        self._exhausted = False
        full = self._config.spill_bytes_in_flight_max - self._config.spill_batch_bytes
        while not self._stopped:
            self._settled.clear()
            async with self._turn:
                wanted = self._wanted_bytes()
                progress = wanted > 0 and self._step(wanted, full)
                if progress:
                    await asyncio.sleep(0)
            if progress:
                continue
            if self._batches:
                await self._settled.wait()
            elif wanted <= 0:
                return
            elif self._compact_some():
                await asyncio.sleep(0)
            else:
                self._on_progress()  # there will be none: writers look whether to wait on
                return

    def _step(self, wanted: int, full: int) -> bool:
        """Do one thing that makes room; False if there is nothing to do now."""
        if self._frames_owed > 0 and self._compact_some():
            return True
        return self._bytes_in_flight <= full and self._send_one(wanted)

    def _compact_some(self) -> bool:
        """One slice of compaction; whether it gave anything."""
        freed = self._cache.compact(COMPACT_FRAMES_MAX)
        self._frames_owed = max(0, self._frames_owed - freed) if freed else 0
        if freed:
            self._on_progress()
        return freed > 0

    # -- one batch
    # -----------------------------------------------------------------------------------

    def _choose(self) -> Candidate | None:
        backlog_max = self._config.flush_queue_pages_max
        candidates = [
            peer
            for peer in self._membership.candidates()
            if self._flusher.backlog(peer.lender) < backlog_max
        ]
        return choose_lender(candidates, self.target, ROOM_BYTES_MIN, self._random)

    def _begin(self, size: int) -> SpillTicket | None:
        kinds = [PoolKind.PERSISTENT]
        if self._config.spill_ephemeral:
            kinds.append(PoolKind.EPHEMERAL)
        for kind in kinds:
            ticket = self._cache.begin_spill(size, kind=kind, pages_max=SPILL_PAGES_MAX)
            if ticket is not None:
                return ticket
        return None

    def _send_one(self, wanted: int) -> bool:
        """Start one batch; False if there is no lender for it or no page to send."""
        chosen = self._choose()
        if chosen is None:
            return False
        size = min(max(wanted, ROOM_BYTES_MIN), self._config.spill_batch_bytes, chosen.room_bytes)
        ticket = self._begin(size)
        if ticket is None:
            self._exhausted = True
            return False
        self._exhausted = False
        lender = chosen.lender
        batch = _Batch(ticket, lender, self._table.epoch(lender), len(ticket.blobs.payload))
        self._batches[ticket.ticket_id] = batch
        self._bytes_in_flight += batch.size
        self._membership.reserve(lender, batch.size)
        batch.task = self._tasks.spawn(self._deliver(batch), f"spill to {lender.node}")
        return True

    async def _deliver(self, batch: _Batch) -> None:
        counters, lender, ticket = self._counters, batch.lender, batch.ticket
        request = SpillRequest(
            lease=lender.lease,
            epoch=batch.epoch,
            batch=next(self._numbers),
            kind=ticket.kind,
            blobs=ticket.blobs,
        )
        try:
            reply = await self._peers.spill(lender, request, self._config.call_deadline_s)
            async with self._turn:
                self._settle(batch, reply)
                await asyncio.sleep(0)
        except UnknownLeaseError:
            counters.spills_unknown_lease += 1
            self._keep_home(batch)
        except PeerTimeoutError:
            counters.spills_timed_out += 1
            self._keep_home(batch, outcome_unknown=True)
        except PeerUnreachableError:
            counters.spills_unreachable += 1
            self._keep_home(batch, outcome_unknown=True)
        except PeerError as error:
            log.warning("spill to %s: %s", lender.node, error)
            counters.spills_bad_answer += 1
            self._membership.on_room(lender, 0)
            self._keep_home(batch, outcome_unknown=True)
        finally:
            if ticket.ticket_id in self._batches:  # cancelled
                self._keep_home(batch, outcome_unknown=True)

    def _settle(self, batch: _Batch, reply: SpillReply) -> None:
        """A lender answered. Raises BadMessageError, with the ticket still open."""
        lender, ticket, counters = batch.lender, batch.ticket, self._counters
        pages = len(ticket.blobs)
        if len(reply.statuses) != pages:
            raise BadMessageError(f"{len(reply.statuses)} statuses for {pages} pages")
        if self._membership.address_of(lender) is None:
            counters.spills_overtaken += 1
            self._keep_home(batch)
            return
        accepted = reply.statuses.translate(_ACCEPTED)
        taken = accepted.count(1)
        self._forget(batch)
        low = self._cache.config.low_watermark
        before = self._excess(low)
        self._cache.finish_spill(ticket, self._table.where((lender,), ticket.kind), accepted)
        self._flusher.drain()
        if taken:
            counters.spills += 1
            counters.spill_pages += taken
            counters.spill_bytes += sum(
                length for length, took in zip(ticket.blobs.lengths, accepted, strict=True) if took
            )
        counters.spill_pages_refused += pages - taken
        # A lender that refuses pages has no room, whatever it says, until its next heartbeat.
        # A stale page says nothing of room: a later page with its key overtook it on the way.
        willing = taken + reply.statuses.count(AdoptStatus.STALE) == pages
        self._membership.on_room(lender, reply.room_bytes if willing else 0)
        # Pages leave holes; a frame is free only when all of its zspage is.
        owed = batch.size // 2 - (before - self._excess(low))
        self._frames_owed = min(FRAMES_OWED_MAX, self._frames_owed + max(0, owed // PAGE_SIZE))
        self._tell()

    def _keep_home(self, batch: _Batch, *, outcome_unknown: bool = False) -> None:
        """End a ticket with nothing gone; if it may have arrived, see to it that nothing is left
        there.
        """
        self._forget(batch)
        self._cache.cancel_spill(batch.ticket)
        lender, blobs = batch.lender, batch.ticket.blobs
        if outcome_unknown and self._membership.address_of(lender) is not None:
            self._table.end_epoch(lender, batch.epoch)
            self._flusher.flush_batch(lender, batch.ticket.kind, blobs.keys, blobs.generations)
        self._flusher.drain()
        self._tell()

    def _forget(self, batch: _Batch) -> None:
        del self._batches[batch.ticket.ticket_id]
        self._exhausted = False
        self._bytes_in_flight -= batch.size
        self._membership.reserve(batch.lender, -batch.size)

    def _tell(self) -> None:
        self._on_progress()  # writers first: what they store decides whether more should leave
        self._settled.set()
