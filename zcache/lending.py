"""Foreign pages: blobs that this cache holds for other nodes.

Covers: checking and storing them within a quota, giving copies, dropping them, bytes held by pool.
Does not cover: who may lend, leases (the layer above).

A foreign page's index is its owner's key and its generation the owner's. Nothing in a blob is
interpreted. Own pages come first: no foreign page takes a frame above the high watermark, nothing
of the node's own is dropped or moved for one, and foreign ephemeral pages are the first to go
(``reclaim.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate

from zcache.codec import checksum_of
from zcache.entries import Entries
from zcache.errors import BadHandleError
from zcache.index import Pool
from zcache.page import (
    BLOB_ABSENT,
    BLOB_FOUND,
    PAGE_SIZE,
    AdoptStatus,
    Encoding,
    PackedBlobs,
)
from zcache.page_table import ENCODING_MASK, FOREIGN, REFERENCED, queue_of
from zcache.reclaim import PASSES_MAX, coldest, drop_ephemeral

__all__ = ["Lending", "blob_offsets"]

_DROP_RUN = 256


def blob_offsets(blobs: PackedBlobs, pages: int) -> list[int]:
    """Where each blob starts in the payload, and the end. Raises BadHandleError."""
    rows = {
        pages,
        len(blobs.keys),
        len(blobs.generations),
        len(blobs.lengths),
        len(blobs.encodings),
        len(blobs.checksums),
    }
    offsets = list(accumulate(blobs.lengths, initial=0))
    if len(rows) != 1:
        raise BadHandleError(f"the columns of a batch differ in length: {sorted(rows)}")
    if offsets[-1] != memoryview(blobs.payload).nbytes:
        raise BadHandleError(
            f"blobs of {offsets[-1]} bytes in a payload of {memoryview(blobs.payload).nbytes}"
        )
    return offsets


def _check_names(keys: Sequence[int], generations: Sequence[int]) -> None:
    if len(keys) != len(generations):
        raise BadHandleError(f"{len(keys)} keys with {len(generations)} generations")


class Lending:
    """Operations on foreign pools. Takes the cache's lock itself."""

    def __init__(self, entries: Entries, lock: threading.Lock) -> None:
        self._entries = entries
        self._lock = lock

    def adopt(self, pool_id: int, object_id: int, blobs: PackedBlobs) -> bytes:
        """See ``CacheContract.adopt``."""
        offsets = blob_offsets(blobs, len(blobs))
        payload = bytes(blobs.payload)
        parts = [payload[offsets[row] : offsets[row + 1]] for row in range(len(blobs))]
        good = [
            1 <= len(part) <= PAGE_SIZE
            and blobs.encodings[row] <= Encoding.ZSTD
            and checksum_of(part) == blobs.checksums[row]
            for row, part in enumerate(parts)
        ]
        statuses = bytearray()
        with self._lock:
            pool = self._entries.index.pool(pool_id, foreign=True)
            self._entries.note_peaks()
            for row, part in enumerate(parts):
                statuses.append(
                    self._adopt_one(pool, object_id, blobs, row, part)
                    if good[row]
                    else AdoptStatus.BAD
                )
            counters = self._entries.counters
            counters.foreign_adopted += statuses.count(AdoptStatus.STORED)
            counters.foreign_refused_quota += statuses.count(AdoptStatus.QUOTA)
            counters.foreign_refused_full += statuses.count(AdoptStatus.FULL)
            counters.foreign_refused_stale += statuses.count(AdoptStatus.STALE)
            counters.foreign_refused_bad += statuses.count(AdoptStatus.BAD)
        return bytes(statuses)

    def read(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> tuple[bytes, PackedBlobs]:
        """See ``CacheContract.read_adopted``."""
        entries = self._entries
        table = entries.table
        _check_names(keys, generations)
        found = bytearray()
        blobs = PackedBlobs()
        parts: list[bytes] = []
        with self._lock:
            pool = entries.index.pool(pool_id, foreign=True)
            for key, generation in zip(keys, generations, strict=True):
                entry = entries.find(pool, object_id, key)
                if not entry or table.generations[entry] != generation:
                    found.append(BLOB_ABSENT)
                    continue
                found.append(BLOB_FOUND)
                flags = table.flags[entry]
                table.flags[entry] = flags | REFERENCED
                blobs.keys.append(key)
                blobs.generations.append(generation)
                blobs.lengths.append(table.lengths[entry])
                blobs.encodings.append(flags & ENCODING_MASK)
                blobs.checksums.append(table.checksums[entry])
                parts.append(entries.zsmalloc.read(table.words[entry], table.lengths[entry]))
        blobs.payload = b"".join(parts)
        return bytes(found), blobs

    def flush(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> int:
        """See ``CacheContract.flush_adopted``."""
        entries = self._entries
        _check_names(keys, generations)
        dropped = 0
        with self._lock:
            pool = entries.index.pool(pool_id, foreign=True)
            entries.note_peaks()
            for key, generation in zip(keys, generations, strict=True):
                entry = entries.find(pool, object_id, key)
                if entry and entries.table.generations[entry] <= generation:
                    entries.drop(entry)
                    dropped += 1
            entries.counters.foreign_flushed += dropped
        return dropped

    def room_bytes(self) -> int:
        """See ``CacheContract.foreign_room_bytes``."""
        entries = self._entries
        with self._lock:
            if entries.frozen:
                return 0
            quota = entries.config.foreign_bytes_max - entries.foreign_slot_bytes
            frames = entries.frames_under(entries.config.high_watermark)
            return max(0, min(quota, (frames - entries.zsmalloc.frames_used) * PAGE_SIZE))

    def bytes_of(self, pool_id: int) -> int:
        """See ``CacheContract.foreign_bytes``."""
        with self._lock:
            return self._entries.index.pool(pool_id, foreign=True).blob_bytes

    def drop_ephemeral(self, bytes_max: int) -> int:
        """See ``CacheContract.drop_foreign_ephemeral``."""
        entries = self._entries
        dropped = 0
        passes = PASSES_MAX
        while True:
            with self._lock:
                entries.note_peaks()
                for _ in range(_DROP_RUN):
                    if dropped >= bytes_max:
                        return dropped
                    entry, passes = coldest(entries, queue_of(FOREIGN), passes)
                    if not entry:
                        return dropped
                    dropped += entries.table.lengths[entry]
                    drop_ephemeral(entries, entry, foreign=True)

    def _adopt_one(
        self, pool: Pool, object_id: int, blobs: PackedBlobs, row: int, blob: bytes
    ) -> AdoptStatus:
        entries = self._entries
        table, zsmalloc = entries.table, entries.zsmalloc
        key, generation = blobs.keys[row], blobs.generations[row]
        old = entries.find(pool, object_id, key)
        if old:
            if table.generations[old] >= generation:
                return AdoptStatus.STALE
            entries.drop(old)  # of no use to its owner any more, even if the new one finds no room
        if entries.frozen:
            return AdoptStatus.FULL
        slot = zsmalloc.table.slot_of_length[len(blob)]
        if entries.foreign_slot_bytes + slot > entries.config.foreign_bytes_max:
            return AdoptStatus.QUOTA
        entry = table.take()
        limit = entries.frames_under(entries.config.high_watermark)
        location = zsmalloc.store(blob, entry, limit)
        if not location:
            table.give_back(entry)
            return AdoptStatus.FULL
        entries.insert(pool, object_id, key, entry)
        flags = pool.flags | blobs.encodings[row]
        entries.fill_local(entry, flags, len(blob), blobs.checksums[row], location, generation)
        return AdoptStatus.STORED
