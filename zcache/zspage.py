"""Zspages as columns, and the lists that keep them by class and fullness.

Covers: numbering, fullness bands, list links, the stack of windows to use again.
Does not cover: slots and bytes (``zsmalloc.py``), address space (``segments.py``).

A zspage's number is the number of its window: as much address space as the longest zspage needs, so
that its frames are contiguous. The lowest numbers are no zspages but the heads of the circular
lists, one a class and band: list code then has no special cases, for the price of some address
space that is never touched.
"""

from __future__ import annotations

from array import array

from zcache.size_classes import BANDS, SizeClass

__all__ = ["FULL_BAND", "ZspageTable", "band_table"]

FULL_BAND = BANDS - 1
_GROW = 1024


def band_table(objects: int) -> bytes:
    """Slots in use (0..objects) -> fullness band: 0 empty, 1..10 by tenths, 11 full."""
    bands = bytearray(100 * used // objects // 10 + 1 for used in range(objects + 1))
    bands[0] = 0
    bands[objects] = FULL_BAND
    return bytes(bands)


class ZspageTable:
    """Columns indexed by zspage number; class and band lists threaded through ``prev`` and
    ``next``.

    ``klass``       u8, class number
    ``used``        u16, slots in use
    ``fresh``       u16, slots ever used; those above need no free-list entry
    ``free``        u16, first of the list of freed slots, plus 1 (0: none); links lie in the slots
    ``owner``       u32, handle of the only object of a huge zspage
    ``open_bands``  a class: bit b is set while list b (below full) is not empty
    ``band_counts`` zspages, by class * BANDS + band
    """

    def __init__(self, classes: tuple[SizeClass, ...]) -> None:
        self.heads = len(classes) * BANDS
        self.bands = [band_table(size_class.objects) for size_class in classes]
        self.open_bands = [0] * len(classes)
        self.band_counts = array("I", bytes(4 * self.heads))
        self.klass = array("B", bytes(self.heads))
        self.used = array("H", bytes(2 * self.heads))
        self.fresh = array("H", bytes(2 * self.heads))
        self.free = array("H", bytes(2 * self.heads))
        self.owner = array("I", bytes(4 * self.heads))
        self.prev = array("I", range(self.heads))
        self.next = array("I", range(self.heads))
        self.count = 0
        self._idle = array("I")
        self._untouched = self.heads

    def columns(self) -> tuple[array[int], ...]:
        """Every column that grows with zspages, for sizing."""
        return (
            self.klass, self.used, self.fresh, self.free, self.owner, self.prev, self.next,
            self._idle,
        )  # fmt: skip

    def live(self, klass: int, band: int) -> list[int]:
        """Numbers of the zspages on one list, first to last."""
        head = klass * BANDS + band
        found = []
        at = self.next[head]
        while at != head:
            found.append(at)
            at = self.next[at]
        return found

    def open(self, klass: int) -> int:
        """Take a window for a zspage without objects (band 0); the last one closed first."""
        if self._idle:
            zspage = self._idle.pop()
        else:
            zspage = self._untouched
            if zspage == len(self.klass):
                for column in self.columns()[:-1]:
                    column.frombytes(bytes(column.itemsize * _GROW))
            self._untouched += 1
        self.klass[zspage] = klass
        self.used[zspage] = self.fresh[zspage] = self.free[zspage] = self.owner[zspage] = 0
        self.count += 1
        self._link(zspage, klass, 0)
        return zspage

    def close(self, zspage: int, klass: int, band: int) -> None:
        """Take a zspage off its list and its window back."""
        self._unlink(zspage, klass, band)
        self.used[zspage] = 0
        self._idle.append(zspage)
        self.count -= 1

    def move(self, zspage: int, klass: int, band: int, new_band: int) -> None:
        """From one band's list to the head of another's."""
        nexts = self.next
        prevs = self.prev
        head = klass * BANDS + band
        before = prevs[zspage]
        after = nexts[zspage]
        nexts[before] = after
        prevs[after] = before
        self.band_counts[head] -= 1
        if before == after == head:
            self.open_bands[klass] &= ~(1 << band)
        head += new_band - band
        after = nexts[head]
        nexts[head] = prevs[after] = zspage
        prevs[zspage] = head
        nexts[zspage] = after
        self.band_counts[head] += 1
        if new_band != FULL_BAND:
            self.open_bands[klass] |= 1 << new_band

    def _link(self, zspage: int, klass: int, band: int) -> None:
        head = klass * BANDS + band
        after = self.next[head]
        self.next[head] = self.prev[after] = zspage
        self.prev[zspage] = head
        self.next[zspage] = after
        self.band_counts[head] += 1
        if band != FULL_BAND:
            self.open_bands[klass] |= 1 << band

    def _unlink(self, zspage: int, klass: int, band: int) -> None:
        head = klass * BANDS + band
        before = self.prev[zspage]
        after = self.next[zspage]
        self.next[before] = after
        self.prev[after] = before
        self.band_counts[head] -= 1
        if before == after == head:
            self.open_bands[klass] &= ~(1 << band)
