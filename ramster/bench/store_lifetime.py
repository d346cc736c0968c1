"""The workload ``store-lifetime``: pages come and die in a bounded pool that is about full.

Covers: who dies when, what that leaves of the pool's frames, and what compaction makes of it. Does
not cover: pages that the cache itself may drop (``store_limit.py``).

The pool is filled until ``_FULL`` of its frames are in use; from then on as many bytes of blobs
live in it as did then, while pages die and others come. What the dead leave behind in frames that
are still used for others is fragmentation: it grows beyond ``_FULL`` of the pool, and at the limit
puts have to find room by compaction, or are refused.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns

from ramster.bench.local_stores import CacheStore, MemoryStore, open_store
from ramster.bench.mapped_pages import map_made
from ramster.bench.model import Better, Context, Figure, Samples, Workload
from ramster.bench.store_measures import (
    RESIDENT_BYTES_PAGE,
    anonymous_bytes,
    expect,
    frames_over_blobs,
    page_views,
    rates,
)
from zcache import PAGE_SIZE, CacheFullError

__all__ = ["LIFETIMES", "WORKLOAD"]

_FRAMES = 4096
_FRAMES_LEAST = 2048
"""In a smaller pool the zspages that each class of sizes leaves open are more than all else."""
_FULL = 0.90
_ROUND = 32
"""Pages put, and then as many killed as it takes, in turn."""
_CHURN = 2.0
"""Pages put in place of others, in multiples of those that filled the pool."""
_CONTENTS = 512
"""Different pages, of all ratios together; later ones have their contents again."""
_CHECKED = 128

_Victim = Callable[[int, random.Random], int]
"""Of so many pages in the order of their birth, which dies."""


def _any(count: int, chance: random.Random) -> int:
    return chance.randrange(count)


def _mostly_young(count: int, chance: random.Random) -> int:
    """Nine of ten deaths are among the youngest tenth."""
    young = max(1, count // 10)
    return count - 1 - chance.randrange(young) if chance.random() < 0.9 else chance.randrange(count)


LIFETIMES: dict[str, tuple[_Victim, tuple[float, ...]]] = {
    "uniform": (_any, (3.0,)),
    "generational": (_mostly_young, (3.0,)),
    "fragmenting": (_any, (4.0, 1.5, 8.0, 2.0)),
}
"""Who dies, and the ratios of the pages that are born, one after the other."""


@dataclass(slots=True)
class _Population:
    """The living, and what was measured of births and deaths."""

    store: CacheStore | MemoryStore
    contents: Sequence[Sequence[memoryview]]
    """Pages by epoch."""
    chance: random.Random
    keys: array[int] = field(default_factory=lambda: array("I"))
    """Of the living, in the order of birth; the n-th page that was born has the key n."""
    epochs: list[int] = field(default_factory=lambda: [0])
    """The first key of each epoch; in each, pages have the next of ``contents``."""
    births: int = 0
    refused: int = 0
    put_ns: array[int] = field(default_factory=lambda: array("q"))
    flush_ns: array[int] = field(default_factory=lambda: array("q"))

    def used_bytes(self) -> int:
        """Bytes of blobs, or of pages as they are."""
        if isinstance(self.store, CacheStore):
            return self.store.cache.stats().bytes_local
        return len(self.store.pages) * PAGE_SIZE

    def frames(self) -> int:
        """In use."""
        if isinstance(self.store, CacheStore):
            return self.store.cache.stats().frames_used
        return len(self.store.pages)

    def bear(self, count: int) -> None:
        """New pages under new keys; those that are refused are counted."""
        for key in range(self.births, self.births + count):
            page = self._content(key)
            start = perf_counter_ns()
            try:
                self.store.put(key, page)
                self.put_ns.append(perf_counter_ns() - start)
                self.keys.append(key)
            except CacheFullError:
                self.put_ns.append(perf_counter_ns() - start)
                self.refused += 1
        self.births += count

    def kill(self, victim: _Victim) -> None:
        """One page."""
        key = self.keys.pop(victim(len(self.keys), self.chance))
        start = perf_counter_ns()
        self.store.flush(key)
        self.flush_ns.append(perf_counter_ns() - start)

    def check(self) -> None:
        """Some of the living are what they were born as."""
        for key in self.chance.choices(self.keys, k=_CHECKED):
            expect(self.store.get(key), self._content(key), f"page {key}")

    def _content(self, key: int) -> memoryview:
        epoch = sum(first <= key for first in self.epochs) - 1
        pages = self.contents[epoch % len(self.contents)]
        return pages[key % len(pages)]


def _run(context: Context) -> Samples:
    victim, ratios = LIFETIMES[str(context.parameters["lifetime"])]
    frames = context.pages(_FRAMES, _FRAMES_LEAST)
    different = context.pages(_CONTENTS // len(ratios))
    contents = [
        page_views(map_made(context.scratch, different, ratio, seed=context.seed))
        for ratio in ratios
    ]
    before = anonymous_bytes()
    store = open_store(context.subject, frames * PAGE_SIZE)
    people = _Population(store, contents, random.Random(context.seed))
    while people.frames() < _FULL * frames and not people.refused:
        people.bear(min(_ROUND, frames // 8))
    filled = people.births
    _churn(people, victim, people.used_bytes(), int(filled * _CHURN))
    people.check()
    grown = max(0, anonymous_bytes() - before)
    samples: dict[str, float | list[float]] = {
        "put_pages_s": rates(people.put_ns[filled:]),
        "flush_pages_s": rates(people.flush_ns),
        "resident_bytes_page": grown / len(people.keys),
    }
    if isinstance(store, CacheStore):
        samples["refused_share"] = people.refused / people.births
        samples |= _compact(store)
        people.check()
    return samples


def _churn(people: _Population, victim: _Victim, bytes_wanted: int, births: int) -> None:
    """So many births, and deaths that keep the living at ``bytes_wanted``; the epochs share the
    births equally."""
    for _ in people.contents:
        people.epochs.append(people.births)
        end = people.births + births // len(people.contents)
        while people.births < end:
            people.bear(_ROUND)
            while people.used_bytes() > bytes_wanted:
                people.kill(victim)


def _compact(store: CacheStore) -> dict[str, float]:
    before = store.cache.stats()
    start = perf_counter_ns()
    store.cache.compact()
    took = perf_counter_ns() - start
    after = store.cache.stats()
    return {
        "frames_over_blobs_before": frames_over_blobs(before)["frames_over_blobs"],
        "frames_over_blobs_after": frames_over_blobs(after)["frames_over_blobs"],
        "compact_ms": took / 1e6,
        "moved_per_put": before.objects_moved / max(1, before.puts),
    }


WORKLOAD = Workload(
    "store-lifetime",
    (
        Figure("put_pages_s", "pages/s", Better.HIGHER, "New pages put while others die."),
        Figure("flush_pages_s", "pages/s", Better.HIGHER, "Pages flushed."),
        Figure("refused_share", "", Better.LOWER, "Share of puts refused for want of room."),
        Figure(
            "frames_over_blobs_before",
            "",
            Better.LOWER,
            "Bytes of frames over bytes of blobs at the end, before compaction.",
        ),
        Figure(
            "frames_over_blobs_after",
            "",
            Better.LOWER,
            "The same after compaction of the whole pool.",
        ),
        Figure("compact_ms", "ms", Better.LOWER, "Time of that compaction, in one call."),
        Figure(
            "moved_per_put",
            "",
            Better.LOWER,
            "Objects that compaction at the limit had moved before, a put.",
        ),
        RESIDENT_BYTES_PAGE,
    ),
    _run,
)
