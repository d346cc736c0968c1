"""Sums of samples: a round's value, means and spread over rounds.

Covers: the arithmetic. Does not cover: whether a difference means anything (``significance.py``).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ramster.bench.model import Better, Figure, Mean

__all__ = ["Spread", "gain_percent", "geometric_mean", "round_value", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds of a run."""

    rounds: int
    mean: float
    least: float
    most: float
    variation: float | None
    """Coefficient of variation: standard deviation by mean; None where it means nothing (fewer than
    two rounds, a mean of 0)."""


def round_value(samples: Sequence[float]) -> float:
    """What a round gave: the median of its samples, so that one interruption does not make it."""
    return statistics.median(samples)


def spread(values: Sequence[float], mean: Mean) -> Spread:
    """Mean, least, most and variation of the rounds' values; there is at least one."""
    middle = statistics.fmean(values)
    if mean is Mean.HARMONIC and min(values) >= 0:
        middle = statistics.harmonic_mean(values)
    variation = None
    if len(values) > 1 and middle != 0:
        variation = statistics.stdev(values) / abs(middle)
    return Spread(len(values), middle, min(values), max(values), variation)


def gain_percent(figure: Figure, base: float, new: float) -> float | None:
    """By how many percent of ``base`` the figure is better (negative: worse); None if ``base`` is 0
    and ``new`` is not, where no percentage says it."""
    if base == 0:
        return 0.0 if new == 0 else None
    change = 100 * (new - base) / abs(base)
    return change if figure.better is Better.HIGHER else -change


def geometric_mean(figure_ratios: Sequence[float]) -> float | None:
    """The mean of "so many times as good"; None without any."""
    ratios = [ratio for ratio in figure_ratios if ratio > 0 and math.isfinite(ratio)]
    return statistics.geometric_mean(ratios) if ratios else None
