"""Moving cold pages out, in the background: to lenders, or to the write-back file.

Covers: when to spill, how many batches are on their way, where the copies of each page go, and
that every ticket ends exactly once whatever happens. Does not cover: which pages are cold (the
cache), which lenders (``placement.py``), one batch to one lender (``deliveries.py``), missing
copies (``relocator.py``).

A batch goes to as many lenders at once as its pages want copies. With fewer lenders the
write-back file makes up for the missing ones, if there is one; else pages leave with fewer copies
(``replicas_min`` at least), which are made good later. With no lender at all they go to the file
alone. A page stays home unless enough copies of it were taken.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ramster.cluster_config import SPILL_AUTO, SPILL_NOWHERE, ClusterConfig
from ramster.counters import ClusterCounters
from ramster.deliveries import Deliveries
from ramster.flusher import Flusher
from ramster.lenders import Lender, LenderTable
from ramster.limits import SPILL_PAGES_MAX
from ramster.membership import Membership
from ramster.placement import Candidate, choose_lenders
from ramster.replication import Replication
from ramster.spill_parts import Part, cut, select_rows, words_of
from ramster.tasks import SupervisedTasks, together
from ramster.writeback import Writeback
from zcache import PAGE_SIZE, CacheContract, PoolKind, SpillTicket, place_of

__all__ = ["ROOM_BYTES_MIN", "Spiller"]

ROOM_BYTES_MIN = 4 * PAGE_SIZE
"""A lender with less room is not worth a message."""

COMPACT_FRAMES_MAX = 8
"""Frames freed by one compaction, so that it does not hold up the event loop: about 1 ms."""

FRAMES_OWED_MAX = 256
"""Compaction that is remembered while spilling goes on."""


@dataclass(slots=True)
class _Batch:
    """A ticket on its way."""

    ticket: SpillTicket
    size: int
    parts: list[Part]
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
        replication: Replication,
        table: LenderTable,
        deliveries: Deliveries,
        flusher: Flusher,
        writeback: Writeback | None,
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
        self._replication = replication
        self._table = table
        self._deliveries = deliveries
        self._flusher = flusher
        self._writeback = writeback
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
        self._bytes_in_flight = 0
        self._exhausted = False
        """The last look found no page to spill; cleared when there may be one again: by a put that
        stored something, and when a batch ends."""
        self._held_up = False
        """The last look found lenders with room whose windows are full; something is on its way
        to them.
        """
        self._passed_over = 0
        """Pages of the last tickets, one after the other, for which there are too few places."""
        self._frames_owed = 0
        """Frames that should have become free by what left, and are held by what is left."""
        self._stopped = False

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of blobs in batches on their way; a batch with several copies counts once."""
        return self._bytes_in_flight

    def poke(self) -> bool:
        """Look whether there is work, after puts and when lenders or room appear; cheap.

        True when the spiller waits for its turn on the event loop.
        """
        cache = self._cache
        # As ``_needed``, written out: every put passes here.
        if cache.excess_bytes(cache.config.high_watermark) > 0 or self._writers_wait():
            self._wake.set()
            return True
        return self._wake.is_set()

    def put_refused(self) -> None:
        """A put found no room: whatever was exhausted before is looked at again."""
        self._exhausted = False
        self._wake.set()

    def may_make_room(self) -> bool:
        """Whether a writer has a reason to wait: a batch is on its way, or one can be sent."""
        if self._batches or self._held_up:
            return True
        if self._exhausted or self.target == SPILL_NOWHERE:
            return False
        return self._can_send() or self._membership.may_gain_room()

    @property
    def stuck(self) -> bool:
        """Whether pages should leave and cannot."""
        return (
            not self._batches
            and self._needed()
            and (self._exhausted or self.target == SPILL_NOWHERE or not self._can_send())
        )

    def why_not(self) -> str:
        """Why no room will be made, for people."""
        if self.target == SPILL_NOWHERE:
            return "spilling is switched off"
        if self._can_send():
            return "no page is left that could go to a peer with the copies it wants"
        if self._writeback is not None:
            return "no peer that answers has room, nor has the write-back file"
        if self.target == SPILL_AUTO:
            return "no peer that answers has room"
        return f"the spill target {self.target} does not answer or has no room"

    def delivery_ended(self) -> None:
        """A lender may have another batch now."""
        self._settled.set()

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
            self._held_up = False
            async with self._turn:
                wanted = self._wanted_bytes()
                progress = wanted > 0 and self._step(wanted, full)
                if progress:
                    await asyncio.sleep(0)
            if progress:
                continue
            if self._batches or self._held_up:
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

    # -- where to
    # ------------------------------------------------------------------------------------------

    def _choose(self, copies: int, *, paced: bool) -> list[Candidate]:
        """Lenders with room; ``paced``: only those whose window admits another batch."""
        backlog_max = self._config.flush_queue_pages_max
        pacer, size = self._deliveries.pacer, self._config.spill_batch_bytes
        candidates = [
            peer
            for peer in self._membership.candidates()
            if self._flusher.backlog(peer.lender) < backlog_max
            and (not paced or pacer.admits(peer.lender, size))
        ]
        return choose_lenders(candidates, self.target, ROOM_BYTES_MIN, copies, self._random)

    def _file_has_room(self) -> bool:
        return (
            self._writeback is not None
            and self.target != SPILL_NOWHERE
            and self._writeback.has_room(ROOM_BYTES_MIN)
        )

    def _can_send(self) -> bool:
        """Whether a batch could leave now. A file takes persistent pages only."""
        return self._file_has_room() or len(self._choose(1, paced=False)) > 0

    def _begin(self, size: int, *, to_peers: bool) -> SpillTicket | None:
        kinds = [PoolKind.PERSISTENT]
        if self._config.spill_ephemeral and to_peers:
            kinds.append(PoolKind.EPHEMERAL)
        for kind in kinds:
            ticket = self._cache.begin_spill(size, kind=kind, pages_max=SPILL_PAGES_MAX)
            if ticket is not None:
                return ticket
        return None

    def _send_one(self, wanted: int) -> bool:
        """Start one batch; False if there is no place for it or no page to send."""
        copies = self._replication.most
        chosen = self._choose(copies, paced=True)
        short = len(chosen) < copies
        self._held_up = short and len(self._choose(copies, paced=False)) > len(chosen)
        if self._held_up:
            return False  # one more will take it when what is on its way there has ended
        file = self._file_has_room()
        if not chosen and not file:
            return False
        size = min(max(wanted, ROOM_BYTES_MIN), self._config.spill_batch_bytes)
        if chosen:
            size = min(size, *(peer.room_bytes for peer in chosen))
        ticket = self._begin(size, to_peers=bool(chosen))
        if ticket is None:
            self._exhausted = True
            return False
        self._exhausted = False
        lenders = tuple(peer.lender for peer in chosen)
        parts = list(self._parts(ticket, lenders, file=file))
        if not any(part.lenders or part.disk for part in parts):
            return self._pass_over(ticket)
        self._passed_over = 0
        batch = _Batch(ticket, memoryview(ticket.blobs.payload).nbytes, parts)
        self._batches[ticket.ticket_id] = batch
        self._bytes_in_flight += batch.size
        batch.task = self._tasks.spawn(self._deliver(batch), f"spill {ticket.ticket_id}")
        return True

    def _pass_over(self, ticket: SpillTicket) -> bool:
        """A ticket of pages that want more copies than there are places for: others may want
        fewer. False once all were passed over.
        """
        self._cache.cancel_spill(ticket, warm=True)
        self._passed_over += len(ticket.blobs)
        self._exhausted = self._passed_over >= self._cache.stats().pages_local
        if self._exhausted:
            self._passed_over = 0
        return not self._exhausted

    def _parts(self, ticket: SpillTicket, lenders: tuple[Lender, ...], *, file: bool) -> list[Part]:
        """The ticket's rows with their holders; none for those that want more than there are."""
        replication = self._replication
        parts = cut(ticket, lambda pool: replication.copies(pool, ticket.kind))
        for part in parts:
            part.lenders = lenders[: part.copies]
            part.disk = (
                file
                and ticket.kind is PoolKind.PERSISTENT
                and (self._config.writeback_safety or len(part.lenders) < part.copies)
            )
            if not part.disk and len(part.lenders) < replication.least(part.copies):
                part.lenders = ()
        return parts

    # -- one batch
    # -----------------------------------------------------------------------------------

    async def _deliver(self, batch: _Batch) -> None:
        try:
            await together([self._send(batch.ticket, part) for part in batch.parts])
            async with self._turn:
                self._settle(batch)
                await asyncio.sleep(0)
        finally:
            if batch.ticket.ticket_id in self._batches:  # cancelled
                self._keep_home(batch)

    async def _send(self, ticket: SpillTicket, part: Part) -> None:
        """Give a part to all its holders at once."""

        async def store() -> None:
            part.stored = await self._deliveries.store(part.blobs)

        async def send(number: int, lender: Lender) -> None:
            part.answers[number] = await self._deliveries.send(lender, ticket.kind, part.blobs)

        part.stored = nowhere = bytes(len(part.blobs))
        part.answers = [nowhere] * len(part.lenders)
        calls = [send(number, lender) for number, lender in enumerate(part.lenders)]
        await together([*calls, store()] if part.disk else calls)

    def _settle(self, batch: _Batch) -> None:
        """All holders answered."""
        ticket = batch.ticket
        self._forget(batch)
        low = self._cache.config.low_watermark
        before = self._excess(low)
        wheres = array("Q", bytes(8 * len(ticket.blobs)))
        for part in batch.parts:
            words = self._words(ticket.kind, part)
            if len(batch.parts) == 1:
                wheres = words
            else:
                for row, word in zip(part.rows, words, strict=True):
                    wheres[row] = word
        self._counters.pages_spilled_short += self._short(wheres)
        if wheres.count(wheres[0]) == len(wheres) and wheres[0]:
            self._cache.finish_spill(ticket, wheres[0])
        else:
            self._cache.finish_spill(ticket, wheres, bytes(map(bool, wheres)))
        self._flusher.drain()
        # Pages leave holes; a frame is free only when all of its zspage is.
        owed = batch.size // 2 - (before - self._excess(low))
        self._frames_owed = min(FRAMES_OWED_MAX, self._frames_owed + max(0, owed // PAGE_SIZE))
        self._tell()

    def _words(self, kind: PoolKind, part: Part) -> array[int]:
        """The words of a part's pages; copies that count for nothing are flushed."""
        least = self._replication.least(part.copies)
        words, in_vain = words_of(part, kind, self._table, self._membership.exists, least)
        for lender, rows in in_vain.items():
            few = select_rows(part.blobs, rows)
            self._flusher.flush_batch(lender, kind, few.keys, few.generations)
        return words

    def _short(self, wheres: array[int]) -> int:
        """Pages that left with fewer copies than they should have."""
        short = 0
        alike = wheres.count(wheres[0]) == len(wheres)  # the usual case: no step a page
        for word, pages in ({wheres[0]: len(wheres)} if alike else Counter(wheres)).items():
            place = self._table.place(place_of(word)) if word else None
            if place is not None and not place.disk and len(place.lenders) < place.copies:
                short += pages
        return short

    def _keep_home(self, batch: _Batch) -> None:
        """End a ticket with nothing gone."""
        self._forget(batch)
        self._cache.cancel_spill(batch.ticket)
        self._flusher.drain()
        self._tell()

    def _forget(self, batch: _Batch) -> None:
        del self._batches[batch.ticket.ticket_id]
        self._exhausted = False
        self._bytes_in_flight -= batch.size

    def _tell(self) -> None:
        self._on_progress()  # writers first: what they store decides whether more should leave
        self._settled.set()
