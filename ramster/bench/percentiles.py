"""Latencies summed up as people read them: p50, p95, p99 and the worst.

Covers: nearest-rank percentiles of one run's latencies, in microseconds, under figures' names. Does
not cover: summing up runs (``compare``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ramster.bench.model import Figure
from ramster.bench.tail_latency import tail_figures, tail_samples

__all__ = ["latency_figures", "latency_samples"]

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}


def latency_figures(phase: str, text: str) -> tuple[Figure, ...]:
    """The figures PHASE_p50_us, ..., PHASE_max_us; ``text`` says what one latency is of."""
    return tail_figures(phase, text, _SHARES)


def latency_samples(phase: str, seconds: Sequence[float]) -> dict[str, float]:
    """Their values from at least one latency."""
    return tail_samples(phase, seconds, _SHARES)
