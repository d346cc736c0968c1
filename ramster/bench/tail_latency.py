"""Latencies summed up with their tail: the median, and what one in a hundred or thousand exceeds.

Covers: nearest-rank percentiles of one run, in microseconds, and the figures they are reported
under. Does not cover: summing up runs (``compare``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ramster.bench.model import Better, Figure

__all__ = ["P50_P99", "P50_P99_P999", "tail_figures", "tail_samples"]

P50_P99 = {"p50": 0.50, "p99": 0.99}
P50_P99_P999 = {**P50_P99, "p999": 0.999}


def tail_figures(name: str, text: str, shares: dict[str, float] = P50_P99) -> tuple[Figure, ...]:
    """The figures NAME_p50_us, ...; ``text`` says what one latency is of, without a full stop."""
    return tuple(
        Figure(f"{name}_{share}_us", "us", Better.LOWER, f"{text} ({share}).") for share in shares
    )


def tail_samples(
    name: str, seconds: Sequence[float], shares: dict[str, float] = P50_P99
) -> dict[str, float]:
    """Their values, of at least one latency."""
    ordered = sorted(seconds)
    return {
        f"{name}_{share}_us": ordered[math.ceil(part * len(ordered)) - 1] * 1e6
        for share, part in shares.items()
    }
