"""The page table: one entry a page, as columns of machine words; and the recency queues threaded
through it.

Covers: entry numbers and their reuse, states and flags, queue links, counts of pages and bytes by
state. Does not cover: which handle an entry belongs to beyond two columns (``index.py``), blobs
(``zsmalloc.py``).

An entry is a small integer. Entry 0 is none; entries 1..4 are the heads of the circular recency
queues (oldest page next to the head); pages start at 5. An entry's number is the ``key`` by which
lenders know the page; a number is used again, so it means a page only together with a generation.
"""

from __future__ import annotations

from array import array
from typing import Final

__all__ = [
    "AWAY",
    "COUNT_MASK",
    "ENCODING_MASK",
    "FOREIGN",
    "FREE",
    "LOCAL",
    "PERSISTENT",
    "QUEUES",
    "REFERENCED",
    "SAME_FILLED",
    "STATE_MASK",
    "TRANSIT",
    "PageTable",
    "queue_of",
]

ENCODING_MASK: Final = 0x03
STATE_MASK: Final = 0x1C
FREE: Final = 0x00
LOCAL: Final = 0x04
TRANSIT: Final = 0x08
AWAY: Final = 0x0C
SAME_FILLED: Final = 0x10
REFERENCED: Final = 0x20
"""Hit since it was last passed over; spared once more (second chance)."""
FOREIGN: Final = 0x40
PERSISTENT: Final = 0x80

COUNT_MASK: Final = STATE_MASK | FOREIGN | PERSISTENT
QUEUES: Final = 4
_FIRST_PAGE: Final = QUEUES + 1
_GROW_MIN: Final = 1024
_GROW_MAX: Final = 16384


def queue_of(flags: int) -> int:
    """The queue's head for a page of these flags: own or foreign, ephemeral or persistent."""
    return 1 + (flags >> 6)


class PageTable:
    """Columns indexed by entry.

    ``flags``       u8, encoding, state and the bits above
    ``lengths``     u16, bytes of the blob; 0 when same-filled
    ``checksums``   u64, XXH3-64 of the blob
    ``generations`` u64
    ``words``       u64, by state: the blob's location, the pattern, or where the page is
    ``indexes``     u64, and ``owners`` u32: the page's index and its object's number
    ``prev``        u32, ``next`` u32: queue links of local pages; ``next`` links free entries
    ``counts`` and ``bytes``: pages, and bytes of their blobs, by flags & COUNT_MASK
    """

    def __init__(self) -> None:
        self.flags = array("B")
        self.lengths = array("H")
        self.checksums = array("Q")
        self.generations = array("Q")
        self.words = array("Q")
        self.indexes = array("Q")
        self.owners = array("I")
        self.prev = array("I")
        self.next = array("I")
        self.counts = [0] * 256
        self.bytes = [0] * 256
        self.free_head = 0
        self.generation = 0
        """The highest generation that was given out."""
        self._extend(_FIRST_PAGE)
        self._link_queues()

    def columns(self) -> tuple[array[int], ...]:
        """Every column."""
        return (
            self.flags, self.lengths, self.checksums, self.generations, self.words, self.indexes,
            self.owners, self.prev, self.next,
        )  # fmt: skip

    def grow(self) -> int:
        """Add entries; the first new one is the head of the (then empty) list of free entries."""
        first = len(self.flags)
        more = min(max(_GROW_MIN, first >> 4), _GROW_MAX)
        self._extend(more)
        nexts = self.next
        nexts[first : first + more] = array("I", range(first + 1, first + more + 1))
        nexts[first + more - 1] = 0
        self.free_head = first
        return first

    def take(self) -> int:
        """A free entry, off the list."""
        entry = self.free_head or self.grow()
        self.free_head = self.next[entry]
        return entry

    def give_back(self, entry: int) -> None:
        """Put an entry on the list of free ones."""
        self.flags[entry] = FREE
        self.next[entry] = self.free_head
        self.free_head = entry

    def shrink_if_empty(self) -> None:
        """Give the columns' memory back once no page is left."""
        if len(self.flags) > 4 * _GROW_MIN and not any(self.counts):
            for column in self.columns():
                del column[_FIRST_PAGE:]
            self.free_head = 0
            self._link_queues()

    # -- queues ------------------------------------------------------------------------------------

    def append(self, entry: int, queue: int) -> None:
        """Make an entry the most recent of a queue."""
        prevs = self.prev
        last = prevs[queue]
        self.next[last] = entry
        prevs[entry] = last
        self.next[entry] = queue
        prevs[queue] = entry

    def prepend(self, entry: int, queue: int) -> None:
        """Make an entry the coldest of a queue."""
        nexts = self.next
        first = nexts[queue]
        self.prev[first] = entry
        nexts[entry] = first
        self.prev[entry] = queue
        nexts[queue] = entry

    def unlink(self, entry: int) -> None:
        """Take an entry off its queue."""
        before = self.prev[entry]
        after = self.next[entry]
        self.next[before] = after
        self.prev[after] = before

    def queue(self, queue: int) -> list[int]:
        """The entries of a queue, coldest first."""
        found = []
        entry = self.next[queue]
        while entry != queue:
            found.append(entry)
            entry = self.next[entry]
        return found

    # -- sums --------------------------------------------------------------------------------------

    def count(self, state: int, *, foreign: bool = False) -> int:
        """Pages in a state."""
        where = state | (FOREIGN if foreign else 0)
        return self.counts[where] + self.counts[where | PERSISTENT]

    def byte_count(self, state: int, *, foreign: bool = False) -> int:
        """Bytes of blobs of pages in a state."""
        where = state | (FOREIGN if foreign else 0)
        return self.bytes[where] + self.bytes[where | PERSISTENT]

    def change_state(self, entry: int, state: int) -> int:
        """Set a page's state, clear REFERENCED, keep the sums; returns the new flags."""
        old = self.flags[entry]
        new = (old & ~(STATE_MASK | REFERENCED)) | state
        length = self.lengths[entry]
        at = old & COUNT_MASK
        self.counts[at] -= 1
        self.bytes[at] -= length
        at = new & COUNT_MASK
        self.counts[at] += 1
        self.bytes[at] += length
        self.flags[entry] = new
        return new

    def _extend(self, more: int) -> None:
        for column in self.columns():
            column.frombytes(bytes(column.itemsize * more))

    def _link_queues(self) -> None:
        for head in range(1, _FIRST_PAGE):
            self.prev[head] = self.next[head] = head
