"""Size classes of zsmalloc: how a length finds its class, and how classes are cut into zspages.

Covers: the kernel's present rules (Linux mm/zsmalloc.c): 255 raw sizes in steps of 16 bytes, zspage
length by least waste, merging, the huge watermark. Pure arithmetic, no state. Does not cover:
memory (``segments.py``), allocation (``zsmalloc.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from zcache.page import PAGE_SIZE

__all__ = ["BANDS", "HANDLE_BYTES", "SizeClass", "SizeClassTable", "zspage_frames"]

SIZE_MIN: Final = 32
SIZE_STEP: Final = 16
HANDLE_BYTES: Final = 8
"""The word in front of every object of a class that is not huge; it names the object's owner."""

BANDS: Final = 12
"""Fullness bands of zspages: empty, ten steps of ten per cent, full."""


class SizeClass(NamedTuple):
    """One class after merging."""

    number: int
    size: int
    """Bytes a slot, the handle word included; a multiple of 16."""
    frames: int
    """Frames a zspage."""
    objects: int
    """Slots a zspage; at most 256."""
    huge: bool
    """One slot that is one frame, without a handle word."""


def zspage_frames(size: int, chain_frames_max: int) -> int:
    """The zspage length, in frames, that wastes least at its end; the shortest of equals.

    A power of two divides a frame and takes one.
    """
    if size & (size - 1) == 0:
        return 1
    return min(range(1, chain_frames_max + 1), key=lambda frames: frames * PAGE_SIZE % size)


class SizeClassTable:
    """All classes for one longest zspage (``chain_frames_max``, 4..16).

    ``classes``          ascending by size, numbered from 0
    ``class_of_length``  blob length 1..4096 -> class number, one byte each (index 0 is not used)
    ``slot_of_length``   blob length -> bytes of the slot that it occupies
    ``huge_length``      blobs of at least this many bytes are better stored as whole pages (what
                         zram compares with; 8 bytes below the class that is the kernel's huge
                         watermark, plus 1)
    """

    def __init__(self, chain_frames_max: int) -> None:
        sizes = range(SIZE_MIN, PAGE_SIZE + 1, SIZE_STEP)
        kept: list[tuple[int, int, int]] = []
        merged_into: list[int] = []  # raw class, from the largest -> position in kept
        watermark = 0
        for size in reversed(sizes):
            frames = zspage_frames(size, chain_frames_max)
            objects = frames * PAGE_SIZE // size
            if not kept or kept[-1][1:] != (frames, objects):
                kept.append((size, frames, objects))
            merged_into.append(len(kept) - 1)
            if not watermark and frames != 1 and objects != 1:
                watermark = size
        last = len(kept) - 1
        self.classes: tuple[SizeClass, ...] = tuple(
            SizeClass(last - at, *kept[at], huge=kept[at][1:] == (1, 1))
            for at in range(last, -1, -1)
        )
        number_of_raw = [last - at for at in reversed(merged_into)]
        self.huge_watermark = watermark
        self.huge_length = watermark - (HANDLE_BYTES - 1)
        self.class_of_length = bytes(
            number_of_raw[self._raw_class(length)] for length in range(PAGE_SIZE + 1)
        )
        self.slot_of_length = tuple(self.classes[number].size for number in self.class_of_length)

    @staticmethod
    def _raw_class(length: int) -> int:
        size = length + HANDLE_BYTES
        if size <= SIZE_MIN:
            return 0
        return min(
            (size - SIZE_MIN + SIZE_STEP - 1) // SIZE_STEP, (PAGE_SIZE - SIZE_MIN) // SIZE_STEP
        )
