"""One batch of blobs to one holder: what it took, and that nothing is left of what it may have
taken.

Covers: the call, its numbering, room and pace, every way in which it can end. Does not cover:
which pages and lenders (``spiller.py``, ``relocator.py``), what is sent when a copy is unwanted
(``flusher.py``).

A batch whose outcome is unknown (no answer in time, connection lost, an answer that makes no
sense) counts as not taken: its epoch is ended and its pages are flushed at the lender, so that the
late batch is refused there, or what it left is removed. One that a lender took before it was found
to be gone counts as not taken as well.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from itertools import compress

from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import (
    BadMessageError,
    PeerError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.event_log import EventLog
from ramster.flusher import Flusher
from ramster.lenders import Lender, LenderTable
from ramster.membership import Membership
from ramster.pacing import SpillPacer
from ramster.peers import Peers
from ramster.timings import Timings
from ramster.transport import SpillReply, SpillRequest
from ramster.writeback import Writeback
from zcache import AdoptStatus, PackedBlobs, PoolKind

__all__ = ["Deliveries"]

log = EventLog(__name__)

_ACCEPTED = bytes(1 if status == AdoptStatus.STORED else 0 for status in range(256))


class Deliveries:
    """Sends batches of one node. ``on_end``: called when a lender's window may have opened."""

    def __init__(
        self,
        config: ClusterConfig,
        membership: Membership,
        table: LenderTable,
        peers: Peers,
        flusher: Flusher,
        writeback: Writeback | None,
        clock: Clock,
        counters: ClusterCounters,
        timings: Timings,
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._membership = membership
        self._table = table
        self._peers = peers
        self._flusher = flusher
        self._writeback = writeback
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._on_end = on_end
        self._last_batch = 0
        self.pacer = SpillPacer(config.spill_batch_bytes, config.spill_bytes_in_flight_max)

    async def store(self, blobs: PackedBlobs) -> Sequence[int]:
        """Put a batch into the write-back file; the slot of each page, 0 where there is none.

        A disk that hangs costs as much as a lender that does.
        """
        if self._writeback is None:
            return bytes(len(blobs))
        try:
            async with asyncio.timeout(self._config.spill_deadline_s):
                return await self._writeback.store(blobs)
        except TimeoutError:
            return bytes(len(blobs))

    async def send(self, lender: Lender, kind: PoolKind, blobs: PackedBlobs) -> bytes:
        """Hand over a batch; one byte a page, non-zero where the lender holds it now.

        Never raises for what a peer does. When it is cancelled the outcome is unknown.
        """
        self._last_batch += 1
        request = SpillRequest(
            lease=lender.lease,
            epoch=self._table.epoch(lender),
            batch=self._last_batch,
            kind=kind,
            blobs=blobs,
        )
        size = memoryview(blobs.payload).nbytes
        self._membership.reserve(lender, size)
        self.pacer.sent(lender, size)
        sent_at = self._clock.now()
        known = False
        taken = bytes(len(blobs))
        try:
            reply = await self._peers.spill(lender, request, self._config.spill_deadline_s)
            taken = self._read(lender, request, reply)
            known = True
        except UnknownLeaseError:
            known = True
            self._counters.spills_unknown_lease += 1
        except PeerTimeoutError:
            self._counters.spills_timed_out += 1
        except PeerUnreachableError:
            self._counters.spills_unreachable += 1
        except PeerError as error:
            log.warning(
                "spill_refused",
                "spill to {peer}: {reason}",
                subject=lender.node,
                peer=lender.node,
                reason=error,
            )
            self._counters.spills_bad_answer += 1
            self._membership.on_room(lender, 0)
        finally:
            took = self._clock.now() - sent_at
            self._timings.spill.observe(took, len(blobs))
            self._membership.reserve(lender, -size)
            if known:
                self.pacer.answered(lender, size, took)
            else:
                self.pacer.failed(lender, size)
                self._undo(lender, request)
            if not self._membership.exists(lender):
                self.pacer.forget(lender)
            self._on_end()
        return taken

    def _read(self, lender: Lender, request: SpillRequest, reply: SpillReply) -> bytes:
        """A lender answered. Raises BadMessageError."""
        pages, counters = len(request.blobs), self._counters
        if len(reply.statuses) != pages:
            raise BadMessageError(f"{len(reply.statuses)} statuses for {pages} pages")
        if self._membership.address_of(lender) is None:
            counters.spills_overtaken += 1
            return bytes(pages)
        taken = reply.statuses.translate(_ACCEPTED)
        count = taken.count(1)
        if count:
            counters.spills += 1
            counters.spill_pages += count
            lengths = request.blobs.lengths
            if count < pages:
                lengths = array("H", compress(lengths, taken))
            counters.spill_bytes += sum(lengths)
        counters.spill_pages_refused += pages - count
        # A lender that refuses pages has no room, whatever it says, until its next heartbeat.
        # A stale page says nothing of room: a later page with its key overtook it on the way.
        willing = count + reply.statuses.count(AdoptStatus.STALE) == pages
        self._membership.on_room(lender, reply.room_bytes if willing else 0)
        return taken

    def _undo(self, lender: Lender, request: SpillRequest) -> None:
        """See to it that nothing of a batch is left at a lender that may have got it."""
        if self._membership.address_of(lender) is not None:
            self._table.end_epoch(lender, request.epoch)
            self._flusher.flush_batch(
                lender, request.kind, request.blobs.keys, request.blobs.generations
            )
