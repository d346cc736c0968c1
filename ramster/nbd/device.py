"""A block device of any alignment over a store of pages.

Covers: byte ranges to pages, partial pages, holes, slices that keep long requests from hogging the
event loop. Does not cover: the protocol (``requests.py``). Read next: ``page_claims.py``.

Offsets and lengths are bytes and must lie within the export; ``requests.py`` checks that. Absent
pages read as zeros. Each page changes at once, also against other requests under way on any
connection; a request of several pages is not atomic as a whole, as on a disk. A write that fails
may have written some of its pages; the others are as they were. Store errors (StoreError,
ZcacheError) pass through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ramster.nbd.export import Export
from ramster.nbd.page_claims import PageClaims
from ramster.nbd.protocol import STATE_HOLE, STATE_ZERO
from ramster.store import PageStore
from zcache import PAGE_SIZE, Buffer

__all__ = ["BlockDevice"]

FLUSH_SLICE_PAGES = 1024
"""Pages flushed, and ..."""
FETCH_SLICE_PAGES = 64
"""... prefetched or filled with zeros, and ..."""
STATUS_SLICE_PAGES = 16384
"""... looked at for block status, before others get their turn."""
STATUS_EXTENTS_MAX = 2048
"""Extents in one block status reply; the protocol lets a server stop early."""

_ZEROES = bytes(FETCH_SLICE_PAGES * PAGE_SIZE)


class BlockDevice:
    """One export's bytes; shared by all its connections. Not for use from several threads."""

    def __init__(self, store: PageStore, export: Export) -> None:
        self.export = export
        self._store = store
        self._pool = export.pool_id
        self._object = export.object_id
        self._claims = PageClaims()

    @property
    def claims(self) -> int:
        """Operations that change pages and are under way."""
        return len(self._claims)

    async def read(self, offset: int, length: int, headroom: int) -> tuple[bytearray, int, bytes]:
        """Returns (buffer, at, present): the data are ``buffer[at : at + length]``.

        At least ``headroom`` bytes of the buffer before ``at`` are the caller's, for a header, so
        that header and data leave in one piece. ``present``: one byte a page touched, 0 where
        absent.
        """
        first = offset // PAGE_SIZE
        stop = -(-(offset + length) // PAGE_SIZE)
        buffer = bytearray(headroom + (stop - first) * PAGE_SIZE)
        present = await self._store.get_many(
            self._pool, self._object, range(first, stop), memoryview(buffer)[headroom:]
        )
        return buffer, headroom + offset % PAGE_SIZE, present

    async def write(self, offset: int, payload: Buffer) -> None:
        """Write bytes; partial pages at the edges keep the rest of their content."""
        end = offset + len(payload)
        first = offset // PAGE_SIZE
        stop = -(-end // PAGE_SIZE)
        ragged = bool(offset % PAGE_SIZE or end % PAGE_SIZE)
        claim = self._claims.claim(first, stop, exclusive=ragged)
        try:
            if claim.must_wait:
                await claim.granted()
            if ragged:
                await self._write_ragged(offset, memoryview(payload))
            else:
                await self._store.put_many(
                    self._pool, self._object, range(first, stop), payload, keep_old=True
                )
        finally:
            self._claims.release(claim)

    async def _write_ragged(self, offset: int, payload: memoryview) -> None:
        """Whole pages as they are, partial ones with the rest of what is stored, in order.

        The caller holds the claim. (Filling up a copy of the payload would be one call of the store
        instead of three, and twice the memory.)
        """
        at, end = offset, offset + len(payload)
        while at < end:
            page, skipped = divmod(at, PAGE_SIZE)
            stop = max(end // PAGE_SIZE, page + 1) if not skipped else page + 1
            upto = min(stop * PAGE_SIZE, end)
            content: Buffer = payload[at - offset : upto - offset]
            if upto - at < PAGE_SIZE:
                whole = bytearray(PAGE_SIZE)
                await self._store.get_many(self._pool, self._object, (page,), whole)
                whole[skipped : skipped + upto - at] = content
                content = whole
            await self._store.put_many(
                self._pool, self._object, range(page, stop), content, keep_old=True
            )
            at = upto

    async def zero(self, offset: int, length: int, *, hole: bool) -> None:
        """Make bytes zeros: whole pages become absent, or (``hole=False``) stored zeros."""
        end = offset + length
        first = offset // PAGE_SIZE
        stop = -(-end // PAGE_SIZE)
        whole_start = -(-offset // PAGE_SIZE)
        # The last page of an export ends where the export ends.
        whole_stop = stop if end == self.export.size_bytes else end // PAGE_SIZE
        ragged = whole_start != first or whole_stop != stop
        claim = self._claims.claim(first, stop, exclusive=ragged)
        try:
            if claim.must_wait:
                await claim.granted()
            if whole_start != first:
                await self._zero_part(first, offset, end, hole)
            if whole_stop != stop and not (whole_start != first and stop - 1 == first):
                await self._zero_part(stop - 1, offset, end, hole)
            if whole_start < whole_stop:
                await self._zero_pages(whole_start, whole_stop, hole)
        finally:
            self._claims.release(claim)

    async def _zero_part(self, page: int, offset: int, end: int, hole: bool) -> None:
        """Zero what offset..end has of one page. The caller holds an exclusive claim."""
        content = bytearray(PAGE_SIZE)
        where = (self._pool, self._object, (page,))
        present = await self._store.get_many(*where, content)
        if not present[0] and hole:
            return
        low = max(offset - page * PAGE_SIZE, 0)
        high = min(end - page * PAGE_SIZE, PAGE_SIZE)
        content[low:high] = bytes(high - low)
        await self._store.put_many(*where, content, keep_old=True)

    async def _zero_pages(self, start: int, stop: int, hole: bool) -> None:
        if hole:
            for low, high in _slices(start, stop, FLUSH_SLICE_PAGES):
                if low != start:
                    await asyncio.sleep(0)
                await self._store.flush_range(self._pool, self._object, low, high)
            return
        # Same-filled pages: no frame, an index entry each; unlike absent ones they are allocated.
        for low, high in _slices(start, stop, FETCH_SLICE_PAGES):
            if low != start:
                await asyncio.sleep(0)
            zeroes = memoryview(_ZEROES)[: (high - low) * PAGE_SIZE]
            await self._store.put_many(
                self._pool, self._object, range(low, high), zeroes, keep_old=True
            )

    async def prefetch(self, offset: int, length: int) -> None:
        """Fetch the stored pages of a range, so that the next read of them finds them near."""
        first = offset // PAGE_SIZE
        stop = -(-(offset + length) // PAGE_SIZE)
        scratch = bytearray(min(stop - first, FETCH_SLICE_PAGES) * PAGE_SIZE)
        for low, high in _slices(first, stop, STATUS_SLICE_PAGES):
            for start, count, stored in self._store.extents(self._pool, self._object, low, high):
                for some in _slices(start, start + count, FETCH_SLICE_PAGES) if stored else ():
                    await self._store.get_many(self._pool, self._object, range(*some), scratch)
                    await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def status(self, offset: int, length: int, *, one: bool) -> list[tuple[int, int]]:
        """(length, state flags) runs from ``offset`` on, neighbours of different states.

        They cover ``length`` bytes, or less where there are very many, or just the first with
        ``one``.
        """
        end = offset + length
        first = offset // PAGE_SIZE
        stop = -(-end // PAGE_SIZE)
        runs: list[list[int]] = []
        for low, high in _slices(first, stop, STATUS_SLICE_PAGES):
            if low != first:
                await asyncio.sleep(0)
            for start, count, stored in self._store.extents(self._pool, self._object, low, high):
                state = 0 if stored else STATE_HOLE | STATE_ZERO
                begin = max(start * PAGE_SIZE, offset)
                size = min((start + count) * PAGE_SIZE, end) - begin
                if runs and runs[-1][1] == state:
                    runs[-1][0] += size
                elif len(runs) == (1 if one else STATUS_EXTENTS_MAX):
                    return [(run[0], run[1]) for run in runs]
                else:
                    runs.append([size, state])
        return [(run[0], run[1]) for run in runs]


def _slices(start: int, stop: int, pages: int) -> Iterator[tuple[int, int]]:
    for low in range(start, stop, pages):
        yield low, min(low + pages, stop)
