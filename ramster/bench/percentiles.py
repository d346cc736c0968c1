"""Latencies summed up as people read them: p50, p95, p99 and the worst.

Covers: nearest-rank percentiles of one run's latencies, in microseconds, under figures' names. Does
not cover: summing up runs (``compare``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ramster.bench.model import Better, Figure

__all__ = ["latency_figures", "latency_samples"]

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


def latency_figures(phase: str, text: str) -> tuple[Figure, ...]:
    """The figures PHASE_p50_us, ..., PHASE_max_us; ``text`` says what one latency is of."""
    return tuple(
        Figure(f"{phase}_{name}_us", "us", Better.LOWER, f"{text} ({name}).") for name in _SHARES
    )


def latency_samples(phase: str, seconds: Sequence[float]) -> dict[str, float]:
    """Their values from at least one latency."""
    ordered = sorted(seconds)
    return {
        f"{phase}_{name}_us": ordered[math.ceil(share * len(ordered)) - 1] * 1e6
        for name, share in _SHARES.items()
    }
