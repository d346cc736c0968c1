"""How long operations took of late, from the histograms that a node shows.

Covers: reading histograms that anybody may have sent, their difference over the last answers,
quantiles. Does not cover: where they stand in the picture (``frame.py``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from ramster.histograms import quantile
from ramster.top.reading import number, numbers

__all__ = ["OPERATIONS", "Latencies", "Quantiles"]

OPERATIONS: dict[str, tuple[str, ...]] = {
    "put": ("put",),
    "get here": ("get_local",),
    "get away": ("get_remote",),
    "spill": ("spill",),
    "fetch": ("fetch",),
    "nbd read": ("nbd", "read"),
    "nbd write": ("nbd", "write"),
}
"""What is shown, and where it stands in the section ``latency``."""

ANSWERS_MAX = 11
"""Answers over which a difference is taken: ten intervals."""


class Quantiles(NamedTuple):
    """Seconds; half of all operations, and all but one in a hundred, took no longer."""

    p50_s: float
    p99_s: float


class _Counts(NamedTuple):
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


class Latencies:
    """The last histograms of one node."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[_Counts]] = {}

    def take(self, figures: Mapping[str, Any]) -> None:
        """An answer of the node; one that restarted begins anew."""
        for operation, path in OPERATIONS.items():
            found = _read(figures, path)
            seen = self._seen.setdefault(operation, deque(maxlen=ANSWERS_MAX))
            if found is None or (seen and not _follows(seen[-1], found)):
                seen.clear()
            if found is not None:
                seen.append(found)

    def of(self, operation: str) -> Quantiles | None:
        """Of the last answers, or since the node's start where none ended of late."""
        seen = self._seen.get(operation)
        if not seen:
            return None
        bounds, newest = seen[-1]
        late = [after - before for after, before in zip(newest, seen[0].counts, strict=True)]
        for counts in (late, newest):
            p50, p99 = (quantile(share, bounds, counts) for share in (0.5, 0.99))
            if p50 is not None and p99 is not None:
                return Quantiles(p50, p99)
        return None


def _follows(before: _Counts, after: _Counts) -> bool:
    """Whether a histogram is a later one of the same life of a node."""
    return before.bounds == after.bounds and all(
        old <= new for old, new in zip(before.counts, after.counts, strict=True)
    )


def _read(figures: Mapping[str, Any], path: tuple[str, ...]) -> _Counts | None:
    """A histogram; None where there is none, or one that makes no sense."""
    bounds = numbers(figures, "latency", *path, "bounds")
    counts = numbers(figures, "latency", *path, "counts")
    if not bounds or len(counts) != len(bounds) + 1:
        return None
    if number({"sum": sum(counts)}, "sum") is None or sorted(set(bounds)) != list(bounds):
        return None
    return _Counts(bounds, tuple(map(int, counts)))
