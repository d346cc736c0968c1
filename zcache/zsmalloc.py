"""The allocator of blobs: size classes, zspages, indirect handles, compaction (after Linux
mm/zsmalloc.c).

Covers: storing, reading, freeing and moving blobs within a limit of frames; figures of the classes.
Does not cover: what a blob means, and what to drop when no frame is left (``reclaim.py``).
Read next: ``size_classes.py`` for the arithmetic, ``zspage.py`` for the lists.

A handle is a small integer of the caller's, and ``locations[handle]`` (a column of the caller's,
grown by the caller) holds the blob's address, 0 for none. Objects move; whoever holds a handle does
not notice.

Slots of classes that are not huge start with one word:
    in use  handle * 2 + 1
    free    (next free slot + 1) * 2, 0 at the end of the list
A huge slot is one whole frame, and its handle is in the zspage's column ``owner``.

Not safe for threads: the caller holds a lock.
"""

from __future__ import annotations

from array import array

from zcache.page import PAGE_SIZE
from zcache.segments import SEGMENT_SHIFT, Segments
from zcache.size_classes import BANDS, HANDLE_BYTES, SizeClassTable
from zcache.zspage import FULL_BAND, ZspageTable

__all__ = ["Zsmalloc"]

_SEGMENT_MASK = (1 << SEGMENT_SHIFT) - 1


class Zsmalloc:
    """Blobs of 1..4096 bytes in at most ``frames_max`` frames.

    ``frames_used`` never rises above the limit given to ``store``; ``frames_peak`` is its highest
    value.
    """

    def __init__(self, frames_max: int, chain_frames_max: int, locations: array[int]) -> None:
        self.frames_max = frames_max
        self.frames_ceiling = frames_max
        """What use may be at most: the limit, or the use when the limit was put below it."""
        self.frames_used = 0
        self.frames_peak = 0
        self.frames_compacted = 0
        self.objects_moved = 0
        self.table = SizeClassTable(chain_frames_max)
        self.classes = self.table.classes
        self.zspages = ZspageTable(self.classes)
        self.segments = Segments()
        self.window_shift = (chain_frames_max * PAGE_SIZE - 1).bit_length()
        self.class_used = [0] * len(self.classes)
        """Objects, by class."""
        self.class_zspages = [0] * len(self.classes)
        self._window_mask = (1 << self.window_shift) - 1
        self._locations = locations
        self._maps = self.segments.maps
        self._words = self.segments.words
        self._sizes = [size_class.size for size_class in self.classes]
        self._huge = self.classes[-1].number

    def set_limit(self, frames_max: int) -> None:
        """Change the limit. Use above it stays, and only falls."""
        self.frames_max = frames_max
        self.frames_ceiling = max(frames_max, self.frames_used)

    # -- blobs -------------------------------------------------------------------------------------

    def store(self, blob: bytes, handle: int, frames_limit: int) -> int:
        """Put a blob into the fullest open zspage of its class; returns its location.

        Returns 0, and changes nothing, if that needs frames above ``frames_limit``. The caller
        writes the location into its column.
        """
        length = len(blob)
        klass = self.table.class_of_length[length]
        if klass == self._huge:
            return self._store_huge(blob, handle, frames_limit)
        zspages = self.zspages
        mask = zspages.open_bands[klass]
        if mask:
            band = mask.bit_length() - 1
            zspage = zspages.next[klass * BANDS + band]
        else:
            band = 0
            zspage = self._open(klass, frames_limit)
            if not zspage:
                return 0
        used = zspages.used[zspage] + 1
        zspages.used[zspage] = used
        self.class_used[klass] += 1
        new_band = zspages.bands[klass][used]
        if new_band != band:
            zspages.move(zspage, klass, band, new_band)

        address = zspage << self.window_shift
        segment = address >> SEGMENT_SHIFT
        words = self._words[segment]
        free = zspages.free[zspage]
        if free:
            address += (free - 1) * self._sizes[klass]
            offset = address & _SEGMENT_MASK
            zspages.free[zspage] = words[offset >> 3] >> 1
        else:
            fresh = zspages.fresh[zspage]
            zspages.fresh[zspage] = fresh + 1
            address += fresh * self._sizes[klass]
            offset = address & _SEGMENT_MASK
        words[offset >> 3] = handle << 1 | 1
        offset += HANDLE_BYTES
        self._maps[segment][offset : offset + length] = blob
        return address + HANDLE_BYTES

    def read(self, location: int, length: int) -> bytes:
        """A copy of a blob."""
        offset = location & _SEGMENT_MASK
        return self._maps[location >> SEGMENT_SHIFT][offset : offset + length]

    def same_class(self, length: int, new_length: int) -> bool:
        """Whether a blob of the new length has the same class as one of the old."""
        class_of_length = self.table.class_of_length
        return class_of_length[length] == class_of_length[new_length]

    def overwrite(self, location: int, blob: bytes) -> None:
        """Write another blob of the same class into a slot."""
        offset = location & _SEGMENT_MASK
        self._maps[location >> SEGMENT_SHIFT][offset : offset + len(blob)] = blob

    def free(self, location: int) -> int:
        """Free a slot; an emptied zspage's frames go back to the system. Returns the class."""
        zspages = self.zspages
        zspage = location >> self.window_shift
        klass = zspages.klass[zspage]
        used = zspages.used[zspage] - 1
        self.class_used[klass] -= 1
        bands = zspages.bands[klass]
        if not used:
            self._close(zspage, klass, bands[1])
            return klass
        slot = (location & self._window_mask) // self._sizes[klass]
        word = (location & _SEGMENT_MASK) >> 3
        self._words[location >> SEGMENT_SHIFT][word - 1] = zspages.free[zspage] << 1
        zspages.free[zspage] = slot + 1
        zspages.used[zspage] = used
        band = bands[used + 1]
        new_band = bands[used]
        if new_band != band:
            zspages.move(zspage, klass, band, new_band)
        return klass

    def _store_huge(self, blob: bytes, handle: int, frames_limit: int) -> int:
        klass = self._huge
        zspage = self._open(klass, frames_limit)
        if not zspage:
            return 0
        zspages = self.zspages
        zspages.used[zspage] = zspages.fresh[zspage] = 1
        zspages.owner[zspage] = handle
        zspages.move(zspage, klass, 0, FULL_BAND)
        self.class_used[klass] += 1
        location = zspage << self.window_shift
        offset = location & _SEGMENT_MASK
        self._maps[location >> SEGMENT_SHIFT][offset : offset + len(blob)] = blob
        return location

    def _open(self, klass: int, frames_limit: int) -> int:
        used = self.frames_used + self.classes[klass].frames
        if used > frames_limit:
            return 0
        zspage = self.zspages.open(klass)
        self.segments.reach(zspage << self.window_shift)
        self.class_zspages[klass] += 1
        self.frames_used = used
        if used > self.frames_peak:
            self.frames_peak = used
        return zspage

    def _close(self, zspage: int, klass: int, band: int) -> None:
        frames = self.classes[klass].frames
        self.zspages.close(zspage, klass, band)
        self.segments.discard(zspage << self.window_shift, frames * PAGE_SIZE)
        self.class_zspages[klass] -= 1
        self.frames_used -= frames

    # -- compaction --------------------------------------------------------------------------------

    def freeable_zspages(self, klass: int) -> int:
        """Zspages of a class that compaction can empty: whole ones that fit into its free slots."""
        objects = self.classes[klass].objects
        return self.class_zspages[klass] - (self.class_used[klass] + objects - 1) // objects

    def compact(self, frames_wanted: int | None = None) -> int:
        """Empty zspages, largest class first, until that many frames (None: all) are given back."""
        given_back = 0
        for size_class in reversed(self.classes):
            if frames_wanted is not None and given_back >= frames_wanted:
                break
            wanted = None if frames_wanted is None else frames_wanted - given_back
            if self.class_zspages[size_class.number] > 1:
                given_back += self.compact_class(size_class.number, wanted)
        return given_back

    def compact_class(self, klass: int, frames_wanted: int | None = None) -> int:
        """Move objects from the emptiest zspages to the fullest; returns frames given back."""
        zspages = self.zspages
        frames = self.classes[klass].frames
        given_back = 0
        while self.freeable_zspages(klass) > 0:
            if frames_wanted is not None and given_back >= frames_wanted:
                break
            source = self._emptiest(klass)
            # Among the full ones it is set aside: allocation does not look there.
            band = zspages.bands[klass][zspages.used[source]]
            zspages.move(source, klass, band, FULL_BAND)
            self._evacuate(source, klass)
            given_back += frames
        self.frames_compacted += given_back
        return given_back

    def _emptiest(self, klass: int) -> int:
        mask = self.zspages.open_bands[klass]
        band = (mask & -mask).bit_length() - 1
        return self.zspages.next[klass * BANDS + band]

    def _evacuate(self, source: int, klass: int) -> None:
        """Move every object of a zspage that is set aside into open ones, and close it."""
        zspages = self.zspages
        size = self._sizes[klass]
        base = source << self.window_shift
        offset = base & _SEGMENT_MASK
        words = self._words[base >> SEGMENT_SHIFT]
        memory = self._maps[base >> SEGMENT_SHIFT]
        left = zspages.used[source]
        for at in range(offset, offset + zspages.fresh[source] * size, size):
            word = words[at >> 3]
            if word & 1:
                handle = word >> 1
                # The blob's length is the caller's business: the whole slot moves, as in the
                # kernel.
                blob = memory[at + HANDLE_BYTES : at + size]
                location = self.store(blob, handle, 0)
                if not location:
                    raise AssertionError("compaction found no slot although free ones were counted")
                self._locations[handle] = location
                self.class_used[klass] -= 1
                left -= 1
                self.objects_moved += 1
                if not left:
                    break
        self._close(source, klass, FULL_BAND)

    # -- looking inside, for checks ----------------------------------------------------------------

    def word_at(self, address: int) -> int:
        """The 64-bit word at an address."""
        return self._words[address >> SEGMENT_SHIFT][(address & _SEGMENT_MASK) >> 3]

    def handle_at(self, location: int) -> int:
        """The handle of the object at a location; 0 if the slot is free."""
        zspage = location >> self.window_shift
        if not self.zspages.heads <= zspage < len(self.zspages.klass):
            return 0
        if self.zspages.klass[zspage] == self._huge:
            return self.zspages.owner[zspage]
        word = self.word_at(location - HANDLE_BYTES)
        return word >> 1 if word & 1 else 0

    def class_at(self, location: int) -> int:
        """The class of the object at a location."""
        return self.zspages.klass[location >> self.window_shift]

    def location_of(self, handle: int) -> int:
        """Where a handle's object is."""
        return self._locations[handle]

    # -- figures -----------------------------------------------------------------------------------

    def class_stats(self) -> list[dict[str, int]]:
        """A row per class, columns as in the kernel's debugfs file zsmalloc/<pool>/classes."""
        counts = self.zspages.band_counts
        names = [f"{10 * band}%" for band in range(1, 10)] + ["99%", "100%"]
        rows = []
        for size_class in self.classes:
            klass = size_class.number
            row = {"class": klass, "size": size_class.size}
            row.update(
                (name, counts[klass * BANDS + band]) for band, name in enumerate(names, start=1)
            )
            row["obj_allocated"] = self.class_zspages[klass] * size_class.objects
            row["obj_used"] = self.class_used[klass]
            row["pages_used"] = self.class_zspages[klass] * size_class.frames
            row["pages_per_zspage"] = size_class.frames
            row["freeable"] = self.freeable_zspages(klass) * size_class.frames
            rows.append(row)
        return rows
