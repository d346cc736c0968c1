"""Sizes, durations and shares as people write them.

Covers: text to numbers and back. Does not cover: which setting wants which (``config.py``).

A size is whole bytes: ``4096``, ``512K``, ``512KiB``, ``256MiB``, ``1.5GiB``; every suffix is a
power of 1024. ``KB``, ``MB`` and the like are refused, because half of the world reads them as
powers of 1000. A duration is seconds: ``2``, ``0.5``, ``2s``, ``500ms``, ``1.5min``. Parsing
takes what rendering gave (and numbers) back to the same number.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

__all__ = [
    "format_duration",
    "format_size",
    "parse_count",
    "parse_duration",
    "parse_share",
    "parse_size",
    "show_size",
]

_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,6})?)\s*(?:([KMGT])(?:iB)?|B)?", re.ASCII | re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|min|h)?", re.ASCII)
_DURATION_FACTORS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
}


def parse_size(value: object) -> int:
    """Bytes of a size. Raises ValueError, also for fractions of a byte and negative numbers."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str):
        raise ValueError(value)
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(value)
    exact = Decimal(match[1]) * _SIZE_FACTORS[(match[2] or "").upper()]
    if exact != exact.to_integral_value():
        raise ValueError(value)
    return int(exact)


def format_size(size: int) -> str:
    """The shortest exact way to write a size: ``268435456`` is ``256MiB``, ``4097`` stays
    ``4097``."""
    for suffix in ("T", "G", "M", "K"):
        factor = _SIZE_FACTORS[suffix]
        if size >= factor and size % factor == 0:
            return f"{size // factor}{suffix}iB"
    return str(size)


def show_size(size: float) -> str:
    """A size for people, rounded: ``1.4 GiB``."""
    for suffix in ("T", "G", "M", "K"):
        factor = _SIZE_FACTORS[suffix]
        if size >= factor:
            return f"{size / factor:.1f} {suffix}iB"
    return f"{size:.0f} B"


def parse_duration(value: object, *, zero: bool = False) -> float:
    """Seconds of a duration. Raises ValueError, also for negative ones, and for zero unless
    allowed."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(value)
        seconds = float(Decimal(match[1]) * _DURATION_FACTORS[match[2] or "s"])
    else:
        raise ValueError(value)
    if not (math.isfinite(seconds) and (seconds > 0 or (zero and seconds == 0))):
        raise ValueError(value)
    return seconds


def format_duration(seconds: float) -> str:
    """A duration with its unit, exact: ``0.5`` is ``500ms``, ``2.0`` is ``2s``."""
    milliseconds = Decimal(repr(seconds)) * 1000
    if 0 < seconds < 1 and milliseconds == milliseconds.to_integral_value():
        return f"{int(milliseconds)}ms"
    plain = format(Decimal(repr(seconds)), "f")
    return f"{plain.removesuffix('.0')}s"


def parse_share(value: object) -> float:
    """A number above 0 and at most 1. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)
    share = float(value)
    if not 0 < share <= 1:
        raise ValueError(value)
    return share


def parse_count(value: object, *, least: int = 1, most: int = 2**63 - 1) -> int:
    """A whole number within bounds. Raises ValueError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(value)
    return value
