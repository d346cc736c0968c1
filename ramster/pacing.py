"""How much may be on its way to each lender: a window that follows its answers.

Covers: one number of bytes for each lender, raised by quick answers, lowered by slow and missing
ones. Does not cover: what all spills together may hold (``ClusterConfig``), which lender has room
(``membership.py``).

A lender or a path that cannot keep up shows first as growing round trips. The window follows the
idea of TCP Vegas (L. Brakmo, L. Peterson, 1995): it grows by half a batch with every answer about
as quick as the quickest, stays between, and is halved by one several times as slow; a missing
answer brings it down to one batch. So one slow lender holds up one batch, not all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ramster.lenders import Lender

__all__ = ["SpillPacer"]

QUICK: Final = 4.0
SLOW: Final = 16.0
"""Round trips up to QUICK times the quickest one raise the window, from SLOW times on they lower
it. Wide apart, because a busy event loop alone makes answers several times later."""

SLOW_S_MIN: Final = 0.05
"""No answer within this counts as slow, however quick the quickest was."""

QUICKEST_DRIFT: Final = 1.02
"""The quickest round trip is forgotten by 2 % an answer, so that a path that changed is learnt."""


@dataclass(slots=True)
class _Window:
    bytes_max: int
    in_flight: int = 0
    quickest_s: float = float("inf")


class SpillPacer:
    """Windows of one node. ``batch_bytes``: the least window; ``window_bytes_max``: the most."""

    def __init__(self, batch_bytes: int, window_bytes_max: int) -> None:
        self._batch_bytes = batch_bytes
        self._window_bytes_max = window_bytes_max
        self._windows: dict[Lender, _Window] = {}

    def admits(self, lender: Lender, size: int) -> bool:
        """Whether so many bytes more may go; one batch at a time always may."""
        window = self._windows.get(lender)
        return (
            window is None or window.in_flight == 0 or window.in_flight + size <= window.bytes_max
        )

    def window_bytes(self, lender: Lender) -> int:
        """What may be on its way to a lender at once."""
        window = self._windows.get(lender)
        return self._window_bytes_max if window is None else window.bytes_max

    def sent(self, lender: Lender, size: int) -> None:
        """A batch is on its way."""
        window = self._windows.get(lender)
        if window is None:
            window = self._windows[lender] = _Window(self._window_bytes_max)
        window.in_flight += size

    def answered(self, lender: Lender, size: int, took_s: float) -> None:
        """It was answered, after so long."""
        window = self._windows.get(lender)
        if window is None:
            return
        window.in_flight -= size
        window.quickest_s = min(window.quickest_s * QUICKEST_DRIFT, took_s)
        if took_s <= max(QUICK * window.quickest_s, SLOW_S_MIN):
            wanted = window.bytes_max + self._batch_bytes // 2
            window.bytes_max = min(self._window_bytes_max, wanted)
        elif took_s >= SLOW * window.quickest_s:
            window.bytes_max = max(self._batch_bytes, window.bytes_max // 2)

    def failed(self, lender: Lender, size: int) -> None:
        """It was not answered."""
        window = self._windows.get(lender)
        if window is not None:
            window.in_flight -= size
            window.bytes_max = self._batch_bytes

    def forget(self, lender: Lender) -> None:
        """The lender is gone; what is still on its way there counts no more."""
        self._windows.pop(lender, None)
