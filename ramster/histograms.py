"""Histograms with fixed buckets: how often a value fell where.

Covers: counting (one ``observe`` is a bisection and a few additions), the snapshot as JSON values,
quantiles by interpolation. Does not cover: what is observed (``timings.py``), Prometheus names
(``metrics/``). No locks: whoever observes and whoever reads are on one event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

__all__ = [
    "BATCH_PAGES",
    "DEVICE_SECONDS",
    "NETWORK_SECONDS",
    "STORE_SECONDS",
    "BatchHistogram",
    "Histogram",
    "quantile",
]


def _steps(first: int, last: int) -> tuple[float, ...]:
    """1, 2.5 and 5 times every power of ten from ``first`` on, and the ``last`` power itself."""
    powers = range(first, last)
    return (*(float(f"{step}e{n}") for n in powers for step in ("1", "2.5", "5")), 10.0**last)


STORE_SECONDS = _steps(-6, 1)
"""A page store: a get of one page that is here takes microseconds, one that waits for peers or for
room as long as the deadlines are (2 s and 5 s by default)."""

NETWORK_SECONDS = _steps(-4, 1)
"""Messages to peers: a round trip on loopback takes some hundred microseconds, a lost message its
deadline."""

DEVICE_SECONDS = _steps(-5, 1)
"""Requests to block devices: several pages each, and what the store waits for."""

BATCH_PAGES = tuple(2.0**n for n in range(13))
"""Pages at once: 1 to 4096, the powers of two; a request to a block device has at most 8192."""


class Histogram:
    """Values by bucket; ``bounds`` are the buckets' upper ends (inclusive), ascending."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket, not added up; the last one is of values above every bound."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def as_dict(self) -> dict[str, Any]:
        """A copy for JSON: ``count``, ``sum``, ``bounds`` and ``counts`` (one more than bounds)."""
        return {
            "count": sum(self.counts),
            "sum": round(self.sum, 9),
            "bounds": list(self.bounds),
            "counts": list(self.counts),
        }


_SIZES = 257
"""Sizes of batches that are counted each for itself; almost all are that small."""


class BatchHistogram:
    """Durations of batches (``bounds``) and their sizes (``BATCH_PAGES``), counted in one call: it
    is made for every read and write of a page. What can be found out later is not done then."""

    __slots__ = ("_large", "_second_counts", "_seconds", "_sizes", "bounds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._second_counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0
        self._sizes = [0] * _SIZES
        self._large = Histogram(BATCH_PAGES)

    def observe(self, seconds: float, pages: int) -> None:
        """Count one batch."""
        self._second_counts[bisect_left(self.bounds, seconds)] += 1
        self._seconds += seconds
        try:
            self._sizes[pages] += 1
        except IndexError:
            self._large.observe(pages)

    @property
    def durations(self) -> Histogram:
        """A copy: durations in seconds."""
        copy = Histogram(self.bounds)
        copy.counts[:] = self._second_counts
        copy.sum = self._seconds
        return copy

    @property
    def sizes(self) -> Histogram:
        """A copy: pages a batch."""
        copy = Histogram(BATCH_PAGES)
        copy.counts[:] = self._large.counts
        copy.sum = self._large.sum
        for pages, count in enumerate(self._sizes):
            if count:
                copy.counts[bisect_left(BATCH_PAGES, pages)] += count
                copy.sum += pages * count
        return copy


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """The value that ``share`` (0 to 1) of all are at most, as Prometheus' histogram_quantile.

    Values are taken to be spread evenly over their bucket, the first of which begins at 0. Above
    all bounds: the last bound. None: nothing was counted.
    """
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    below, low = 0, 0.0
    for high, count in zip(bounds, counts, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * max(0.0, rank - below) / count
        below += count
        low = high
    return bounds[-1]
