"""What the allocator does with a fixed sequence of calls, as text: the native one is held against
it.

Covers: the calls, drawn from a seed, and the line after each. Does not cover: the same calls in
Rust (native/core/src/zsmalloc/trace.rs), which must draw the same numbers in the same order.

    python -m tests.zcache.zsmalloc_trace > native/core/tests/data/zsmalloc_trace.txt

A line: step, call, frames_used, frames_peak, frames_ceiling, frames_compacted, objects_moved,
objects, and a digest of the class table and of who lies in which slot of which zspage of which
list.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from zcache.size_classes import BANDS, HANDLE_BYTES
from zcache.zsmalloc import Zsmalloc

TRACE = Path(__file__).parents[2] / "native/core/tests/data/zsmalloc_trace.txt"

RUNS = ((4, 60, 600), (8, 200, 500), (16, 400, 300))
"""Longest zspage, frames_max at first, steps."""

LENGTHS = ((1, 120), (600, 100), (1500, 40), (3000, 100), (1, 4096))
"""The shortest blob of a call and how many lengths there are; few, so that classes fill."""

HANDLES_MAX = 50_000
MASK = (1 << 64) - 1


class Numbers:
    """A plain generator (splitmix64) that is a few lines in any language."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, end: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        return (z ^ (z >> 31)) % end


class Run:
    """One allocator and its calls."""

    def __init__(self, chain_frames_max: int, frames_max: int) -> None:
        self.locations = array("Q", bytes(8 * HANDLES_MAX))
        self.zsmalloc = Zsmalloc(frames_max, chain_frames_max, self.locations)
        self.numbers = Numbers(chain_frames_max)
        self.frames_base = frames_max
        self.held: list[tuple[int, int]] = []
        """Handles and lengths."""
        self.handles = 0

    def step(self) -> str:
        """One call, or several of one kind; returns its name."""
        below, zsmalloc = self.numbers.below, self.zsmalloc
        kind = below(16)
        if kind < 6:
            count = 1 + below(40)
            shortest, span = LENGTHS[below(len(LENGTHS))]
            for _ in range(count):
                self.store(shortest + below(span), zsmalloc.frames_max)
            return "store"
        if kind < 9:
            return self.free_some() if kind < 8 else self.free_share()
        if kind < 11:
            return self.overwrite()
        if kind == 11:
            zsmalloc.compact()
            return "compact"
        if kind == 12:
            zsmalloc.compact(1 + below(8))
            return "compact-some"
        if kind == 13:
            return self.compact_class()
        if kind == 14:
            zsmalloc.set_limit(self.frames_base // 2 + below(self.frames_base))
            return "set-limit"
        return self.replace()

    def free_some(self) -> str:
        for _ in range(min(1 + self.numbers.below(20), len(self.held))):
            self.free(self.numbers.below(len(self.held)))
        return "free"

    def free_share(self) -> str:
        percent = 10 + self.numbers.below(80)
        for at in range(len(self.held) - 1, -1, -1):
            if self.numbers.below(100) < percent:
                self.free(at)
        return "free-share"

    def overwrite(self) -> str:
        """Ten blobs, each by one a little shorter, where that has the same class."""
        for _ in range(min(10, len(self.held))):
            at = self.numbers.below(len(self.held))
            handle, length = self.held[at]
            shorter = max(1, length - self.numbers.below(16))
            if self.zsmalloc.same_class(length, shorter):
                self.zsmalloc.overwrite(self.locations[handle], bytes(shorter))
                self.held[at] = handle, shorter
        return "overwrite"

    def compact_class(self) -> str:
        length = self.held[self.numbers.below(len(self.held))][1] if self.held else 1
        wanted = self.numbers.below(4)
        self.zsmalloc.compact_class(self.zsmalloc.table.class_of_length[length], wanted or None)
        return "compact-class"

    def replace(self) -> str:
        """As a put does: the old blob out, the new one in, or the old one back."""
        if self.held:
            at = self.numbers.below(len(self.held))
            length = self.held[at][1]
            frames_before = self.zsmalloc.frames_used
            self.free(at)
            if not self.store(1 + self.numbers.below(4096), self.zsmalloc.frames_max):
                assert self.store(length, frames_before)
        return "replace"

    def store(self, length: int, frames_limit: int) -> bool:
        handle = self.handles + 1
        location = self.zsmalloc.store(bytes(length), handle, frames_limit)
        if not location:
            return False
        self.handles = handle
        self.locations[handle] = location
        self.held.append((handle, length))
        return True

    def free(self, at: int) -> None:
        """Free one of the held, whose place the last one takes."""
        handle = self.held[at][0]
        self.zsmalloc.free(self.locations[handle])
        self.held[at] = self.held[-1]
        self.held.pop()

    def digest(self) -> int:
        """The class table, then the zspages of each list and their slots, mixed into 64 bits."""
        zsmalloc, zspages = self.zsmalloc, self.zsmalloc.zspages
        values = [value for row in zsmalloc.class_stats() for value in row.values()]
        for size_class in zsmalloc.classes[:-1]:
            klass, size = size_class.number, size_class.size
            for band in range(1, BANDS):
                for zspage in zspages.live(klass, band):
                    values.append(klass * BANDS + band)
                    first = (zspage << zsmalloc.window_shift) + HANDLE_BYTES
                    slots = range(zspages.fresh[zspage])
                    values += [zsmalloc.handle_at(first + slot * size) for slot in slots]
        mixed = 0xCBF29CE484222325
        for value in values:
            mixed = (mixed ^ value) * 0x100000001B3 & MASK
        return mixed


def lines() -> Iterator[str]:
    """The whole trace."""
    for chain, frames_max, steps in RUNS:
        run = Run(chain, frames_max)
        yield f"run {chain} {frames_max} {steps}"
        for number in range(steps):
            name = run.step()
            z = run.zsmalloc
            yield (
                f"{number} {name} {z.frames_used} {z.frames_peak} {z.frames_ceiling} "
                f"{z.frames_compacted} {z.objects_moved} {len(run.held)} {run.digest():016x}"
            )


if __name__ == "__main__":
    sys.stdout.writelines(line + "\n" for line in lines())
