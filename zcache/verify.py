"""The debug check: every sum of a cache, recomputed from scratch.

Covers: index against page table, queues, states, allocator, bytes, tickets. Reads everything,
changes nothing. Read next: ``entries.py``.
"""

from __future__ import annotations

from collections import Counter

from zcache.codec import checksum_of
from zcache.entries import Entries
from zcache.errors import VerifyError
from zcache.index import LEAF_COUNT
from zcache.page import PAGE_SIZE, PLACE_MASK
from zcache.page_table import (
    AWAY,
    COUNT_MASK,
    FOREIGN,
    FREE,
    LOCAL,
    PERSISTENT,
    QUEUES,
    SAME_FILLED,
    STATE_MASK,
    TRANSIT,
    PageTable,
    queue_of,
)
from zcache.size_classes import BANDS, HANDLE_BYTES
from zcache.spill import SpillDesk
from zcache.zsmalloc import Zsmalloc
from zcache.zspage import FULL_BAND

__all__ = ["verify", "verify_allocator"]


def verify(entries: Entries, spills: SpillDesk) -> None:
    """Raise VerifyError with a line for each finding. The cache's lock is held."""
    findings = _index(entries)
    findings += _counts(entries)
    findings += _queues(entries.table)
    findings += _free_list(entries.table)
    findings += _away(entries)
    findings += _pools(entries)
    findings += _blobs(entries)
    findings += _sums(entries, spills)
    findings += verify_allocator(entries.zsmalloc)
    if findings:
        raise VerifyError(findings)


def _pages(table: PageTable) -> list[int]:
    """Entries that hold a page."""
    return [e for e in range(QUEUES + 1, len(table.flags)) if table.flags[e] & STATE_MASK != FREE]


def _index(entries: Entries) -> list[str]:
    """Each page is found under its handle, and the index names no other entries."""
    found: list[str] = []
    table, index = entries.table, entries.index
    seen: Counter[int] = Counter()
    numbered = [o for o in index.objects if o is not None]
    if len(numbered) != index.object_count:
        found.append(f"{index.object_count} objects counted, {len(numbered)} there")
    reachable = [o for p in index.pools if p is not None for o in p.objects.values()]
    if {id(o) for o in numbered} != {id(o) for o in reachable}:
        found.append("the objects by number are not the objects of the pools")
    for page_object in numbered:
        pages = 0
        for number, leaf in page_object.leaves.items():
            slots = [leaf] if isinstance(leaf, int) else [e for e in leaf[:LEAF_COUNT] if e]
            if not isinstance(leaf, int) and leaf[LEAF_COUNT] != len(slots):
                found.append(f"a leaf counts {leaf[LEAF_COUNT]} pages and has {len(slots)}")
            for entry in slots:
                pages += 1
                seen[entry] += 1
                if table.flags[entry] & STATE_MASK == FREE:
                    found.append(f"the index names the free entry {entry}")
                elif (
                    table.owners[entry] != page_object.number
                    or table.indexes[entry] >> 6 != number
                    or index.lookup(page_object, table.indexes[entry]) != entry
                ):
                    found.append(f"entry {entry} is not where its handle says")
                elif (table.flags[entry] & (FOREIGN | PERSISTENT)) != page_object.pool.flags:
                    found.append(f"entry {entry} is of another kind than its pool")
        if pages != page_object.pages or not pages:
            found.append(f"an object counts {page_object.pages} pages and has {pages}")
    if any(times > 1 for times in seen.values()):
        found.append("an entry has two handles")
    lost = set(_pages(table)) - seen.keys()
    if lost:
        found.append(f"{len(lost)} pages have no handle")
    return found


def _counts(entries: Entries) -> list[str]:
    """Pages and bytes by state."""
    table = entries.table
    counts, sizes = [0] * 256, [0] * 256
    slots = 0
    for entry in _pages(table):
        at = table.flags[entry] & COUNT_MASK
        counts[at] += 1
        sizes[at] += table.lengths[entry]
        if at & FOREIGN:
            slots += entries.zsmalloc.table.slot_of_length[table.lengths[entry]]
    found = []
    if counts != table.counts:
        found.append("pages by state do not add up")
    if sizes != table.bytes:
        found.append("bytes by state do not add up")
    if slots != entries.foreign_slot_bytes:
        found.append(f"foreign slots of {slots} bytes, {entries.foreign_slot_bytes} counted")
    return found


def _queues(table: PageTable) -> list[str]:
    """Local pages are on their queue, once, and nothing else is."""
    found = []
    for queue in range(1, QUEUES + 1):
        wanted = {
            e
            for e in _pages(table)
            if table.flags[e] & STATE_MASK == LOCAL and queue_of(table.flags[e]) == queue
        }
        on_queue: list[int] = []
        entry = table.next[queue]
        while entry != queue and len(on_queue) <= len(wanted):
            if table.prev[table.next[entry]] != entry:
                found.append(f"queue {queue} is broken at entry {entry}")
                break
            on_queue.append(entry)
            entry = table.next[entry]
        if len(on_queue) != len(wanted) or set(on_queue) != wanted:
            found.append(f"queue {queue} does not hold just its local pages")
    return found


def _free_list(table: PageTable) -> list[str]:
    """Entries without a page are on the free list."""
    free = set()
    entry = table.free_head
    while entry and entry not in free:
        free.add(entry)
        entry = table.next[entry]
    wanted = set(range(QUEUES + 1, len(table.flags))) - set(_pages(table))
    return [] if free == wanted else ["the list of free entries is not the set of free entries"]


def _away(entries: Entries) -> list[str]:
    """Pages by place."""
    table = entries.table
    away: dict[int, list[int]] = {}
    for entry in _pages(table):
        if table.flags[entry] & STATE_MASK == AWAY:
            pair = away.setdefault(table.words[entry] & PLACE_MASK, [0, 0])
            pair[table.flags[entry] // PERSISTENT & 1] += 1
    found = [] if away == entries.away else ["pages away by place do not add up"]
    if 0 in away:
        found.append(f"{sum(away[0])} pages are away at no place")
    return found


def _pools(entries: Entries) -> list[str]:
    """Bytes of blobs by foreign pool."""
    found = []
    lengths, index = entries.table.lengths, entries.index
    for pool in filter(None, index.pools):
        held = sum(lengths[entry] for entry in index.walk_pool(pool)) if pool.foreign else 0
        if held != pool.blob_bytes:
            found.append(f"pool {pool.pool_id} holds {held} bytes, {pool.blob_bytes} counted")
    return found


def _blobs(entries: Entries) -> list[str]:
    """Each location leads to a slot that names the entry, in the class of the blob's length."""
    found = []
    table, zsmalloc = entries.table, entries.zsmalloc
    holders = 0
    for entry in _pages(table):
        state = table.flags[entry] & STATE_MASK
        length = table.lengths[entry]
        if state == SAME_FILLED:
            if length:
                found.append(f"the same-filled entry {entry} has a length")
            continue
        if not 1 <= length <= PAGE_SIZE:
            found.append(f"entry {entry} has a blob of {length} bytes")
            continue
        if table.generations[entry] > table.generation and not table.flags[entry] & FOREIGN:
            found.append(f"entry {entry} is of a generation not given out yet")
        if state in (LOCAL, TRANSIT):
            holders += 1
            location = table.words[entry]
            if zsmalloc.handle_at(location) != entry:
                found.append(f"the slot of entry {entry} is not its own")
            elif zsmalloc.class_at(location) != zsmalloc.table.class_of_length[length]:
                found.append(f"the blob of entry {entry} lies in a wrong class")
            elif checksum_of(zsmalloc.read(location, length)) != table.checksums[entry]:
                found.append(f"the blob of entry {entry} fails its checksum")
    if holders != sum(zsmalloc.class_used):
        found.append(f"{holders} pages have blobs, {sum(zsmalloc.class_used)} slots are in use")
    return found


def _sums(entries: Entries, spills: SpillDesk) -> list[str]:
    """Counters by outcome, and tickets."""
    found = []
    c = entries.counters
    refused = c.puts_refused_full + c.puts_refused_poor + c.puts_frozen
    if c.puts != c.puts_stored + refused:
        found.append("puts are not the sum of their outcomes")
    if c.gets != c.get_hits + c.get_misses + c.gets_away + c.gets_corrupt:
        found.append("gets are not the sum of their outcomes")
    negative = [name for name, value in c.as_dict().items() if isinstance(value, int) and value < 0]
    found += [f"the counter {name} is negative" for name in negative]
    pages = {
        (entry, generation)
        for ticket in spills.tickets()
        for entry, generation in zip(ticket.blobs.keys, ticket.blobs.generations, strict=True)
    }
    table = entries.table
    transit = {
        (e, table.generations[e]) for e in _pages(table) if table.flags[e] & STATE_MASK == TRANSIT
    }
    if len(pages) != spills.pages_open:
        found.append("pages in open tickets do not add up")
    if not transit <= pages:
        found.append("a page is in transit without a ticket")
    return found


def verify_allocator(zsmalloc: Zsmalloc) -> list[str]:
    """What does not add up in the allocator."""
    found = []
    zspages = zsmalloc.zspages
    frames = total = 0
    for size_class in zsmalloc.classes:
        klass = size_class.number
        used = count = 0
        open_bands = 0
        for band in range(BANDS):
            members = zspages.live(klass, band)
            count += len(members)
            if len(members) != zspages.band_counts[klass * BANDS + band]:
                found.append(f"class {klass} band {band} counts its zspages wrongly")
            if members and band != FULL_BAND:
                open_bands |= 1 << band
            for zspage in members:
                used += zspages.used[zspage]
                if zspages.klass[zspage] != klass:
                    found.append(f"zspage {zspage} is on a list of another class")
                elif zspages.bands[klass][zspages.used[zspage]] != band or not band:
                    found.append(f"zspage {zspage} is in the wrong band")
                elif not size_class.huge:
                    found += _slots(zsmalloc, zspage, size_class.size, size_class.objects)
        if open_bands != zspages.open_bands[klass]:
            found.append(f"class {klass} has a wrong mask of open bands")
        if used != zsmalloc.class_used[klass] or count != zsmalloc.class_zspages[klass]:
            found.append(f"class {klass} counts its objects or zspages wrongly")
        frames += count * size_class.frames
        total += count
    if frames != zsmalloc.frames_used or total != zspages.count:
        found.append(f"{frames} frames in zspages, {zsmalloc.frames_used} counted")
    if (
        zsmalloc.frames_used > zsmalloc.frames_ceiling
        or zsmalloc.frames_used > zsmalloc.frames_peak
    ):
        found.append(f"{zsmalloc.frames_used} frames are above the limit or the peak")
    return found


def _slots(zsmalloc: Zsmalloc, zspage: int, size: int, objects: int) -> list[str]:
    """Slots of one zspage: used and listed as free add up, and every owner points back."""
    zspages = zsmalloc.zspages
    base = zspage << zsmalloc.window_shift
    fresh = zspages.fresh[zspage]
    used = set()
    for slot in range(fresh):
        location = base + slot * size + HANDLE_BYTES
        handle = zsmalloc.handle_at(location)
        if handle:
            used.add(slot)
            if zsmalloc.location_of(handle) != location:
                return [f"slot {slot} of zspage {zspage} is not where its owner looks"]
    free = set()
    at = zspages.free[zspage]
    while at and at - 1 not in free and at <= fresh:
        free.add(at - 1)
        at = zsmalloc.word_at(base + (at - 1) * size) >> 1
    if at or used & free or len(used) != zspages.used[zspage]:
        return [f"zspage {zspage} has a broken list of free slots"]
    if len(used) + len(free) != fresh or fresh > objects:
        return [f"zspage {zspage} has lost slots"]
    return []
