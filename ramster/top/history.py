"""What the last answers come to: the newest figures of each node, and rates from their counters.

Covers: differences of counters, restarts, nodes that come and go, the age of the picture. Does not
cover: asking (``source.py``), showing (``frame.py``). No clock: times come in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ramster.top.latency import Latencies
from ramster.top.reading import number, safe, section, text

__all__ = ["COUNTERS", "History", "Track", "rise"]

SPARK_SAMPLES = 60
"""Rates kept for small charts, oldest first."""

WINDOW_SAMPLES = 10
"""Intervals over which shares of hits are taken."""

PASSED_S_MIN = 0.001
"""Shortest time that a rate is taken over, whatever a node says."""

NODES_MAX = 256
"""Nodes of one answer that are looked at."""

COUNTERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "puts": (("cache", "puts"),),
    "gets": (("cache", "gets"),),
    "hits": (("cache", "get_hits"),),
    "away": (("cache", "gets_away"),),
    "misses": (("cache", "get_misses"),),
    "spill_pages": (("cluster", "spill_pages"), ("writeback", "pages_written")),
    "spill_bytes": (("cluster", "spill_bytes"), ("writeback", "bytes_written")),
    "fetch_pages": (("cluster", "pages_fetched"), ("writeback", "pages_read")),
    "fetch_bytes": (("cluster", "fetch_bytes"), ("writeback", "bytes_read")),
}
"""Rates that are shown, and where the counters stand whose sum they are of."""


def rise(before: float, after: float) -> float:
    """By how much a counter rose. One that fell began anew: it rose to what it is, at least."""
    return after - before if after >= before else after


@dataclass(slots=True)
class Track:
    """One node through time."""

    name: str
    address: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The newest ones; empty while it has never answered."""
    answers: bool = False
    state: str = ""
    reason: str = ""
    """What the asked node says of one that does not answer."""
    at: float = 0.0
    """When ``figures`` came."""
    rates: dict[str, float] = field(default_factory=dict)
    """By counter, a second; without an entry where there is no counter, or no earlier answer."""
    sparks: dict[str, deque[float]] = field(default_factory=dict)
    window: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=WINDOW_SAMPLES))
    """Rises of the last intervals."""
    latencies: Latencies = field(default_factory=Latencies)
    _counts: dict[str, float] = field(default_factory=dict)

    def share(self, part: str, *of: str) -> float | None:
        """``part`` over the sum of counters ``of``, of late, or since the start of the node."""
        for counts in (self._recent(), self._counts):
            whole = sum(counts.get(name, 0.0) for name in of)
            if whole > 0:
                return counts.get(part, 0.0) / whole
        return None

    def _recent(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for rises in self.window:
            for name, pages in rises.items():
                total[name] = total.get(name, 0.0) + pages
        return total

    def take(self, figures: Mapping[str, Any], at: float) -> None:
        """An answer of this node."""
        counts = _read(figures)
        passed_s = self._passed_s(figures, at)
        if passed_s == 0:
            return  # the same once more: the asked node keeps answers for a moment
        if self._counts:
            rises = {
                name: rise(self._counts[name], count)
                for name, count in counts.items()
                if name in self._counts
            }
            self.window.append(rises)
            self.rates = {name: pages / passed_s for name, pages in rises.items()}
            for name, rate in self.rates.items():
                self.sparks.setdefault(name, deque(maxlen=SPARK_SAMPLES)).append(rate)
        self.figures, self.at, self.answers = figures, at, True
        self.state, self.reason = text(figures, "state"), ""
        self._counts = counts
        self.latencies.take(figures)

    def _passed_s(self, figures: Mapping[str, Any], at: float) -> float:
        """Seconds between the figures before and these, by the node's own clock if it tells."""
        before, after = number(self.figures, "uptime_s"), number(figures, "uptime_s")
        if before is None or after is None:
            return max(PASSED_S_MIN, at - self.at)
        if self.answers and before == after:
            return 0
        return max(PASSED_S_MIN, rise(before, after))

    def miss(self, entry: Mapping[str, Any]) -> None:
        """The asked node has no answer of this one."""
        self.answers, self.rates = False, {}
        self.state, self.reason = text(entry, "state"), text(entry, "reason")
        self.address = text(entry, "address") or self.address


def _read(figures: Mapping[str, Any]) -> dict[str, float]:
    counts = {}
    for name, paths in COUNTERS.items():
        found = [count for path in paths if (count := number(figures, *path)) is not None]
        if found:
            counts[name] = sum(found)
    return counts


class History:
    """The cluster as it was last seen, and how long ago."""

    def __init__(self) -> None:
        self.asked = ""
        """Name of the node that is asked."""
        self.tracks: dict[str, Track] = {}
        """The nodes of the last answer, in its order."""
        self.taken_at: float | None = None
        """When the last answer came."""
        self.failing_since: float | None = None
        self.failure = ""
        """Why there is no answer now; empty while there is."""

    @property
    def has_rates(self) -> bool:
        """Whether some node has been seen twice."""
        return any(track.rates for track in self.tracks.values())

    def take(self, answer: Mapping[str, Any], at: float) -> None:
        """An answer: ``{"asked": NAME, "nodes": [...]}``."""
        tracks: dict[str, Track] = {}
        nodes = answer.get("nodes")
        for entry in (nodes if isinstance(nodes, list) else [])[:NODES_MAX]:
            if isinstance(entry, dict):
                name = self._name(entry, tracks)
                track = self.tracks.get(name) or Track(name)
                if section(entry, "pages"):
                    track.take(entry, at)
                else:
                    track.miss(entry)
                tracks[name] = track
        self.asked = text(answer, "asked")
        self.tracks, self.taken_at = tracks, at
        self.failing_since, self.failure = None, ""

    def fail(self, reason: str, at: float) -> None:
        """No answer; the picture stays, and grows old."""
        if self.failing_since is None:
            self.failing_since = at
        self.failure = safe(reason)

    def _name(self, entry: Mapping[str, Any], taken: Mapping[str, Track]) -> str:
        name = wanted = text(entry, "name") or text(entry, "address") or "?"
        number = 2
        while name in taken:
            name, number = f"{wanted}#{number}", number + 1
        return name
