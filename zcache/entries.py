"""Entries and what they hold: page table, index, allocator and displaced copies, kept in step.

Covers: finding, filling, releasing and dropping an entry in any state, and the sums that go with
it. Does not cover: when (``cache.py``, ``put.py``, ``reclaim.py``, ``spill.py``,
``repatriation.py``, ``lending.py``).

All of it runs under the cache's one lock.
"""

from __future__ import annotations

from array import array

from zcache.config import CacheConfig
from zcache.displaced import DisplacedQueue
from zcache.index import Index, PageObject, Pool
from zcache.page import PLACE_MASK, AwayPage, AwayPages, Encoding
from zcache.page_table import (
    AWAY,
    COUNT_MASK,
    ENCODING_MASK,
    FOREIGN,
    LOCAL,
    PERSISTENT,
    SAME_FILLED,
    STATE_MASK,
    PageTable,
    queue_of,
)
from zcache.stats import CacheStats
from zcache.zsmalloc import Zsmalloc

__all__ = ["Entries"]


class Entries:
    """The state of one cache.

    ``away``     place -> [ephemeral pages, persistent pages] there, at any position
    ``counters`` the counting fields of CacheStats; gauges are filled in when asked for
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.frozen = False
        self.refusing = False
        """The limit was hit, and use has not been seen at the accept watermark since."""
        self.table = PageTable()
        self.index = Index(config.pools_max, self.table.indexes)
        self.zsmalloc = Zsmalloc(config.frames_max, config.chain_frames_max, self.table.words)
        self.displaced = DisplacedQueue()
        self.away: dict[int, list[int]] = {}
        self.counters = CacheStats()
        self.foreign_slot_bytes = 0

    def configure(self, config: CacheConfig) -> None:
        """Put another configuration in force; what is above its limits is the caller's to drop."""
        self.config = config
        self.index.pools_max = config.pools_max
        self.zsmalloc.set_limit(config.frames_max)

    # -- limits ------------------------------------------------------------------------------------

    def frames_under(self, watermark: float) -> int:
        """A watermark in frames."""
        return int(watermark * self.zsmalloc.frames_max)

    def note_peaks(self) -> None:
        """To be called before pages become fewer and before peaks are read: then they are exact."""
        counts = self.table.counts
        counters = self.counters
        local = counts[LOCAL] + counts[LOCAL | PERSISTENT]
        if local > counters.pages_local_peak:
            counters.pages_local_peak = local
        foreign = self.table.count(LOCAL, foreign=True)
        if foreign > counters.pages_foreign_peak:
            counters.pages_foreign_peak = foreign

    # -- entries -----------------------------------------------------------------------------------

    def find(self, pool: Pool, object_id: int, index: int) -> int:
        """The entry of a page, or 0."""
        page_object = pool.objects.get(object_id)
        return self.index.lookup(page_object, index) if page_object is not None else 0

    def insert(self, pool: Pool, object_id: int, index: int, entry: int) -> None:
        """Enter a taken entry under a handle that has none."""
        page_object = pool.objects.get(object_id)
        if page_object is None:
            page_object = self.index.insert_object(pool, object_id)
        self.table.indexes[entry] = index
        self.table.owners[entry] = page_object.number
        self.index.insert(page_object, index, entry)

    def owner(self, entry: int) -> PageObject:
        """The object that an entry's page belongs to."""
        page_object = self.index.objects[self.table.owners[entry]]
        if page_object is None:
            raise AssertionError(f"entry {entry} belongs to no object")
        return page_object

    def pool_ids(self, entries: array[int]) -> array[int]:
        """The pools that entries' pages belong to; looked up once an object, not once a page."""
        owners = [self.table.owners[entry] for entry in entries]
        first = dict(zip(owners, entries, strict=True))
        pools = {number: self.owner(entry).pool.pool_id for number, entry in first.items()}
        return array("I", [pools[number] for number in owners])

    def fill_local(
        self,
        entry: int,
        flags: int,
        blob_length: int,
        checksum: int,
        location: int,
        generation: int,
    ) -> None:
        """Give an entry a blob; most recent. ``flags``: the pool's bits and the encoding."""
        table = self.table
        flags |= LOCAL
        table.flags[entry] = flags
        table.lengths[entry] = blob_length
        table.checksums[entry] = checksum
        table.generations[entry] = generation
        table.words[entry] = location
        at = flags & COUNT_MASK
        table.counts[at] += 1
        table.bytes[at] += blob_length
        table.append(entry, queue_of(flags))
        if flags & FOREIGN:
            self.owner(entry).pool.blob_bytes += blob_length
            self.foreign_slot_bytes += self.zsmalloc.table.slot_of_length[blob_length]

    def fill_same(self, entry: int, flags: int, pattern: int, generation: int) -> None:
        """Make an entry that holds nothing same-filled: no blob, no frame, on no queue."""
        table = self.table
        flags |= SAME_FILLED | Encoding.SAME
        table.flags[entry] = flags
        table.lengths[entry] = table.checksums[entry] = 0
        table.generations[entry] = generation
        table.words[entry] = pattern
        table.counts[flags & COUNT_MASK] += 1

    def release(self, entry: int) -> int:
        """Let go of what an entry holds; its copy elsewhere, if any, becomes displaced.

        The entry stays in the index, and is to be filled or dropped next. Returns the size class in
        which a slot became free, or -1. ``note_peaks`` was called.
        """
        table = self.table
        flags = table.flags[entry]
        state = flags & STATE_MASK
        at = flags & COUNT_MASK
        table.counts[at] -= 1
        length = table.lengths[entry]
        table.bytes[at] -= length
        if state == SAME_FILLED:
            return -1
        if state == AWAY:
            where = table.words[entry]
            self.count_away(where, flags, -1)
            self.displaced.append(
                entry,
                table.generations[entry],
                length,
                flags & ENCODING_MASK,
                table.checksums[entry],
                where,
            )
            table.words[entry] = 0
            return -1
        if state == LOCAL:
            table.unlink(entry)
            if flags & FOREIGN:
                self.foreign_slot_bytes -= self.zsmalloc.table.slot_of_length[length]
        location = table.words[entry]
        table.words[entry] = 0
        return self.zsmalloc.free(location)

    def release_in_place(self, entry: int) -> None:
        """As ``release`` for a local page or one in transit whose slot was used again already."""
        table = self.table
        flags = table.flags[entry]
        at = flags & COUNT_MASK
        table.counts[at] -= 1
        table.bytes[at] -= table.lengths[entry]
        if flags & STATE_MASK == LOCAL:
            table.unlink(entry)

    def drop(self, entry: int) -> int:
        """Remove a page altogether; its handle is gone first. Returns as ``release``."""
        owner = self.owner(entry)
        if owner.pool.foreign:
            owner.pool.blob_bytes -= self.table.lengths[entry]
        self.index.remove(owner, self.table.indexes[entry])
        klass = self.release(entry)
        self.table.give_back(entry)
        return klass

    def discard_unfilled(self, entry: int) -> None:
        """Remove an entry that was released and could not be filled again."""
        self.index.remove(self.owner(entry), self.table.indexes[entry])
        self.table.give_back(entry)

    def forget_stub(self, entry: int) -> None:
        """Remove a page that is away and whose copy is not displaced but gone."""
        table = self.table
        flags = table.flags[entry]
        self.count_away(table.words[entry], flags, -1)
        table.counts[flags & COUNT_MASK] -= 1
        table.bytes[flags & COUNT_MASK] -= table.lengths[entry]
        self.discard_unfilled(entry)

    # -- pages elsewhere ---------------------------------------------------------------------------

    def count_away(self, where: int, flags: int, change: int) -> None:
        """Keep ``away`` in step with stubs that come to a place or go from it."""
        place = where & PLACE_MASK
        pair = self.away.get(place)
        if pair is None:
            pair = self.away[place] = [0, 0]
        pair[flags // PERSISTENT & 1] += change
        if pair == [0, 0]:
            del self.away[place]

    def away_page(self, entry: int) -> AwayPage:
        """What is needed to fetch a page that is away."""
        table = self.table
        return AwayPage(
            entry,
            table.generations[entry],
            table.lengths[entry],
            Encoding(table.flags[entry] & ENCODING_MASK),
            table.checksums[entry],
            table.words[entry],
        )

    def append_away(self, pages: AwayPages, position: int, entry: int) -> None:
        """The same, as a row of columns."""
        table = self.table
        pages.positions.append(position)
        pages.keys.append(entry)
        pages.generations.append(table.generations[entry])
        pages.lengths.append(table.lengths[entry])
        pages.encodings.append(table.flags[entry] & ENCODING_MASK)
        pages.checksums.append(table.checksums[entry])
        pages.wheres.append(table.words[entry])
