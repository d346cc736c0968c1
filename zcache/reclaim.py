"""Making room: compaction, then ephemeral pages, coldest first with second chance.

Covers: what is given up for an own page that needs a frame, and in which order; lowering the limit.
Does not cover: spilling, which is for the layer above to start (``spill.py``).

For an own page that finds no frame: (1) compact classes that can free a zspage; (2) drop ephemeral
pages, foreign ones first, until a slot or a frame is free; (3) give up. A page that was hit since
it was last passed over is passed over once more; that many times a call, so that no call takes
long.
"""

from __future__ import annotations

from typing import Final

from zcache.entries import Entries
from zcache.page_table import FOREIGN, REFERENCED, queue_of

__all__ = [
    "PASSES_MAX",
    "coldest",
    "drop_above_limits",
    "drop_coldest_ephemeral",
    "drop_ephemeral",
    "store_with_room",
]

PASSES_MAX: Final = 1024
"""Pages that one call passes over at most; after that a bit no longer protects."""

_EPHEMERAL_QUEUES: Final = (queue_of(FOREIGN), queue_of(0))


def coldest(entries: Entries, queue: int, passes: int) -> tuple[int, int]:
    """The coldest page of a queue (0: none), and how many of ``passes`` are left."""
    table = entries.table
    flags = table.flags
    nexts = table.next
    entry = nexts[queue]
    while entry != queue:
        if not flags[entry] & REFERENCED or not passes:
            return entry, passes
        passes -= 1
        flags[entry] &= ~REFERENCED
        table.unlink(entry)
        table.append(entry, queue)
        entry = nexts[queue]
    return 0, passes


def drop_coldest_ephemeral(entries: Entries) -> int | None:
    """Drop one ephemeral page, foreign before own; the class of the slot it frees, or None."""
    for queue in _EPHEMERAL_QUEUES:
        entry, _ = coldest(entries, queue, PASSES_MAX)
        if entry:
            foreign = entries.table.flags[entry] & FOREIGN
            return drop_ephemeral(entries, entry, foreign=bool(foreign))
    return None


def drop_ephemeral(entries: Entries, entry: int, *, foreign: bool) -> int:
    """Drop one and count it."""
    if foreign:
        entries.counters.foreign_ephemeral_evicted += 1
    else:
        entries.counters.ephemeral_evicted += 1
    return entries.drop(entry)


def store_with_room(entries: Entries, blob: bytes, entry: int) -> int:
    """Store an own page's blob, making room for it; its location, or 0.

    May drop any ephemeral page, so what was looked up before is to be looked up again.
    """
    zsmalloc = entries.zsmalloc
    location = zsmalloc.store(blob, entry, zsmalloc.frames_max)
    if location:
        return location
    entries.counters.limit_hits += 1
    entries.note_peaks()
    klass = zsmalloc.table.class_of_length[len(blob)]
    wanted = zsmalloc.classes[klass].frames
    missing = zsmalloc.frames_used + wanted - zsmalloc.frames_max
    if zsmalloc.compact(missing):
        location = zsmalloc.store(blob, entry, zsmalloc.frames_max)
    while not location:
        freed = drop_coldest_ephemeral(entries)
        if freed is None:
            return 0
        if freed != klass and zsmalloc.freeable_zspages(freed) > 0:
            zsmalloc.compact_class(freed)
        location = zsmalloc.store(blob, entry, zsmalloc.frames_max)
    return location


def drop_above_limits(entries: Entries) -> None:
    """After limits were lowered: compact and drop ephemeral pages as far as that helps."""
    zsmalloc = entries.zsmalloc
    entries.note_peaks()
    if zsmalloc.frames_used > zsmalloc.frames_max:
        zsmalloc.compact(zsmalloc.frames_used - zsmalloc.frames_max)
    while zsmalloc.frames_used > zsmalloc.frames_max:
        freed = drop_coldest_ephemeral(entries)
        if freed is None:
            break
        zsmalloc.compact_class(freed)
    while entries.foreign_slot_bytes > entries.config.foreign_bytes_max:
        entry, _ = coldest(entries, queue_of(FOREIGN), PASSES_MAX)
        if not entry:
            break
        drop_ephemeral(entries, entry, foreign=True)
