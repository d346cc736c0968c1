"""Numbers as people read them in tables.

Covers: digits and thousands, percentages, p values, units. Does not cover: tables.
"""

from __future__ import annotations

import math

__all__ = ["show_factor", "show_number", "show_p", "show_percent"]


def show_number(value: float) -> str:
    """Four digits or all whole ones: ``182 345``, ``12.35``, ``0.01234``, ``1.2e-05``."""
    size = abs(value)
    if value == 0 or (size >= 1e-4 and value == int(value) and size < 1000):
        return f"{value:.0f}"
    if size >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    if size < 1e-4:
        return f"{value:.1e}"
    return f"{value:.{3 - math.floor(math.log10(size))}f}"


def show_percent(value: float | None, signed: bool = True) -> str:
    """``+12.3 %``; a dash for None."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 1000 else 1
    value = round(value, digits)
    if value == 0:
        return "0.0 %"  # without a sign, which would say more than there is
    return f"{value:{'+' if signed else ''}.{digits}f} %"


def show_p(p: float | None) -> str:
    """``0.012``, ``<0.001``; a dash for None."""
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def show_factor(ratio: float) -> str:
    """``1.25 x``: so many times as good."""
    return f"{ratio:.3g} x" if ratio < 100 else f"{ratio:.0f} x"
