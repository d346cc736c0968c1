"""Address space for zspages: private anonymous mappings, touched frame by frame.

Covers: mapping segments, giving frames back to the system. Does not cover: which window a zspage
gets (``zspage.py``), counting frames (``zsmalloc.py``).

A segment is 64 MiB of address space, and address space costs nothing: memory is taken when a frame
is first written and returned by ``discard``. Mappings are private (of a shared one MADV_DONTNEED
frees nothing), and huge pages are declined, because one written frame would then take 2 MiB.
"""

from __future__ import annotations

import errno
import mmap
from typing import Final

__all__ = ["SEGMENT_SHIFT", "Segments"]

SEGMENT_SHIFT: Final = 26
SEGMENT_BYTES: Final = 1 << SEGMENT_SHIFT
MAP_NORESERVE: Final = 0x4000
"""Linux <asm-generic/mman.h>; not named by the mmap module of Python 3.11."""


class Segments:
    """Segments by number; address a is byte ``a % SEGMENT_BYTES`` of segment ``a >>
    SEGMENT_SHIFT``.

    ``maps``: the mappings, None where none was needed yet. ``words``: the same memory as 64-bit
    words.
    """

    def __init__(self) -> None:
        self.maps: list[mmap.mmap] = []
        self.words: list[memoryview[int]] = []

    def reach(self, address: int) -> None:
        """Map segments up to the one of ``address``. Raises OSError when the system refuses."""
        while len(self.maps) <= address >> SEGMENT_SHIFT:
            segment = mmap.mmap(
                -1,
                SEGMENT_BYTES,
                flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
            try:
                segment.madvise(mmap.MADV_NOHUGEPAGE)
            except OSError as failure:
                if (
                    failure.errno != errno.EINVAL
                ):  # a kernel without huge pages knows no such advice
                    raise
            self.maps.append(segment)
            self.words.append(memoryview(segment).cast("Q"))

    def discard(self, address: int, length: int) -> None:
        """Give whole frames back to the system; they read as zeros until written again."""
        self.maps[address >> SEGMENT_SHIFT].madvise(
            mmap.MADV_DONTNEED, address & (SEGMENT_BYTES - 1), length
        )
