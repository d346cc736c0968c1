"""What the ``store-*`` workloads measure with: latencies, rates, memory, frames.

Covers: percentiles of single calls, rates over parts of a run, the growth of this process, how well
frames are filled; and the figures that they go under. Does not cover: the workloads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import pairwise

from ramster.bench import process_use
from ramster.bench.model import Better, Figure
from zcache import PAGE_SIZE, CacheStats

__all__ = [
    "FRAMES_OVER_BLOBS",
    "RESIDENT_BYTES_PAGE",
    "anonymous_bytes",
    "expect",
    "frames_over_blobs",
    "latencies",
    "latency_figures",
    "page_views",
    "rates",
]

_PARTS = 4
"""Samples of a rate in one run."""

RESIDENT_BYTES_PAGE = Figure(
    "resident_bytes_page",
    "bytes",
    Better.LOWER,
    "Anonymous memory that the process grew by, a page stored: frames, index and all.",
)
FRAMES_OVER_BLOBS = Figure(
    "frames_over_blobs",
    "",
    Better.LOWER,
    "Bytes of frames over bytes of the blobs in them; 1 is a pool without a gap.",
)


def latency_figures(call: str) -> tuple[Figure, ...]:
    """The figures of ``latencies``."""
    return tuple(
        Figure(f"{call}_p{rank}_us", "us", Better.LOWER, f"{text} of single {call} calls.")
        for rank, text in ((50, "Median"), (99, "99th percentile"))
    )


def latencies(call: str, times_ns: Sequence[int]) -> dict[str, float]:
    """p50 and p99 (nearest rank) in microseconds; nothing where there were no calls."""
    ordered = sorted(times_ns)
    return {
        f"{call}_p{rank}_us": ordered[math.ceil(rank / 100 * len(ordered)) - 1] / 1000
        for rank in ((50, 99) if ordered else ())
    }


def rates(times_ns: Sequence[int], amount: float = 1.0) -> list[float]:
    """Of calls that did ``amount`` each: amounts a second, in each of four parts of the run."""
    parts = min(_PARTS, len(times_ns))
    cuts = [len(times_ns) * part // parts for part in range(parts + 1)] if parts else []
    return [
        (end - begin) * amount * 1e9 / max(1, sum(times_ns[begin:end]))
        for begin, end in pairwise(cuts)
    ]


def page_views(data: bytes | memoryview) -> list[memoryview]:
    """Each page of ``data``, not copied."""
    view = memoryview(data)
    return [view[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]


def expect(found: object, wanted: object, what: str) -> None:
    """Raise AssertionError unless the page that came back is the one that was put."""
    if found != wanted:
        raise AssertionError(f"{what}: not the bytes that were put")


def anonymous_bytes() -> int:
    """Anonymous memory of this process that is resident (RssAnon of /proc/self/status)."""
    return process_use.anonymous_bytes(os.getpid())


def frames_over_blobs(stats: CacheStats) -> dict[str, float]:
    """The figure, where there are blobs."""
    if not stats.bytes_local:
        return {}
    return {FRAMES_OVER_BLOBS.name: stats.frames_used * PAGE_SIZE / stats.bytes_local}
