"""Storing pages that were encoded already: new ones, replacements, refusals.

Covers: the puts of own pages, under the cache's lock. Does not cover: encoding (``codec.py``),
making room (``reclaim.py``), foreign pages (``lending.py``).

A failed put leaves the handle absent, or, with ``keep_old``, what it was before. An ephemeral page
may vanish at any time, so there ``keep_old`` promises nothing and is not observed.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from zcache.codec import EncodedPage
from zcache.entries import Entries
from zcache.errors import CacheFullError, PoorCompressionError, PutRefusedError
from zcache.index import LEAF_COUNT, Leaf, Pool
from zcache.page import PAGE_SIZE, Encoding
from zcache.page_table import COUNT_MASK, LOCAL, PERSISTENT, STATE_MASK, TRANSIT, queue_of
from zcache.reclaim import store_with_room

__all__ = ["put_as_flush", "store_page", "store_pages"]

_NO_LEAVES: dict[int, Leaf] = {}


def store_pages(
    entries: Entries,
    pool: Pool,
    object_id: int,
    indexes: Sequence[int],
    blobs: Sequence[EncodedPage],
    checksums: Sequence[int],
    encoding: Encoding,
    *,
    keep_old: bool,
) -> None:
    """Store pages in order. Raises PutRefusedError; ``stored`` tells how many were.

    ``encoding``: of blobs that are shorter than a page.
    """
    counters = entries.counters
    stored = 0
    try:
        stored = _store_new(entries, pool, object_id, indexes, blobs, checksums, encoding, 0)
        while stored < len(blobs):
            # Not the common case: let the general path do this page, and go on.
            _put_one(
                entries,
                pool,
                object_id,
                indexes[stored],
                blobs[stored],
                checksums[stored],
                encoding,
                keep_old,
            )
            stored = _store_new(
                entries, pool, object_id, indexes, blobs, checksums, encoding, stored + 1
            )
    except PutRefusedError as refused:
        refused.stored = stored
        counters.puts += 1
        raise
    finally:
        counters.puts += stored
        counters.puts_stored += stored


def store_page(
    entries: Entries,
    pool: Pool,
    object_id: int,
    index: int,
    blob: EncodedPage,
    checksum: int,
    encoding: Encoding,
    *,
    keep_old: bool,
) -> None:
    """As ``store_pages``, for one page."""
    entries.counters.puts += 1
    _put_one(entries, pool, object_id, index, blob, checksum, encoding, keep_old)
    entries.counters.puts_stored += 1


def _store_new(
    entries: Entries,
    pool: Pool,
    object_id: int,
    indexes: Sequence[int],
    blobs: Sequence[EncodedPage],
    checksums: Sequence[int],
    encoding: Encoding,
    start: int,
) -> int:
    """The common case, in line for speed: new pages that have a blob, and room, and a leaf.

    Returns the position of the first page from ``start`` on that is no such case.
    """
    page_object = pool.objects.get(object_id)
    if page_object is None or entries.refusing:
        return start
    table = entries.table
    flags_column, lengths, sums, generations = (
        table.flags, table.lengths, table.checksums, table.generations,
    )  # fmt: skip
    words, index_column, owners = table.words, table.indexes, table.owners
    nexts, prevs, counts, byte_counts = table.next, table.prev, table.counts, table.bytes
    store = entries.zsmalloc.store
    frames_max = entries.zsmalloc.frames_max
    leaves, owner = page_object.leaves, page_object.number
    flags = pool.flags | LOCAL | encoding
    flags_raw = pool.flags | LOCAL | Encoding.RAW
    queue = queue_of(flags)
    generation = table.generation
    count = total = raw = 0
    for at in range(start, len(blobs)):
        index = indexes[at]
        blob = blobs[at]
        leaf = leaves.get(index >> 6)
        if type(leaf) is not array or leaf[index & 63] or type(blob) is not bytes:
            break
        entry = table.free_head or table.grow()
        location = store(blob, entry, frames_max)
        if not location:
            break
        table.free_head = nexts[entry]
        lengths[entry] = length = len(blob)
        if length == PAGE_SIZE:
            flags_column[entry] = flags_raw
            raw += 1
        else:
            flags_column[entry] = flags
        generation += 1
        sums[entry] = checksums[at]
        generations[entry] = generation
        words[entry] = location
        index_column[entry] = index
        owners[entry] = owner
        leaf[index & 63] = entry
        leaf[LEAF_COUNT] += 1
        prevs[entry] = last = prevs[queue]  # PageTable.append, in line
        nexts[last] = prevs[queue] = entry
        nexts[entry] = queue
        count += 1
        total += length
    table.generation = generation
    page_object.pages += count
    counts[flags & COUNT_MASK] += count
    byte_counts[flags & COUNT_MASK] += total
    entries.counters.stored_incompressible += raw
    return start + count


def _put_one(
    entries: Entries,
    pool: Pool,
    object_id: int,
    index: int,
    blob: EncodedPage,
    checksum: int,
    encoding: Encoding,
    keep_old: bool,
) -> None:
    """Any case: a new page or a replacement, with or without a blob."""
    table = entries.table
    keep_old = keep_old and bool(pool.flags & PERSISTENT)
    entry = entries.find(pool, object_id, index)
    if entry:
        entries.note_peaks()
    if blob is None:
        if entry and not keep_old:
            entries.drop(entry)
        entries.counters.puts_refused_poor += 1
        raise PoorCompressionError("the page does not compress, and such pages are refused")
    if isinstance(blob, int):
        if entry:
            entries.release(entry)
        else:
            entry = table.take()
            entries.insert(pool, object_id, index, entry)
        entries.fill_same(entry, pool.flags, blob, _next_generation(entries))
        entries.counters.stored_same_filled += 1
        return
    if entry:
        location = _store_again(entries, entry, blob, keep_old=keep_old)
    else:
        entry, location = _store_first(entries, pool, blob)
        entries.insert(pool, object_id, index, entry)
    if len(blob) == PAGE_SIZE:
        encoding = Encoding.RAW
    entries.counters.stored_incompressible += encoding == Encoding.RAW
    generation = _next_generation(entries)
    entries.fill_local(entry, pool.flags | encoding, len(blob), checksum, location, generation)


def _store_first(entries: Entries, pool: Pool, blob: bytes) -> tuple[int, int]:
    """Store the blob of a page that is new; its entry and location. Raises CacheFullError."""
    zsmalloc = entries.zsmalloc
    if entries.refusing and pool.flags & PERSISTENT:
        if zsmalloc.frames_used > entries.frames_under(entries.config.accept_watermark):
            raise _full(entries, "the limit was hit, and use is still above the accept watermark")
        entries.refusing = False
    entry = entries.table.take()
    location = store_with_room(entries, blob, entry)
    if not location:
        entries.table.give_back(entry)
        raise _full(entries, "no frame is left within the limit", pool.flags)
    return entry, location


def _store_again(entries: Entries, entry: int, blob: bytes, *, keep_old: bool) -> int:
    """Store the blob of a page that replaces another; its location, and the entry holds nothing
    else.

    Raises CacheFullError: then the page is absent, or with ``keep_old`` as it was.
    """
    table, zsmalloc = entries.table, entries.zsmalloc
    flags = table.flags[entry]
    holds_blob = flags & STATE_MASK in (LOCAL, TRANSIT)
    if holds_blob and zsmalloc.same_class(table.lengths[entry], len(blob)):
        location = table.words[entry]
        zsmalloc.overwrite(location, blob)
        entries.release_in_place(entry)
        return location
    if not keep_old:
        entries.release(entry)
        location = store_with_room(entries, blob, entry)
        if not location:
            entries.discard_unfilled(entry)
            raise _full(entries, "no frame is left within the limit", flags)
        return location
    location = store_with_room(entries, blob, entry)
    if location:
        entries.release(entry)
        return location
    if holds_blob:
        location = _swap_blob(entries, entry, blob)
    if not location:
        raise _full(entries, "no frame is left within the limit; the old page stays", flags)
    return location


def _swap_blob(entries: Entries, entry: int, blob: bytes) -> int:
    """Store a blob in the room of the old one and whatever else is free; 0, and all as before, if
    too little.

    The old blob can always go back: its slot, or the frames of its zspage, are still free.
    """
    table, zsmalloc = entries.table, entries.zsmalloc
    frames_before = zsmalloc.frames_used
    old = zsmalloc.read(table.words[entry], table.lengths[entry])
    zsmalloc.free(table.words[entry])
    table.words[entry] = 0
    location = zsmalloc.store(blob, entry, zsmalloc.frames_max)
    if location:
        entries.release_in_place(entry)
        return location
    back = zsmalloc.store(old, entry, frames_before)
    if not back:
        raise AssertionError("a freed slot cannot be taken again")
    table.words[entry] = back
    return 0


def _full(entries: Entries, reason: str, flags: int = 0) -> CacheFullError:
    """Count a refusal, and begin to refuse where so configured."""
    entries.counters.puts_refused_full += 1
    if flags & PERSISTENT and entries.config.accept_watermark < 1:
        entries.refusing = True
    return CacheFullError(reason)


def put_as_flush(entries: Entries, pool: Pool, object_id: int, indexes: Sequence[int]) -> None:
    """What a put is while the cache is frozen."""
    entries.note_peaks()
    for index in indexes:
        entry = entries.find(pool, object_id, index)
        if entry:
            entries.drop(entry)
    entries.counters.puts += len(indexes)
    entries.counters.puts_frozen += len(indexes)


def _next_generation(entries: Entries) -> int:
    entries.table.generation += 1
    return entries.table.generation
