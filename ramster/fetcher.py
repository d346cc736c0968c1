"""Getting pages back from lenders, for gets.

Covers: grouping by place, reading ahead, pages that several gets want, what becomes of a copy
that turned out bad, and what a get is told when a page cannot be had. Does not cover: pages that
are here (``cluster_store.py``), which copy is read (``copies.py``).

Whether a fetched page comes home: while the pool is under its low watermark, always. Above it,
only a page that was fetched before of late (``readahead.RecentFetches``): a scan over pages that
are away must not push out what is in use here, while a page that is wanted again and again should
not cross the network each time. Above the high watermark the cache itself takes none back. A page
not taken home stays where it is, and is served all the same. The cache's own second-chance bit
cannot answer this: a stub has none.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ramster.blobs import Blob, pack
from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.copies import CopyReader, Found, Wanted, wanted_rows
from ramster.counters import ClusterCounters
from ramster.errors import PageLostError
from ramster.fetch_calls import CopyName
from ramster.flusher import Flusher
from ramster.lenders import Lender, LenderTable, Place
from ramster.limits import FETCH_KEYS_MAX
from ramster.readahead import ReadaheadBuffer, RecentFetches, SequentialStreams
from zcache import (
    PAGE_SIZE,
    AwayPages,
    CacheContract,
    GetFree,
    PageState,
    PoolKind,
    RestoreStatus,
    place_of,
    where_of,
)

__all__ = ["Fetcher", "PendingGet"]

ROUNDS_MAX = 32
"""Looks at pages that keep changing under a get before it gives up."""


class _Row(NamedTuple):
    """One away page of a get."""

    position: int
    wanted: Wanted
    place: Place
    """What its word stood for when the get looked; the table may forget it meanwhile."""


@dataclass(slots=True)
class PendingGet:
    """A get of some pages that is not complete yet."""

    cache: CacheContract
    pool_id: int
    object_id: int
    indexes: Sequence[int]
    into: memoryview
    free: GetFree
    states: bytearray
    """One ``PageState`` a page."""
    deadline: float
    """Clock time at which the get has to end."""
    lost: dict[int, str] = field(default_factory=dict)
    """Positions of persistent pages that cannot be had, and why."""

    def look(self, positions: Sequence[int] | None = None) -> AwayPages:
        """Ask the cache (again) for the pages at ``positions`` (None: all); returns those that are
        away.
        """
        if positions is None:
            states, away = self.cache.get_many(
                self.pool_id, self.object_id, self.indexes, self.into, free=self.free
            )
            self.states[:] = states
            return away
        pages = bytearray(len(positions) * PAGE_SIZE)
        states, away = self.cache.get_many(
            self.pool_id,
            self.object_id,
            [self.indexes[position] for position in positions],
            pages,
            free=self.free,
        )
        for row, position in enumerate(positions):
            self.states[position] = states[row]
            if states[row] == PageState.PRESENT:
                self.copy(position, memoryview(pages)[row * PAGE_SIZE : (row + 1) * PAGE_SIZE])
        away.positions = array("Q", [positions[row] for row in away.positions])
        return away

    def copy(self, position: int, page: memoryview) -> None:
        """Write a page where its caller wants it."""
        self.into[position * PAGE_SIZE : (position + 1) * PAGE_SIZE] = page


class Fetcher:
    """Completes gets whose pages are away."""

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        table: LenderTable,
        copies: CopyReader,
        flusher: Flusher,
        clock: Clock,
        counters: ClusterCounters,
    ) -> None:
        self._cache = cache
        self._config = config
        self._table = table
        self._copies = copies
        self._flusher = flusher
        self._clock = clock
        self._counters = counters
        self._streams = SequentialStreams(config.readahead_pages)
        self._recent = RecentFetches()
        self.buffer = ReadaheadBuffer(config.readahead_buffer_bytes)
        self._on_their_way: dict[CopyName, asyncio.Future[Blob | None]] = {}

    async def complete(self, get: PendingGet, away: AwayPages) -> None:
        """Fetch what is away and write it; ``get.states`` is then without AWAY.

        Raises PageLostError with every persistent page of the get that could not be had.
        """
        window = self._window(get, away)
        for _ in range(ROUNDS_MAX):
            groups: dict[int, list[_Row]] = {}
            for position, wanted in zip(away.positions, wanted_rows(away), strict=True):
                number = place_of(wanted.where)
                groups.setdefault(number, []).append(
                    _Row(position, wanted, self._table.place(number))
                )
            parts = [
                self._complete_group(get, number, some, window) for number, some in groups.items()
            ]
            again = await parts[0] if len(parts) == 1 else await _all(parts)
            if not again:
                break
            away = get.look(again)
            if not len(away):
                break
        else:
            for position in away.positions:
                get.lost[position] = "it kept changing while it was fetched"
        if get.lost:
            self._counters.pages_lost += len(get.lost)
            position = min(get.lost)
            raise PageLostError([get.indexes[p] for p in sorted(get.lost)], get.lost[position])

    def _window(self, get: PendingGet, away: AwayPages) -> int:
        if get.free is GetFree.ALWAYS:
            return 0
        first = get.indexes[away.positions[0]]
        stop = get.indexes[away.positions[-1]] + 1
        return self._streams.window(get.pool_id, get.object_id, first, stop)

    async def _complete_group(
        self, get: PendingGet, number: int, rows: list[_Row], window: int
    ) -> list[int]:
        """Serve pages of one place; returns positions to look at again."""
        here: list[tuple[_Row, Blob]] = []
        missing: list[_Row] = []
        joined: list[tuple[_Row, asyncio.Future[Blob | None]]] = []
        for row in rows:
            blob = self.buffer.take(*row.wanted.name)
            if blob is not None:
                self._counters.readahead_hits += 1
                here.append((row, blob))
            elif (future := self._on_their_way.get(row.wanted.name)) is not None:
                joined.append((row, future))
            else:
                missing.append(row)
        again = self._restore(get, here)
        if missing:
            again += await self._fetch(get, number, missing, window)
        if joined:
            again += await self._join(get, joined)
        return again

    # -- pages that are on their way for another get
    # -------------------------------------------------

    async def _join(
        self, get: PendingGet, joined: list[tuple[_Row, asyncio.Future[Blob | None]]]
    ) -> list[int]:
        arrived: list[tuple[_Row, Blob]] = []
        again: list[int] = []
        for row, future in joined:
            try:
                async with asyncio.timeout(max(0.0, get.deadline - self._clock.now())):
                    blob = await asyncio.shield(future)
            except TimeoutError:
                limit = self._config.fetch_deadline_s
                reason = f"no answer from {row.place.names} within {limit:g} s"
                again += self._lose_all(get, [row], reason)
                continue
            if blob is None:
                again.append(row.position)
            else:
                self._counters.fetches_joined += 1
                arrived.append((row, blob))
        return again + self._restore(get, arrived)

    # -- pages to fetch
    # --------------------------------------------------------------------------------

    async def _fetch(
        self, get: PendingGet, number: int, rows: list[_Row], window: int
    ) -> list[int]:
        """Fetch pages, with those that a sequential reader wants next."""
        pages = [row.wanted for row in rows]
        pages += self._neighbours(get, number, rows[-1], window)
        del pages[FETCH_KEYS_MAX:]
        loop = asyncio.get_running_loop()
        futures = {page.name: loop.create_future() for page in pages}
        self._on_their_way.update(futures)
        found = Found()
        try:
            found = await self._copies.read(
                rows[0].place,
                pages,
                get.deadline,
                essential=len(rows),
                is_current=lambda page: self._is_current(get, rows, page),
            )
        finally:
            for name, future in futures.items():
                del self._on_their_way[name]
                future.set_result(found.blobs.get(name))
        self._drop_bad(pages, found)
        return self._take(get, rows, found)

    def _take(self, get: PendingGet, rows: list[_Row], found: Found) -> list[int]:
        """Restore what was asked for, keep what was read ahead; returns positions to look at
        again.
        """
        again: list[int] = []
        arrived: list[tuple[_Row, Blob]] = []
        taken = set()
        for row in rows:
            name = row.wanted.name
            blob = found.blobs.get(name)
            if blob is not None:
                arrived.append((row, blob))
                taken.add(name)
            else:
                reason = found.reasons.get(name, f"{row.place.names} gave no answer")
                again += self._lose_all(get, [row], reason)
        for name, blob in found.blobs.items():
            if name not in taken:
                self.buffer.put(blob)
        return again + self._restore(get, arrived)

    def _neighbours(self, get: PendingGet, number: int, last: _Row, window: int) -> list[Wanted]:
        """Copies at the same place of the pages that follow, unless they are here already."""
        start = get.indexes[last.position] + 1
        if window == 0 or start > 2**64 - 1 - window:
            return []
        away = self._cache.peek_away(get.pool_id, get.object_id, range(start, start + window))
        return [
            page
            for page in wanted_rows(away)
            if place_of(page.where) == number
            and page.name not in self.buffer
            and page.name not in self._on_their_way
        ]

    def _drop_bad(self, pages: list[Wanted], found: Found) -> None:
        """Strike lenders that have no good copy off the places of pages that have another one.

        The pages then lack a copy, which is made good like any other that was lost.
        """
        for page in pages:
            lenders = found.bad.get(page.name)
            if lenders and page.name in found.blobs:
                self._strike(page, lenders)

    def _strike(self, page: Wanted, lenders: list[Lender]) -> None:
        try:
            place = self._table.place(place_of(page.where))
        except KeyError:
            return  # no stub carries it any more
        left = tuple(lender for lender in place.lenders if lender not in lenders)
        if not left and not place.disk:
            return
        number = self._table.number(place._replace(lenders=left))
        to = where_of(number, page.where >> 32)
        if self._cache.move_away([page.key], [page.generation], [page.where], [to]) == b"\1":
            self._counters.copies_struck += len(lenders)
            for lender in lenders:
                self._flusher.flush_batch(
                    lender, place.kind, array("Q", [page.key]), array("Q", [page.generation])
                )

    # -- what a get is given
    # -------------------------------------------------------------------------

    def _restore(self, get: PendingGet, arrived: list[tuple[_Row, Blob]]) -> list[int]:
        """Verify and write pages; returns positions to look at again."""
        if not arrived:
            return []
        again: list[int] = []
        if self._cache.excess_bytes(self._cache.config.low_watermark) == 0:
            again += self._restore_some(get, arrived, install=True)
        else:
            known = [self._recent.seen(blob.key) for _, blob in arrived]
            for install in (False, True):
                some = [pair for pair, seen in zip(arrived, known, strict=True) if seen is install]
                if some:
                    again += self._restore_some(get, some, install=install)
        self._flusher.drain()
        return again

    def _restore_some(
        self, get: PendingGet, arrived: list[tuple[_Row, Blob]], *, install: bool
    ) -> list[int]:
        again: list[int] = []
        pages = memoryview(bytearray(len(arrived) * PAGE_SIZE))
        statuses = self._cache.restore_many(
            get.pool_id,
            get.object_id,
            [get.indexes[row.position] for row, _ in arrived],
            pack(blob for _, blob in arrived),
            pages,
            install=install,
            free=get.free,
        )
        for number, (row, _) in enumerate(arrived):
            if statuses[number] == RestoreStatus.RESTORED:
                get.copy(row.position, pages[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])
                get.states[row.position] = PageState.PRESENT
                self._counters.remote_hits += 1
            elif statuses[number] == RestoreStatus.STALE:
                again.append(row.position)
            else:
                self._counters.pages_corrupt += 1
                self._lose(get, row, f"the copy of {row.place.names} does not decompress")
        return again

    def _lose_all(self, get: PendingGet, rows: list[_Row], reason: str) -> list[int]:
        """The pages cannot be had. Those that changed meanwhile are looked at again."""
        again: list[int] = []
        for row in rows:
            if self._is_stub(get, row):
                self._lose(get, row, reason)
            else:
                again.append(row.position)
        return again

    def _lose(self, get: PendingGet, row: _Row, reason: str) -> None:
        if row.place.kind is PoolKind.EPHEMERAL:
            # A miss. The flush removes the stub and, if there still is one, the copy.
            self._counters.ephemeral_lost += 1
            get.states[row.position] = PageState.ABSENT
            if self._is_stub(get, row):
                self._cache.flush(get.pool_id, get.object_id, get.indexes[row.position])
                self._flusher.drain()
        else:
            get.lost[row.position] = reason

    def _is_current(self, get: PendingGet, rows: list[_Row], page: Wanted) -> bool:
        """Whether a page that is being read still is what it was; those read ahead are taken to
        be.
        """
        row = next((row for row in rows if row.wanted is page), None)
        return row is None or self._is_stub(get, row)

    def _is_stub(self, get: PendingGet, row: _Row) -> bool:
        """Whether the page still is where it was when the get began."""
        away = self._cache.peek_away(get.pool_id, get.object_id, [get.indexes[row.position]])
        wanted = row.wanted
        return len(away) == 1 and (wanted.key, wanted.generation, wanted.where) == (
            away.keys[0],
            away.generations[0],
            away.wheres[0],
        )


async def _all(parts: list[Coroutine[Any, Any, list[int]]]) -> list[int]:
    """Run the parts side by side to their ends; their positions, or the first exception."""
    outcomes = await asyncio.gather(*parts, return_exceptions=True)
    positions: list[int] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        positions += outcome
    return sorted(positions)
