"""Whether a difference between two runs is more than chance.

Covers: the tests, and what many of them at once take. Does not cover: which values are compared
(``compare.py``).

The unit of replication is a round: samples within one process share its luck. Three choices, each
checked by simulation (tests/ramster/bench/test_significance.py) with noise as machines have it,
drift and heavy tails:

- Ratios, by their logarithms: noise is a share of the figure, not an amount.
- Student's t-test of the trimmed mean (Yuen; for pairs, Tukey and McLaughlin): with seven rounds
  or more, a fifth of them is left out at either end. One disturbed round does not hide a
  difference, nor make one. Rank and permutation tests are as robust, but with seven rounds no
  outcome has a p below 1/64, and none survives a correction for forty figures.
- Benjamini and Hochberg's correction: when nothing changed, the chance of any alarm at all is at
  most ``ALPHA``, as with Holm's; when a change slows many figures, as changes do, it finds them.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from ramster.errors import MissingExtraError

__all__ = ["ALPHA", "LEAST_ROUNDS", "Difference", "adjust", "paired", "unpaired", "weakest"]

ALPHA = 0.05
LEAST_ROUNDS = 3
"""With fewer, nothing is said."""

_TRIM = 0.2
_ROUNDS_TO_TRIM = 7
_SAME = 1e-9
"""Values that differ by a smaller share are the same number."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a test says."""

    change: float
    """By which share of the first the second is larger, as the test weighs rounds: 0.15 is 15 %
    more; infinite where the first is 0."""
    p: float
    """Chance of a difference this large or larger where there is none; not yet corrected."""


def paired(base: Sequence[float], new: Sequence[float]) -> Difference | None:
    """Of values measured side by side, round by round, in equal number; None for too few."""
    if len(base) < LEAST_ROUNDS:
        return None
    logarithms = min(*base, *new) > 0
    if logarithms:
        differences = [math.log(b / a) for a, b in zip(base, new, strict=True)]
        size = 1.0
    else:
        differences = [b - a for a, b in zip(base, new, strict=True)]
        size = max(map(abs, (*base, *new))) or 1.0
    mean, p = _one_sample(differences, size)
    return Difference(_change(mean, logarithms, base), p)


def unpaired(base: Sequence[float], new: Sequence[float]) -> Difference | None:
    """Of values of two runs that had nothing to do with each other; None for too few."""
    if min(len(base), len(new)) < LEAST_ROUNDS:
        return None
    logarithms = min(*base, *new) > 0
    one, two = ([math.log(v) if logarithms else v for v in row] for row in (base, new))
    mean, p = _two_samples(one, two, 1.0 if logarithms else max(map(abs, (*one, *two))) or 1.0)
    return Difference(_change(mean, logarithms, base), p)


def weakest(differences: Sequence[Difference]) -> Difference:
    """What all of several views of one difference agree on.

    The largest p, which is a valid test of "each view differs"; and the smallest change, less half
    of what the views are apart, because the truth may as well lie beyond them; none where they
    disagree about its sign.
    """
    p = max(one.p for one in differences)
    changes = [one.change for one in differences]
    least, most = (pick(changes, key=abs) for pick in (min, max))
    if min(changes) < 0 < max(changes):
        return Difference(0.0, p)
    if math.isinf(most):
        return Difference(least, p)
    sure = max(0.0, abs(least) - (abs(most) - abs(least)) / 2)
    return Difference(math.copysign(sure, most), p)


def adjust(ps: Sequence[float]) -> list[float]:
    """p values of one question asked of many figures, corrected for their number."""
    return [float(p) for p in _stats().false_discovery_control(ps, method="bh")] if ps else []


def _one_sample(differences: Sequence[float], size: float) -> tuple[float, float]:
    count = len(differences)
    cut = _cut(count)
    kept = sorted(differences)[cut : count - cut]
    mean = math.fsum(kept) / len(kept)
    if kept[-1] - kept[0] <= _SAME * size:
        return mean, _certain(mean, size)
    # Of the trimmed mean; with nothing left out it is Student's standard error.
    winsorized = [min(max(one, kept[0]), kept[-1]) for one in differences]
    freedom = len(kept) - 1
    error = statistics.stdev(winsorized) * math.sqrt((count - 1) / (len(kept) * freedom))
    return mean, float(2 * _stats().t.sf(abs(mean / error), freedom))


def _two_samples(one: Sequence[float], two: Sequence[float], size: float) -> tuple[float, float]:
    stats = _stats()
    trim = _TRIM if min(len(one), len(two)) >= _ROUNDS_TO_TRIM else 0.0
    means, flat = [], True
    for row in (one, two):
        cut = int(trim * len(row))
        kept = sorted(row)[cut : len(row) - cut]
        means.append(math.fsum(kept) / len(kept))
        flat = flat and kept[-1] - kept[0] <= _SAME * size
    mean = means[1] - means[0]
    if flat:
        return mean, _certain(mean, size)
    with warnings.catch_warnings():
        # Of values that are nearly the same in one of the two; the other's spread counts then.
        warnings.simplefilter("ignore", RuntimeWarning)
        return mean, float(stats.ttest_ind(two, one, equal_var=False, trim=trim).pvalue)


def _cut(count: int) -> int:
    return int(_TRIM * count) if count >= _ROUNDS_TO_TRIM else 0


def _certain(mean: float, size: float) -> float:
    """For figures without any noise, as sizes may be: what differs differs."""
    return 1.0 if abs(mean) <= _SAME * size else 0.0


def _change(mean: float, logarithms: bool, base: Sequence[float]) -> float:
    if logarithms:
        return math.expm1(mean)
    if mean == 0:
        return 0.0
    scale = abs(math.fsum(base) / len(base))
    return mean / scale if scale else math.copysign(math.inf, mean)


def _stats() -> ModuleType:
    try:
        import scipy.stats
    except ImportError as error:
        raise MissingExtraError(
            f"comparing needs scipy: pip install 'ramster[bench]' ({error})"
        ) from error
    stats: ModuleType = scipy.stats
    return stats
