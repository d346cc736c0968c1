"""Moving pages that are away: lost copies made again, lenders that want room, pages that come home.

Covers: where pages move to, and that each move is complete or undone. Does not cover: which pages
should move (``relocation_plan.py``), where they go at first (``spiller.py``), reading a copy
(``copies.py``), one batch to one lender (``deliveries.py``).

Pages of a lender that leaves come home if there is room, else go to other lenders, else to the
write-back file. Lost copies are made at further lenders, else in the file, else pages come home.

A page moves by compare-and-set of its stub's word after the new copies were acknowledged; the old
ones are flushed only then. If the page changed meanwhile, the new copies are flushed. So at any
moment a page has the copies that its word names, whatever fails. Extra copies keep the page's
generation, so no copy is placed at a lender that is still owed a flush for the same key.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeAlias

from ramster.blobs import Blob, pack
from ramster.clock import Clock
from ramster.cluster_config import SPILL_AUTO, SPILL_NOWHERE, ClusterConfig
from ramster.copies import CopyReader, Wanted, wanted_rows
from ramster.counters import ClusterCounters
from ramster.deliveries import Deliveries
from ramster.fetch_calls import CopyName
from ramster.flusher import Flusher
from ramster.lenders import Lender, LenderTable
from ramster.membership import Membership
from ramster.placement import Candidate, choose_lenders
from ramster.relocation_plan import IDLE_S, Move, Reason, RelocationPlan
from ramster.replication import Replication
from ramster.spiller import ROOM_BYTES_MIN
from ramster.writeback import Writeback
from zcache import (
    PAGE_SIZE,
    CacheContract,
    GetFree,
    NoSuchPoolError,
    PackedBlobs,
    PoolKind,
    position_of,
    where_of,
)

__all__ = ["Relocator"]

SLICE_PAGES = 64
"""Pages moved in one go."""

BLOB_BYTES_TYPICAL = 2048
"""What a page is taken to come to when a slice is cut to what a rate allows in a pause."""


Handle: TypeAlias = tuple[int, int, int]
"""(pool id, object id, index)."""


class Relocator:
    """Moves pages of one node, one slice after another."""

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        membership: Membership,
        replication: Replication,
        table: LenderTable,
        copies: CopyReader,
        deliveries: Deliveries,
        flusher: Flusher,
        writeback: Writeback | None,
        clock: Clock,
        random: Random,
        counters: ClusterCounters,
        *,
        target: Callable[[], str],
    ) -> None:
        self._cache = cache
        self._config = config
        self._membership = membership
        self._replication = replication
        self._table = table
        self._copies = copies
        self._deliveries = deliveries
        self._flusher = flusher
        self._writeback = writeback
        self._clock = clock
        self._random = random
        self._counters = counters
        self._target = target
        self.plan = RelocationPlan(cache, config, membership, replication, table, clock)
        self._cursors: dict[int, int] = {}
        """Where the scan of a place goes on."""
        self.busy: Reason | None = None
        """What is being done, for the figures."""

    async def run(self) -> None:
        """Move what should move, for ever."""
        while True:
            if await self.step():
                await asyncio.sleep(0)
            else:
                await self._clock.sleep(self.plan.pause_s())

    async def step(self) -> bool:
        """Move one slice; False if there was nothing to do now."""
        try:
            for move in self.plan.moves():
                self.busy = move.reason
                if await self._move(move):
                    return True
                self.plan.rest(move)
            return False
        finally:
            self.busy = None

    # -- one slice
    # ----------------------------------------------------------------------------------------

    async def _move(self, move: Move) -> bool:
        """Move some pages of a place; False if none could be moved."""
        rate = self.plan.rate(move.reason)
        found, away, cursor = self._cache.scan_away(
            move.number,
            cursor=self._cursors.get(move.number, 0),
            pages_max=int(max(1, min(SLICE_PAGES, rate * IDLE_S / BLOB_BYTES_TYPICAL))),
        )
        if cursor:
            self._cursors[move.number] = cursor
        else:
            self._cursors.pop(move.number, None)
        pages = wanted_rows(away)
        if not pages:
            return cursor != 0  # the scan has looked at a part that has none
        handles = {page.name: handle for page, handle in zip(pages, found, strict=True)}
        began = self._clock.now()
        need = 0 if move.place.disk else max(0, move.place.copies - len(move.keep))
        if move.reason is Reason.REPATRIATE:
            moved, size = await self._bring_home(move, handles, pages)
        elif need == 0 and not self._replication.missing(move.place):
            moved, size = self._retarget(move, pages), sum(page.length for page in pages)
        elif move.reason is Reason.EVACUATE and self.plan.room_at_home():
            moved, size = await self._bring_home(move, handles, pages)
        else:
            moved, size = await self._make_copies(move, handles, pages, need)
        self._account(move, moved, size)
        self.plan.pace(move.reason, size, began)
        return moved > 0

    def _account(self, move: Move, moved: int, size: int) -> None:
        counters = self._counters
        if move.reason is Reason.EVACUATE:
            counters.pages_evacuated += moved
            for lender in move.place.lenders if moved else ():
                self._membership.on_evacuated(lender, size)
        elif move.reason is Reason.REBUILD:
            counters.pages_rebuilt += moved
        else:
            counters.pages_repatriated += moved

    def _retarget(self, move: Move, pages: Sequence[Wanted]) -> int:
        """Strike the lenders that are not kept off the pages' places: there are copies enough."""
        number = self._table.number(move.place._replace(lenders=move.keep))
        to = [where_of(number, position_of(page.where)) for page in pages]
        return self._set(move, pages, to, ())

    async def _read(
        self, move: Move, handles: Mapping[CopyName, Handle], pages: Sequence[Wanted]
    ) -> dict[CopyName, Blob]:
        def is_current(page: Wanted) -> bool:
            pool, page_object, index = handles[page.name]
            try:
                away = self._cache.peek_away(pool, page_object, [index])
            except NoSuchPoolError:
                return False
            return len(away) == 1 and page.name == (away.keys[0], away.generations[0])

        deadline = self._clock.now() + self._config.fetch_deadline_s
        found = await self._copies.read(
            move.place, pages, deadline, essential=len(pages), is_current=is_current
        )
        return found.blobs

    async def _bring_home(
        self, move: Move, handles: Mapping[CopyName, Handle], pages: Sequence[Wanted]
    ) -> tuple[int, int]:
        """Make pages local, as far as there is room; the cache gives up their copies.

        Returns pages and bytes.
        """
        blobs = await self._read(move, handles, pages)
        before = self._cache.stats().pages_away
        groups: dict[tuple[int, int], list[tuple[int, Blob]]] = {}
        for page in pages:
            if page.name in blobs:
                pool, page_object, index = handles[page.name]
                groups.setdefault((pool, page_object), []).append((index, blobs[page.name]))
        for (pool, page_object), rows in groups.items():
            try:
                self._cache.restore_many(
                    pool,
                    page_object,
                    [index for index, _ in rows],
                    pack(blob for _, blob in rows),
                    None,
                    install=True,
                    free=GetFree.NEVER,
                )
            except NoSuchPoolError:
                continue  # destroyed meanwhile
        self._flusher.drain()
        size = sum(blob.length for blob in blobs.values())
        return max(0, before - self._cache.stats().pages_away), size

    async def _make_copies(
        self,
        move: Move,
        handles: Mapping[CopyName, Handle],
        pages: Sequence[Wanted],
        need: int,
    ) -> tuple[int, int]:
        """Give pages further holders; those whose copies were taken move. Pages and bytes."""
        chosen = self._choose(move, need)
        file = self._file_takes(move, len(chosen) < need)
        targets = tuple(peer.lender for peer in chosen)
        if not targets and not file:
            if self.plan.room_at_home():
                return await self._bring_home(move, handles, pages)
            if self.plan.must_do_with_fewer(move):
                return self._retarget(move, pages), sum(page.length for page in pages)
            return 0, 0
        pages = self._fitting(pages, chosen)
        if not pages:
            return 0, 0
        blobs = await self._read(move, handles, pages)
        some = [page for page in pages if page.name in blobs]
        if not some:
            return 0, 0
        packed = pack(blobs[page.name] for page in some)
        positions, *answers = await asyncio.gather(
            self._deliveries.store(packed) if file else _nowhere(packed),
            *(self._deliveries.send(lender, move.place.kind, packed) for lender in targets),
        )
        groups: dict[tuple[tuple[Lender, ...], bool], list[int]] = {}
        for row in range(len(some)):
            took = tuple(
                lender
                for lender, answer in zip(targets, answers, strict=True)
                if answer[row] and self._membership.exists(lender)
            )
            groups.setdefault((took, positions[row] != 0), []).append(row)
        moved = 0
        for (took, on_disk), rows in groups.items():
            if took or on_disk:
                disk = move.place.disk or on_disk
                number = self._table.number(
                    move.place._replace(lenders=move.keep + took, disk=disk)
                )
                few = [some[row] for row in rows]
                to = [
                    where_of(number, positions[row] or position_of(some[row].where)) for row in rows
                ]
                moved += self._set(move, few, to, took)
        return moved, sum(blob.length for blob in blobs.values())

    def _choose(self, move: Move, need: int) -> list[Candidate]:
        """Further lenders, other nodes than those that have the pages."""
        target = self._target()
        if target == SPILL_NOWHERE or move.place.kind is PoolKind.EPHEMERAL:
            return []
        # A later life of a node that had a copy has none.
        have = {lender.node for lender in move.place.lenders if self._membership.exists(lender)}
        candidates = [
            peer
            for peer in self._membership.candidates()
            if self._deliveries.pacer.admits(peer.lender, self._config.spill_batch_bytes)
        ]
        return choose_lenders(
            candidates,
            SPILL_AUTO if move.keep else target,
            ROOM_BYTES_MIN,
            need,
            self._random,
            taken=have,
        )

    def _fitting(self, pages: Sequence[Wanted], chosen: Sequence[Candidate]) -> list[Wanted]:
        """The pages for which there is room at all of the chosen lenders, and that none of them
        is still to flush an earlier copy of.
        """
        room = min((peer.room_bytes for peer in chosen), default=SLICE_PAGES * PAGE_SIZE)
        pending = set().union(*(self._flusher.pending_keys(peer.lender) for peer in chosen))
        fitting = []
        for page in pages:
            if page.key not in pending:
                room -= page.length
                if room < 0:
                    break
                fitting.append(page)
        return fitting

    def _file_takes(self, move: Move, short: bool) -> bool:
        """Whether the write-back file is to make up for copies that find no lender."""
        return (
            self._writeback is not None
            and not move.place.disk
            and move.place.kind is PoolKind.PERSISTENT
            and (short or self._config.writeback_safety)
            and self._writeback.has_room(SLICE_PAGES * PAGE_SIZE)
        )

    def _set(
        self, move: Move, pages: Sequence[Wanted], to: Sequence[int], added: Sequence[Lender]
    ) -> int:
        """Let stubs name their new copies; flush the copies that no stub names now."""
        keys = array("Q", [page.key for page in pages])
        generations = array("Q", [page.generation for page in pages])
        done = self._cache.move_away(keys, generations, [page.where for page in pages], to)
        dropped = [lender for lender in move.place.lenders if lender not in move.keep]
        for outcome, lenders in ((1, dropped), (0, added)):
            rows = [row for row, moved in enumerate(done) if moved == outcome]
            for lender in lenders if rows else ():
                self._flusher.flush_batch(
                    lender,
                    move.place.kind,
                    array("Q", [keys[row] for row in rows]),
                    array("Q", [generations[row] for row in rows]),
                )
        if self._writeback is not None:
            new = [position_of(word) for word in to]
            old = [position_of(page.where) for page in pages]
            unused = [
                slot
                for slot, was, moved in zip(new, old, done, strict=True)
                if not moved and slot and slot != was
            ]
            self._writeback.free(unused)
        return done.count(1)


async def _nowhere(blobs: PackedBlobs) -> Sequence[int]:
    """The slots of pages that do not go to the file."""
    return bytes(len(blobs))
