"""A node's last minutes as small numbers: what ``/history`` gives, for charts.

Covers: which figures are sampled, rates between samples, how often and how many are kept. Does not
cover: the figures (``figures.py``), charts (``page/``).

One sample takes what one look at ``/stats`` takes: 0.2 ms with a million pages, measured, and more
with many objects or peers. Should it take long, samples become rare, down to one a minute, so that
they take no more than a thousandth of the node's time up to there. Taking is measured in time of
the processor: a sample during which the thread had to wait is none that cost much.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import Any

from ramster.clock import Clock
from ramster.figures import Figures

__all__ = ["COLUMNS", "History"]

INTERVAL_S = 2.0
SAMPLES_MAX = 300
"""Ten minutes at that interval: 20 numbers each, some 70 KiB."""

TIME_SHARE_MAX = 0.001
PAUSE_MAX_S = 60.0

_GAUGES: dict[str, tuple[str, ...]] = {
    "pool_used_bytes": ("pool", "used_bytes"),
    "pool_limit_bytes": ("pool", "limit_bytes"),
    "resident_bytes": ("accounting", "resident", "total"),
    "local_pages": ("pages", "local"),
    "same_filled_pages": ("pages", "same_filled"),
    "in_transit_pages": ("pages", "in_transit"),
    "away_pages": ("pages", "away"),
    "unreachable_pages": ("pages", "unreachable"),
    "lost_pages": ("pages", "lost"),
    "foreign_pages": ("pages", "foreign"),
}
"""Column -> where it is in the figures."""

_RATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "puts_per_s": (("cache", "puts"),),
    "gets_per_s": (("cache", "gets"),),
    "hits_per_s": (("cache", "get_hits"), ("cache", "gets_away")),
    "spilled_pages_per_s": (("cluster", "spill_pages"), ("writeback", "pages_written")),
    "spilled_bytes_per_s": (("cluster", "spill_bytes"), ("writeback", "bytes_written")),
    "fetched_pages_per_s": (("cluster", "pages_fetched"), ("writeback", "pages_read")),
    "adopted_pages_per_s": (("cache", "foreign_adopted"),),
}
"""Column -> counters whose sum it is the rate of."""

COLUMNS: tuple[str, ...] = ("uptime_s", *_GAUGES, *_RATES, "late_s")
"""What a sample holds, in order. ``late_s``: how much later than due it was taken, which is how
long the node's event loop was busy with something else, or stood still."""


class History:
    """Samples of ``figures``, taken while ``run`` runs.

    ``spent``: seconds of processor time that the thread on which it runs has taken.
    """

    def __init__(
        self,
        figures: Callable[[], Figures],
        clock: Clock,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        self._figures = figures
        self._clock = clock
        self._spent = spent
        self._samples: deque[array[float]] = deque(maxlen=SAMPLES_MAX)
        self._before: tuple[float, list[float]] | None = None
        """Time and counters of the last sample."""

    async def run(self) -> None:
        """Take samples until cancelled."""
        due = self._clock.now()
        while True:
            began, spent = self._clock.now(), self._spent()
            self._take(began, late_s=began - due)
            took = self._spent() - spent
            pause = min(max(INTERVAL_S, took / TIME_SHARE_MAX), PAUSE_MAX_S)
            due = began + pause
            await self._clock.sleep(max(0.0, due - self._clock.now()))

    def _take(self, now: float, late_s: float) -> None:
        figures = self._figures()
        counters = [sum(_at(figures, path) for path in paths) for paths in _RATES.values()]
        before, self._before = self._before, (now, counters)
        if before is None or now <= before[0]:
            rates = [0.0] * len(counters)
        else:
            passed = now - before[0]
            rates = [
                max(0.0, new - old) / passed for new, old in zip(counters, before[1], strict=True)
            ]
        gauges = [_at(figures, path) for path in _GAUGES.values()]
        self._samples.append(array("d", [figures["uptime_s"], *gauges, *rates, late_s]))

    def as_dict(self) -> dict[str, Any]:
        """``{"interval_s", "kept_s", "columns", "samples"}``; a sample is a row, the oldest first.

        The first sample of a node has rates of 0. ``kept_s`` holds for samples each interval: where
        they are rare, there are older ones.
        """
        return {
            "interval_s": INTERVAL_S,
            "kept_s": INTERVAL_S * SAMPLES_MAX,
            "columns": list(COLUMNS),
            "samples": [[_short(value) for value in sample] for sample in self._samples],
        }


def _at(figures: Figures, path: tuple[str, ...]) -> float:
    """The number at a path; 0 for parts that do not run."""
    value: Any = figures
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return 0.0 if value is None else float(value)


def _short(value: float) -> float:
    """Whole numbers as such, others rounded: the answer stays small."""
    return int(value) if value.is_integer() else round(value, 3)
