"""A random sample of pages out of a stream of pages whose number nobody knows beforehand.

Covers: which pages are taken (reservoir sampling, each page with the same chance), and the value
that a sample is. Does not cover: where pages come from (``process_memory.py``, ``files.py``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ramster.errors import RamsterError
from zcache import PAGE_SIZE

__all__ = ["EstimateError", "PageReservoir", "Sample"]

T = TypeVar("T")


class EstimateError(RamsterError):
    """Nothing can be estimated; the text says of what and why."""


@dataclass(slots=True)
class Sample:
    """Pages of one source, and what there was beside them."""

    source: str
    """What was sampled, for people."""
    pages_total: int
    """Pages that each had the same chance."""
    pages: bytearray
    """The sampled ones, back to back, PAGE_SIZE bytes each."""
    vanished: int = 0
    """Chosen, and gone or unreadable by the time they were read."""
    complete: bool = True
    """False where looking for pages was ended by its time limit: the rest is in no figure."""
    facts: dict[str, int] = field(default_factory=dict)
    """What was counted and not sampled, by name; bytes where the name says so."""

    def __len__(self) -> int:
        return len(self.pages) // PAGE_SIZE


class PageReservoir(Generic[T]):
    """``size`` of all offered pages, each with the same chance, in memory for ``size`` of them.

    Li's Algorithm L ("Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", 1994):
    it draws how many pages to pass over, so that long runs of pages cost nothing.
    """

    def __init__(self, size: int, rng: random.Random) -> None:
        self.items: list[T] = []
        """Those chosen so far."""
        self.offered = 0
        self._size = size
        self._rng = rng
        self._weight = 1.0
        self._next = 0
        """Number of the next page to be taken."""

    def offer(self, count: int, page: Callable[[int], T]) -> None:
        """Offer ``count`` pages; ``page(i)`` is asked for those that are taken, 0 <= i < count."""
        end = self.offered + count
        while self._next < end:
            item = page(self._next - self.offered)
            if len(self.items) < self._size:
                self.items.append(item)
            else:
                self.items[self._rng.randrange(self._size)] = item
            self._advance()
        self.offered = end

    def _advance(self) -> None:
        self._next += 1
        if len(self.items) < self._size:
            return
        self._weight *= math.exp(self._log() / self._size)
        # With a weight so small that 1 - weight is 1, no later page of any stream is taken.
        step = math.log1p(-self._weight)
        self._next += math.floor(self._log() / step) if step else 2**63

    def _log(self) -> float:
        """The logarithm of a random number above 0 and at most 1."""
        return math.log(1.0 - self._rng.random())
