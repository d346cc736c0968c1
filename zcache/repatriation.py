"""Pages that are away: their stubs, and the way home.

Covers: looking at stubs, verifying and installing fetched blobs, forgetting, scanning by place,
entering that a copy moved to another place.
Does not cover: fetching (the layer above), leaving (``spill.py``).

Decoding runs outside the lock, so a batch goes through three steps: note which stubs the blobs
match, verify and decode, then settle those stubs that are still the same.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from zcache.codec import checksum_of, decode
from zcache.entries import Entries
from zcache.errors import BadHandleError, CorruptPageError
from zcache.index import Pool
from zcache.lending import blob_offsets
from zcache.page import (
    PAGE_SIZE,
    PLACE_MASK,
    AwayPages,
    GetFree,
    PackedBlobs,
    PoolKind,
    RestoreStatus,
    check_place,
    is_where,
)
from zcache.page_table import AWAY, ENCODING_MASK, FOREIGN, PERSISTENT, STATE_MASK

__all__ = ["Repatriation"]

_MOVE_RUN = 256
_SCAN_CHUNK = 4096
_SCAN_MAX = 16 * _SCAN_CHUNK


class Repatriation:
    """Operations on pages that are away. Takes the cache's lock itself."""

    def __init__(self, entries: Entries, lock: threading.Lock) -> None:
        self._entries = entries
        self._lock = lock

    def peek(self, pool_id: int, object_id: int, indexes: Sequence[int]) -> AwayPages:
        """See ``CacheContract.peek_away``."""
        entries = self._entries
        flags = entries.table.flags
        pages = AwayPages()
        with self._lock:
            pool = entries.index.pool(pool_id)
            for position, index in enumerate(indexes):
                entry = entries.find(pool, object_id, index)
                if entry and flags[entry] & STATE_MASK == AWAY:
                    entries.append_away(pages, position, entry)
        return pages

    def restore(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        blobs: PackedBlobs,
        into: bytearray | memoryview | None,
        *,
        install: bool,
        free: GetFree,
    ) -> bytes:
        """See ``CacheContract.restore_many``."""
        entries = self._entries
        offsets = blob_offsets(blobs, len(indexes))
        payload = memoryview(blobs.payload)
        statuses = bytearray([RestoreStatus.STALE]) * len(indexes)
        with self._lock:
            pool = entries.index.pool(pool_id)
            for row, index in enumerate(indexes):
                if self._stub(pool, object_id, index, blobs, row):
                    matches = self._matches(blobs, row)
                    statuses[row] = RestoreStatus.RESTORED if matches else RestoreStatus.CORRUPT
        pages: dict[int, bytes] = {}
        for row, status in enumerate(statuses):
            if status == RestoreStatus.RESTORED:
                blob = payload[offsets[row] : offsets[row + 1]]
                try:
                    if into is not None:
                        pages[row] = decode(blob, blobs.encodings[row], blobs.checksums[row])
                    elif checksum_of(blob) != blobs.checksums[row]:
                        statuses[row] = RestoreStatus.CORRUPT
                except CorruptPageError:
                    statuses[row] = RestoreStatus.CORRUPT
        with self._lock:
            pool = entries.index.pool(pool_id)
            frees = free == GetFree.ALWAYS or (free == GetFree.BY_KIND and pool.frees_on_get)
            entries.note_peaks()
            for row, index in enumerate(indexes):
                if statuses[row] == RestoreStatus.RESTORED:
                    entry = self._stub(pool, object_id, index, blobs, row)
                    if not entry:
                        statuses[row] = RestoreStatus.STALE
                        continue
                    blob = payload[offsets[row] : offsets[row + 1]]
                    self._settle(entry, blob, frees=frees, install=install)
                    if into is not None:
                        into[row * PAGE_SIZE : (row + 1) * PAGE_SIZE] = pages[row]
            entries.counters.restores_stale += statuses.count(RestoreStatus.STALE)
            entries.counters.restores_corrupt += statuses.count(RestoreStatus.CORRUPT)
        return bytes(statuses)

    def move(
        self,
        keys: Sequence[int],
        generations: Sequence[int],
        wheres: Sequence[int],
        to: Sequence[int],
    ) -> bytes:
        """See ``CacheContract.move_away``."""
        columns = (keys, generations, wheres, to)
        if len({len(column) for column in columns}) != 1:
            rows = [len(column) for column in columns]
            raise BadHandleError(f"the columns of pages to move differ in length: {rows}")
        changed = bytearray()
        for start in range(0, len(keys), _MOVE_RUN):
            run = slice(start, start + _MOVE_RUN)
            with self._lock:
                rows_of_run = zip(*(column[run] for column in columns), strict=True)
                changed += bytes(self._move_one(*row) for row in rows_of_run)
                self._entries.counters.pages_moved += changed.count(1, start)
        return bytes(changed)

    def forget(self, pool_id: int, object_id: int, index: int, generation: int) -> bool:
        """See ``CacheContract.forget_away``."""
        entries = self._entries
        with self._lock:
            entry = entries.find(entries.index.pool(pool_id), object_id, index)
            table = entries.table
            if (
                not entry
                or table.flags[entry] & STATE_MASK != AWAY
                or table.generations[entry] != generation
            ):
                return False
            entries.forget_stub(entry)
            return True

    def forget_where(self, place: int, kind: PoolKind) -> int:
        """See ``CacheContract.forget_where``."""
        check_place(place)
        entries = self._entries
        wanted = AWAY | (PERSISTENT if kind == PoolKind.PERSISTENT else 0)
        mask = STATE_MASK | FOREIGN | PERSISTENT
        forgotten = cursor = 0
        while True:
            with self._lock:
                table = entries.table
                pair = entries.away.get(place)
                if pair is None or not pair[kind] or cursor >= len(table.flags):
                    return forgotten
                stop = min(cursor + _SCAN_CHUNK, len(table.flags))
                for entry in range(cursor, stop):
                    if (
                        table.flags[entry] & mask == wanted
                        and table.words[entry] & PLACE_MASK == place
                    ):
                        entries.forget_stub(entry)
                        forgotten += 1
                cursor = stop

    def scan(
        self, place: int, cursor: int, pages_max: int
    ) -> tuple[list[tuple[int, int, int]], AwayPages, int]:
        """See ``CacheContract.scan_away``."""
        check_place(place)
        entries = self._entries
        table = entries.table
        handles: list[tuple[int, int, int]] = []
        pages = AwayPages()
        end = cursor + _SCAN_MAX
        while cursor < end:
            with self._lock:
                if place not in entries.away or cursor >= len(table.flags):
                    return handles, pages, 0
                for entry in range(cursor, min(cursor + _SCAN_CHUNK, len(table.flags))):
                    if (
                        table.flags[entry] & STATE_MASK == AWAY
                        and table.words[entry] & PLACE_MASK == place
                    ):
                        if len(handles) >= pages_max:
                            return handles, pages, entry
                        owner = entries.owner(entry)
                        handles.append((owner.pool.pool_id, owner.object_id, table.indexes[entry]))
                        entries.append_away(pages, len(pages), entry)
                cursor += _SCAN_CHUNK
        return handles, pages, cursor

    # -- under the lock ----------------------------------------------------------------------------

    def _move_one(self, key: int, generation: int, where: int, to: int) -> bool:
        """Set the word of a stub if it is still what the caller saw."""
        entries = self._entries
        table = entries.table
        if (
            not 0 < key < len(table.flags)
            or table.flags[key] & (STATE_MASK | FOREIGN) != AWAY
            or table.generations[key] != generation
            or table.words[key] != where
            or not is_where(to)
        ):
            return False
        table.words[key] = to
        entries.count_away(where, table.flags[key], -1)
        entries.count_away(to, table.flags[key], 1)
        return True

    def _stub(self, pool: Pool, object_id: int, index: int, blobs: PackedBlobs, row: int) -> int:
        """The entry that is away and that a blob's key and generation name, or 0."""
        entries = self._entries
        entry = entries.find(pool, object_id, index)
        if (
            entry
            and entry == blobs.keys[row]
            and entries.table.flags[entry] & STATE_MASK == AWAY
            and entries.table.generations[entry] == blobs.generations[row]
        ):
            return entry
        return 0

    def _matches(self, blobs: PackedBlobs, row: int) -> bool:
        """Whether a blob's other columns are its stub's."""
        table = self._entries.table
        entry = blobs.keys[row]
        return (
            table.lengths[entry] == blobs.lengths[row]
            and table.checksums[entry] == blobs.checksums[row]
            and table.flags[entry] & ENCODING_MASK == blobs.encodings[row]
        )

    def _settle(self, entry: int, blob: memoryview, *, frees: bool, install: bool) -> None:
        """Free a verified page, or make it local if there is room, or leave it away."""
        entries = self._entries
        if frees:
            entries.drop(entry)
            entries.counters.pages_restored += 1
            return
        if not install or entries.frozen:
            return
        limit = entries.frames_under(entries.config.high_watermark)
        location = entries.zsmalloc.store(bytes(blob), entry, limit)
        if not location:
            return
        table = entries.table
        flags = table.flags[entry] & (PERSISTENT | ENCODING_MASK)
        checksum, generation = table.checksums[entry], table.generations[entry]
        entries.release(entry)
        entries.fill_local(entry, flags, len(blob), checksum, location, generation)
        entries.counters.pages_restored += 1
