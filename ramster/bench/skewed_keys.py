"""Which page is used next: uniformly, or by Zipf's law.

Covers: sequences of keys. Does not cover: what is done with them.
"""

from __future__ import annotations

import random
from itertools import accumulate

__all__ = ["ZIPF_EXPONENT", "uniform", "zipf"]

ZIPF_EXPONENT = 0.99
"""The exponent of YCSB's zipfian workloads."""


def uniform(count: int, keys: int, chance: random.Random) -> list[int]:
    """``count`` keys of 0 .. ``keys`` - 1, each as likely as any."""
    return chance.choices(range(keys), k=count)


def zipf(
    count: int, keys: int, chance: random.Random, exponent: float = ZIPF_EXPONENT
) -> list[int]:
    """``count`` keys of 0 .. ``keys`` - 1; the n-th in popularity is 1 / n ** ``exponent`` as
    likely as the first. Popular keys lie scattered over the range."""
    weights = list(accumulate(rank**-exponent for rank in range(1, keys + 1)))
    scattered = chance.sample(range(keys), keys)
    return chance.choices(scattered, cum_weights=weights, k=count)
