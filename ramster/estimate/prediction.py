"""What a cache would need for all pages, from what it needs for a sample of them.

Covers: putting the sample into a cache, sizes and times a page; frames, index and what would leave
for the whole, with the error of sampling. Does not cover: which pages (``sampling.py``), showing it
(``report.py``).

Frames do not grow in proportion: each size class has one zspage that is not full, which is much in
a small pool and nothing in a large one. So counts of each class are scaled, not frames, and
zsmalloc's own table says how many frames so many objects take. For a sample that is everything
this is what the cache took. It holds for pages that are put once; a pool whose pages come and go
has gaps until it is compacted.
"""

from __future__ import annotations

import math
import random
import time
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from zcache import PAGE_SIZE, Cache, CacheConfig, Encoding, PoolKind
from zcache.size_classes import SizeClassTable

__all__ = [
    "COLUMN_BYTES",
    "CodecMeasure",
    "Interval",
    "Prediction",
    "count_zeros",
    "measure",
    "predict",
]

COLUMN_BYTES = 27
"""What travels with each page of a spill beside its payload: key, generation and checksum of 8
bytes, a length of 2, an encoding of 1 (docs/wire.md)."""

HEADROOM = 0.90
"""The share of the suggested limit that is used: the default high watermark, above which pages are
spilled."""

_DRAWS = 2_000_000
"""Draws of all rounds of the bootstrap together, at most 200 rounds and at least 20."""

_SLOPE_PAGES = (2048, 10240)
"""Between these sizes of a cache it is seen what one page more takes beside the frames."""

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and between which two 95 of 100 such samples would put it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CodecMeasure:
    """A sample in a real cache."""

    codec: str
    pages: int
    same_filled: int
    """Pages of one repeated word: no frame, nothing to spill."""
    incompressible: int
    """Pages that are stored as they are."""
    lengths: array[int]
    """Bytes of each other page's blob, 1..4096; in no order."""
    frames: int
    metadata_bytes: int
    """Of index and columns, with this sample."""
    metadata_page_bytes: float
    """Of these for one page more."""
    put_us: float
    """Median time of a put of one page, microseconds, on this machine now."""
    get_us: float
    """The same of a get."""

    @property
    def compressed_bytes(self) -> int:
        """Bytes of all blobs."""
        return sum(self.lengths)

    @property
    def ratio(self) -> float | None:
        """Bytes of pages over bytes of their blobs, same-filled pages left out; None without any
        other."""
        size = self.compressed_bytes
        return len(self.lengths) * PAGE_SIZE / size if size else None

    def all_lengths(self) -> list[int]:
        """Bytes a page, ascending; 0 for a same-filled one."""
        return [0] * self.same_filled + sorted(self.lengths)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What all pages would take, in bytes."""

    codec: str
    pool: Interval
    """Frames: what counts against ``--pool-limit``."""
    compressed: Interval
    """Payload of all pages that can leave."""
    spill_bytes: float
    """What the network would move if they all did, columns included."""
    metadata_bytes: float
    """Index and columns, beside the pool. They grow by steps, so take it as about."""
    saved_bytes: float
    """Logical bytes less pool and index."""
    pool_limit: int
    """A limit with room for the upper end of the interval under the default high watermark."""


def count_zeros(pages: bytearray) -> int:
    """Pages of zeros."""
    zeros = bytes(PAGE_SIZE)
    view = memoryview(pages)
    return sum(view[at : at + PAGE_SIZE] == zeros for at in range(0, len(pages), PAGE_SIZE))


def measure(pages: bytearray, codec: str) -> CodecMeasure:
    """Put all pages into a cache of the backend in use, get them back, and look at the blobs.

    Raises ConfigError for a codec that there is not.
    """
    count = len(pages) // PAGE_SIZE
    # Each class may have one zspage that is not full.
    cache = Cache(CacheConfig(pool_bytes_max=(count + 4096) * PAGE_SIZE, codec=codec))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    view = memoryview(pages)
    clock = time.perf_counter_ns
    puts, gets = array("q"), array("q")
    for number in range(count):
        page = view[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
        before = clock()
        cache.put(pool, 1, number, page)
        puts.append(clock() - before)
    stats = cache.stats()
    for number in range(count):
        before = clock()
        cache.get(pool, 1, number)
        gets.append(clock() - before)
    lengths, incompressible = _blobs(cache, stats.pages_local)
    return CodecMeasure(
        codec=codec,
        pages=count,
        same_filled=stats.pages_same_filled,
        incompressible=incompressible,
        lengths=lengths,
        frames=stats.frames_used,
        metadata_bytes=stats.metadata_bytes,
        metadata_page_bytes=_metadata_slope(pages, codec),
        put_us=_median_us(puts),
        get_us=_median_us(gets),
    )


def _metadata_slope(pages: bytearray, codec: str) -> float:
    """Bytes of index and columns for one page more; what a cache has anyway would hide it."""
    count = len(pages) // PAGE_SIZE
    cache = Cache(CacheConfig(pool_bytes_max=(_SLOPE_PAGES[1] + 4096) * PAGE_SIZE, codec=codec))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    view = memoryview(pages)
    sizes = []
    done = 0
    for until in _SLOPE_PAGES:
        while done < until:
            batch = min(until - done, count, 64)
            start = done % count if done % count + batch <= count else 0
            payload = view[start * PAGE_SIZE : (start + batch) * PAGE_SIZE]
            cache.put_many(pool, 1, range(done, done + batch), payload)
            done += batch
        sizes.append(cache.stats().metadata_bytes)
    return (sizes[1] - sizes[0]) / (_SLOPE_PAGES[1] - _SLOPE_PAGES[0])


def _blobs(cache: Cache, expected: int) -> tuple[array[int], int]:
    """Lengths of all blobs, and how many are pages as they were: what tickets of spills say."""
    lengths = array("H")
    raw = 0
    while ticket := cache.begin_spill(64 * PAGE_SIZE * 16):
        lengths += ticket.blobs.lengths
        raw += ticket.blobs.encodings.count(Encoding.RAW)
        cache.finish_spill(ticket, 1)
    assert len(lengths) == expected, "every page that is not same-filled can leave"
    return lengths, raw


def _median_us(times_ns: array[int]) -> float:
    return sorted(times_ns)[len(times_ns) // 2] / 1000


def predict(
    measured: CodecMeasure, pages_total: int, rng: random.Random, *, chain_frames_max: int = 8
) -> Prediction:
    """What ``pages_total`` pages would take, of which the sample was drawn at random."""
    table = SizeClassTable(chain_frames_max)
    scale = pages_total / measured.pages
    classes = _class_counts(measured.lengths, table)
    pool = _frames(classes, scale, table) * PAGE_SIZE
    compressed = measured.compressed_bytes * scale
    pools, sizes = _bootstrap(measured, scale, table, rng)
    # Of a sample that is half of everything, only the other half is unknown.
    known = math.sqrt(max(0.0, 1 - 1 / scale))
    tails = _tails(classes, table) * PAGE_SIZE if pages_total > measured.pages else 0.0
    pool_interval = _interval(pool, pools, known, tails)
    more = pages_total - measured.pages
    metadata = measured.metadata_bytes + measured.metadata_page_bytes * more
    steps = max(1, math.ceil(pool_interval.high / HEADROOM / _MIB))
    return Prediction(
        codec=measured.codec,
        pool=pool_interval,
        compressed=_interval(compressed, sizes, known),
        spill_bytes=compressed + len(measured.lengths) * scale * COLUMN_BYTES,
        metadata_bytes=metadata,
        saved_bytes=pages_total * PAGE_SIZE - pool - metadata,
        pool_limit=steps * _MIB,
    )


def _class_counts(lengths: array[int], table: SizeClassTable) -> Mapping[int, int]:
    classes = table.class_of_length
    counts: Counter[int] = Counter()
    for length, times in Counter(lengths).items():
        counts[classes[length]] += times
    return counts


def _frames(counts: Mapping[int, int], scale: float, table: SizeClassTable) -> int:
    frames = 0
    for number, count in counts.items():
        size_class = table.classes[number]
        # Whole objects: part of one would begin another zspage, too often where those hold few.
        frames += -(-round(count * scale) // size_class.objects) * size_class.frames
    return frames


def _tails(counts: Mapping[int, int], table: SizeClassTable) -> float:
    """Frames by which the last zspages of all classes may be fuller or emptier than foretold.

    Each is as likely full as empty: a variance of frames ** 2 / 12, to be added up.
    """
    return 1.96 * math.sqrt(sum(table.classes[number].frames ** 2 / 12 for number in counts))


def _bootstrap(
    measured: CodecMeasure, scale: float, table: SizeClassTable, rng: random.Random
) -> tuple[list[float], list[float]]:
    """Pools and compressed bytes by samples drawn from the sample, with replacement; ascending."""
    lengths = measured.all_lengths()
    pools, sizes = [], []
    for _ in range(max(20, min(200, _DRAWS // len(lengths)))):
        drawn = Counter(rng.choices(lengths, k=len(lengths)))
        drawn.pop(0, None)
        counts: Counter[int] = Counter()
        for length, times in drawn.items():
            counts[table.class_of_length[length]] += times
        pools.append(float(_frames(counts, scale, table) * PAGE_SIZE))
        sizes.append(scale * sum(length * times for length, times in drawn.items()))
    return sorted(pools), sorted(sizes)


def _interval(value: float, drawn: list[float], known: float, more: float = 0.0) -> Interval:
    """From what the bootstrap drew; ``more``: an error of its own beside that of the sample."""
    low = drawn[math.floor(0.025 * (len(drawn) - 1))]
    high = drawn[math.ceil(0.975 * (len(drawn) - 1))]
    return Interval(
        value,
        max(0.0, value - math.hypot(known * max(0.0, value - low), more)),
        value + math.hypot(known * max(0.0, high - value), more),
    )
