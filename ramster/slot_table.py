"""Which parts of the write-back file are in use.

Covers: slots of eight size classes, cut from chunks; taking them in batches, giving them back, what
is free. Does not cover: the file (``disk.py``), what is in a slot, slots that are being read or
written (``writeback.py``).

A chunk of 64 KiB belongs to one size class while a slot of it is in use, and to none otherwise. A
chunk costs 25 bytes here, and only from its first use on: 40 MB when 100 GiB are in use.

A slot's position is its offset in the file in units of 512 bytes; it fits 32 bits, and 0 is none.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ramster.errors import SlotNotInUseError
from zcache import PAGE_SIZE

__all__ = [
    "CHUNK_BYTES",
    "HEADER_BYTES",
    "LIMIT_BYTES_MAX",
    "LIMIT_BYTES_MIN",
    "POSITION_BYTES",
    "SlotTable",
    "slot_bytes_for",
]

POSITION_BYTES: Final = 512
"""Positions count these; also the step from one size class to the next."""

HEADER_BYTES: Final = 4096
"""Before the first chunk; not the table's."""

CHUNK_BYTES: Final = 64 * 1024

LIMIT_BYTES_MIN: Final = HEADER_BYTES + CHUNK_BYTES
LIMIT_BYTES_MAX: Final = POSITION_BYTES << 32
"""2 TiB: what 32 bits can name."""

_CLASSES: Final = PAGE_SIZE // POSITION_BYTES
"""Size classes 1.._CLASSES; a slot of class c has c * POSITION_BYTES bytes. 0: a free chunk."""

_UNITS: Final = CHUNK_BYTES // POSITION_BYTES
_FIRST: Final = HEADER_BYTES // POSITION_BYTES
_SLOTS: Final = (0, *(_UNITS // size_class for size_class in range(1, _CLASSES + 1)))
_ALL_FREE: Final = tuple((1 << slots) - 1 for slots in _SLOTS)
_LOW_WORD: Final = 2**64 - 1
_NONE: Final = 2**32 - 1

_GOOD_RUN_BYTES: Final = 16 * 1024
"""Adjoining slots of so many bytes are worth a write of their own; for less, rather start a chunk
that is free.
"""

_LOOKS: Final = 8
"""Chunks in use that are looked at for a good run."""


def slot_bytes_for(length: int) -> int:
    """The size of the slots that blobs of this length get. Raises ValueError unless 1..4096."""
    return _class_for(length) * POSITION_BYTES


def _class_for(length: int) -> int:
    if not 1 <= length <= PAGE_SIZE:
        raise ValueError(f"a blob of {length} bytes: accepted is 1 to {PAGE_SIZE}")
    return -(-length // POSITION_BYTES)


class SlotTable:
    """Slots in a file of at most ``limit_bytes``, its header included."""

    def __init__(self, limit_bytes: int) -> None:
        if not LIMIT_BYTES_MIN <= limit_bytes <= LIMIT_BYTES_MAX:
            raise ValueError(
                f"a limit of {limit_bytes} bytes: accepted is {LIMIT_BYTES_MIN} to"
                f" {LIMIT_BYTES_MAX}"
            )
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        """Sum of the sizes of the slots in use."""
        self.slots_used = 0
        self._chunks_max = (limit_bytes - HEADER_BYTES) // CHUNK_BYTES
        # One entry a chunk that was ever in use:
        self._classes = bytearray()
        self._free = array("Q")
        """Two words a chunk; a set bit is a free slot."""
        # Chunks with a free slot are in the list of their class, free chunks in list 0.
        self._next = array("I")
        self._previous = array("I")
        self._heads = [_NONE] * (_CLASSES + 1)
        self._tails = [_NONE] * (_CLASSES + 1)
        self._unused = [0] * (_CLASSES + 1)
        """Free slots in chunks of each class; under 0 the free chunks of list 0."""

    # -- taking, giving back

    def take(self, lengths: Sequence[int]) -> list[int]:
        """A slot for each blob: its position, or 0 where there is no room.

        Slots of a class adjoin as far as possible. Large blobs are served first: small ones can do
        with large slots, and not the other way round. Raises ValueError, having taken nothing,
        where a length is not 1..4096.
        """
        wanted: list[list[int]] = [[] for _ in range(_CLASSES + 1)]
        for row, length in enumerate(lengths):
            wanted[_class_for(length)].append(row)
        positions = [0] * len(lengths)
        for size_class in range(_CLASSES, 0, -1):
            rows = wanted[size_class]
            placed = 0
            while placed < len(rows):
                chunk = self._choose(size_class, len(rows) - placed)
                if chunk == _NONE:
                    break
                for position in self._take_run(chunk, len(rows) - placed):
                    positions[rows[placed]] = position
                    placed += 1
        return positions

    def give_back(self, position: int) -> None:
        """End the use of a slot. Raises SlotNotInUseError unless it is one in use."""
        chunk, size_class, slot = self._find(position)
        if not size_class:
            raise SlotNotInUseError(position)
        was = self._free_slots(chunk)
        free = was | 1 << slot
        self._set_free_slots(chunk, free)
        self._unused[size_class] += 1
        self.slots_used -= 1
        self.used_bytes -= size_class * POSITION_BYTES
        if free == _ALL_FREE[size_class]:
            self._unlink(chunk, size_class)
            self._unused[size_class] -= _SLOTS[size_class]
            self._classes[chunk] = 0
            self._link(chunk, 0)
            self._unused[0] += 1
        elif not was:
            self._link(chunk, size_class)

    # -- looking

    def slot_bytes(self, position: int) -> int:
        """The size of a slot in use; 0 where there is none."""
        return self._find(position)[1] * POSITION_BYTES

    def free_bytes_for(self, length: int) -> int:
        """Bytes of all free slots that blobs of this length could get."""
        least = _class_for(length)
        chunks = self._chunks_max - len(self._classes) + self._unused[0]
        free = chunks * _SLOTS[least] * least
        free += sum(self._unused[larger] * larger for larger in range(least, _CLASSES + 1))
        return free * POSITION_BYTES

    def adjoining(self, positions: Sequence[int], bytes_max: int) -> Iterator[list[int]]:
        """The rows of a batch by place: in each list, slots that follow one another in the file.

        Rows without a slot in use are left out. ``bytes_max``: what one list's slots may amount to.
        """
        run: list[int] = []
        start = end = 0
        for row in sorted(range(len(positions)), key=positions.__getitem__):
            position = positions[row]
            size = self._find(position)[1]
            if not size:
                continue
            if run and (position != end or (end + size - start) * POSITION_BYTES > bytes_max):
                yield run
                run = []
            if not run:
                start = position
            run.append(row)
            end = position + size
        if run:
            yield run

    def verify(self) -> None:
        """Recompute every figure and list; AssertionError where one is wrong. Slow: for tests."""
        unused = [0] * (_CLASSES + 1)
        slots_used = used = 0
        listed = {chunk: lst for lst in range(_CLASSES + 1) for chunk in self._listed(lst)}
        for chunk, size_class in enumerate(self._classes):
            if size_class == 0:
                unused[0] += 1
                assert listed.pop(chunk) == 0
                continue
            free = self._free_slots(chunk)
            assert 0 <= free < _ALL_FREE[size_class], "an empty chunk belongs to a class"
            assert listed.pop(chunk, None) == (size_class if free else None)
            unused[size_class] += free.bit_count()
            slots_used += _SLOTS[size_class] - free.bit_count()
            used += (_SLOTS[size_class] - free.bit_count()) * size_class * POSITION_BYTES
        assert not listed
        assert unused == self._unused
        assert (slots_used, used) == (self.slots_used, self.used_bytes)
        assert len(self._classes) <= self._chunks_max

    # -- chunks

    def _choose(self, size_class: int, count: int) -> int:
        """The chunk from which to serve up to ``count`` blobs next, or _NONE."""
        good = min(count, max(1, _GOOD_RUN_BYTES // (size_class * POSITION_BYTES)))
        looked_at = []
        for chunk in self._listed(size_class):
            if _run_start(self._free_slots(chunk), good) >= 0:
                return chunk
            looked_at.append(chunk)
            if len(looked_at) == _LOOKS:
                break
        chunk = self._start_chunk(size_class)
        if chunk != _NONE:
            return chunk
        for chunk in looked_at:  # others next time
            self._unlink(chunk, size_class)
            self._link(chunk, size_class)
        return next((head for head in self._heads[size_class:] if head != _NONE), _NONE)

    def _start_chunk(self, size_class: int) -> int:
        chunk = self._heads[0]
        if chunk != _NONE:
            self._unlink(chunk, 0)
            self._unused[0] -= 1
            self._classes[chunk] = size_class
        elif len(self._classes) < self._chunks_max:
            chunk = len(self._classes)
            self._classes.append(size_class)
            self._free.extend((0, 0))
            self._next.append(_NONE)
            self._previous.append(_NONE)
        else:
            return _NONE
        self._set_free_slots(chunk, _ALL_FREE[size_class])
        self._unused[size_class] += _SLOTS[size_class]
        self._link(chunk, size_class)
        return chunk

    def _take_run(self, chunk: int, count: int) -> Iterable[int]:
        """Up to ``count`` adjoining slots of a chunk that has a free one; their positions."""
        size_class = self._classes[chunk]
        free = self._free_slots(chunk)
        length = min(count, _SLOTS[size_class])
        while (start := _run_start(free, length)) < 0:
            length //= 2
        taken_away = ~(free >> start)
        length = min(count, (taken_away & -taken_away).bit_length() - 1)
        free &= ~(((1 << length) - 1) << start)
        self._set_free_slots(chunk, free)
        if not free:
            self._unlink(chunk, size_class)
        self._unused[size_class] -= length
        self.slots_used += length
        self.used_bytes += length * size_class * POSITION_BYTES
        first = _FIRST + chunk * _UNITS + start * size_class
        return range(first, first + length * size_class, size_class)

    def _find(self, position: int) -> tuple[int, int, int]:
        """(chunk, size class, slot) of a slot in use; the class is 0 where there is none."""
        chunk, unit = divmod(position - _FIRST, _UNITS)
        if not 0 <= chunk < len(self._classes):
            return chunk, 0, 0
        size_class = self._classes[chunk]
        if not size_class or unit % size_class or unit // size_class >= _SLOTS[size_class]:
            return chunk, 0, 0
        slot = unit // size_class
        in_use = not self._free[2 * chunk + (slot >> 6)] >> (slot & 63) & 1
        return chunk, size_class if in_use else 0, slot

    def _free_slots(self, chunk: int) -> int:
        return self._free[2 * chunk] | self._free[2 * chunk + 1] << 64

    def _set_free_slots(self, chunk: int, free: int) -> None:
        self._free[2 * chunk] = free & _LOW_WORD
        self._free[2 * chunk + 1] = free >> 64

    # -- lists of chunks

    def _listed(self, which: int) -> Iterator[int]:
        chunk = self._heads[which]
        while chunk != _NONE:
            yield chunk
            chunk = self._next[chunk]

    def _link(self, chunk: int, which: int) -> None:
        """Append."""
        tail = self._tails[which]
        self._previous[chunk] = tail
        self._next[chunk] = _NONE
        if tail == _NONE:
            self._heads[which] = chunk
        else:
            self._next[tail] = chunk
        self._tails[which] = chunk

    def _unlink(self, chunk: int, which: int) -> None:
        previous, following = self._previous[chunk], self._next[chunk]
        if previous == _NONE:
            self._heads[which] = following
        else:
            self._next[previous] = following
        if following == _NONE:
            self._tails[which] = previous
        else:
            self._previous[following] = previous


def _run_start(free: int, length: int) -> int:
    """Where the first ``length`` free slots in a row begin; -1 if there are not so many."""
    have = 1
    while have < length and free:
        step = min(have, length - have)
        free &= free >> step
        have += step
    return (free & -free).bit_length() - 1
