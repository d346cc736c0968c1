"""Reading pages: what is under a handle, as a page, as an away page, or as nothing.

Covers: single gets and runs of gets, whether they free, and how they are counted.
Does not cover: fetching pages that are away (the layer above; ``repatriation.py`` takes them back).

Blobs are copied under the lock and decoded outside it. A get that frees decodes first, under the
lock, because a page that turns out corrupt stays.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from zcache.codec import checksum_of, decode, same_filled_page
from zcache.entries import Entries
from zcache.errors import CorruptPageError
from zcache.index import Pool
from zcache.page import PAGE_SIZE, AwayPage, AwayPages, GetFree, PageState
from zcache.page_table import AWAY, ENCODING_MASK, REFERENCED, SAME_FILLED, STATE_MASK

__all__ = [
    "Found",
    "count_corrupt",
    "decode_into",
    "frees",
    "read_freeing",
    "read_one",
    "read_run",
]

Found = tuple[int, int, int, bytes]
"""A page to be decoded: position in the batch, encoding, checksum, blob."""


def frees(pool: Pool, free: GetFree) -> bool:
    """Whether a get frees what it finds (tmem's tri-state)."""
    return pool.frees_on_get if free == GetFree.BY_KIND else free == GetFree.ALWAYS


def read_one(
    entries: Entries, pool: Pool, object_id: int, index: int, *, free: bool
) -> bytes | AwayPage | Found | None:
    """One page, under the lock, maybe still to be decoded. Raises CorruptPageError."""
    counters, table = entries.counters, entries.table
    counters.gets += 1
    entry = entries.find(pool, object_id, index)
    if not entry:
        counters.get_misses += 1
        return None
    flags = table.flags[entry]
    state = flags & STATE_MASK
    if state == AWAY:
        counters.gets_away += 1
        return entries.away_page(entry)
    page: bytes | Found
    if state == SAME_FILLED:
        page = same_filled_page(table.words[entry])
    else:
        blob = entries.zsmalloc.read(table.words[entry], table.lengths[entry])
        if free:
            try:
                page = decode(blob, flags & ENCODING_MASK, table.checksums[entry])
            except CorruptPageError:
                counters.gets_corrupt += 1
                raise
        else:
            table.flags[entry] = flags | REFERENCED
            page = (0, flags & ENCODING_MASK, table.checksums[entry], blob)
    counters.get_hits += 1
    if free:
        entries.note_peaks()
        entries.drop(entry)
    return page


def read_run(
    entries: Entries,
    pool: Pool,
    object_id: int,
    indexes: Sequence[int],
    start: int,
    states: bytearray,
    away: AwayPages,
) -> list[Found]:
    """A run of pages, under the lock: those to be decoded; the others are noted in the last two.

    ``start``: position of the run's first page in the batch.
    """
    table = entries.table
    flags_column, words, lengths, checksums = (
        table.flags, table.words, table.lengths, table.checksums,
    )  # fmt: skip
    index_column = table.indexes
    read = entries.zsmalloc.read
    found: list[Found] = []
    away_before = len(away)
    page_object = pool.objects.get(object_id)
    leaves = page_object.leaves if page_object is not None else {}
    for at, index in enumerate(indexes, start):
        leaf = leaves.get(index >> 6)  # Index.lookup, in line for speed
        if type(leaf) is array:
            entry = leaf[index & 63]
        elif leaf is not None and index_column[leaf] == index:  # type: ignore[index]
            entry = leaf  # type: ignore[assignment]
        else:
            continue
        if not entry:
            continue
        flags = flags_column[entry]
        state = flags & STATE_MASK
        if state == AWAY:
            states[at] = PageState.AWAY
            entries.append_away(away, at, entry)
            continue
        states[at] = PageState.PRESENT
        if state == SAME_FILLED:
            pattern = words[entry].to_bytes(8, "little")
            found.append((at, flags & ENCODING_MASK, checksum_of(pattern), pattern))
            continue
        flags_column[entry] = flags | REFERENCED
        blob = read(words[entry], lengths[entry])
        found.append((at, flags & ENCODING_MASK, checksums[entry], blob))
    counters = entries.counters
    counters.gets += len(indexes)
    counters.get_hits += len(found)
    counters.gets_away += len(away) - away_before
    counters.get_misses += len(indexes) - len(found) - (len(away) - away_before)
    return found


def decode_into(found: Sequence[Found], into: bytearray | memoryview, states: bytearray) -> int:
    """Decode pages to their places; returns how many are corrupt, noted in ``states``."""
    corrupt = 0
    for at, encoding, checksum, blob in found:
        try:
            page = decode(blob, encoding, checksum)
        except CorruptPageError:
            states[at] = PageState.CORRUPT
            corrupt += 1
            continue
        start = at * PAGE_SIZE
        into[start : start + PAGE_SIZE] = page
    return corrupt


def read_freeing(
    entries: Entries,
    pool: Pool,
    object_id: int,
    indexes: Sequence[int],
    start: int,
    into: bytearray | memoryview,
    states: bytearray,
    away: AwayPages,
) -> None:
    """A run of gets that free, page by page, so that a repeated index finds none."""
    entries.note_peaks()
    for at, index in enumerate(indexes, start):
        found = read_run(entries, pool, object_id, (index,), at, states, away)
        if decode_into(found, into, states):
            count_corrupt(entries, 1)
        elif found:
            entries.drop(entries.find(pool, object_id, index))


def count_corrupt(entries: Entries, pages: int) -> None:
    """Pages counted as hits turned out corrupt."""
    entries.counters.get_hits -= pages
    entries.counters.gets_corrupt += pages
