"""Tells in the log what only counters show: when pages begin and cease to move, when writes find
no room, when pages are lost.

Covers: turning rises of counters into events, a few lines for any number of pages. Does not cover:
counting (each part counts its own), events of single peers and leases (told where they happen).

Looking once a second costs the parts themselves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ramster.clock import Clock
from ramster.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ramster.counters import ClusterCounters
    from ramster.writeback import WritebackCounters

__all__ = ["Chronicle", "Counts", "Moved", "counts_of"]

LOOK_EVERY_S: Final = 1.0

QUIET_S: Final = 5.0
"""A flow that stands still for so long has ended."""

log = EventLog(__name__)


class Moved(NamedTuple):
    """How much a flow has moved since the start."""

    pages: int
    bytes: int | None
    """Compressed; None where they are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters at one moment; they only rise."""

    puts_refused: int = 0
    """Writes that found no room."""
    pages_lost: int = 0
    """Pages of reads that could not be had."""
    pages_corrupt: int = 0
    """Copies that failed their check and were not served."""
    flows: dict[str, Moved] = field(default_factory=dict)
    """By name."""


def counts_of(counters: ClusterCounters, file: WritebackCounters | None) -> Counts:
    """Those of a node with a peer layer, and perhaps a write-back file."""
    flows = {
        "spill": Moved(counters.spill_pages, counters.spill_bytes),
        "evacuation": Moved(counters.pages_evacuated, None),
        "rebuild": Moved(counters.pages_rebuilt, None),
        "repatriation": Moved(counters.pages_repatriated, None),
    }
    if file is not None:
        flows["write-back"] = Moved(file.pages_written, file.bytes_written)
    return Counts(
        puts_refused=counters.puts_refused,
        pages_lost=counters.pages_lost,
        pages_corrupt=counters.pages_corrupt,
        flows=flows,
    )


class _Episode:
    """A time in which a count rises again and again."""

    def __init__(self, start: Moved) -> None:
        self._before = self._last = start
        self._began_at: float | None = None
        self._moved_at = 0.0

    def begins(self, count: Moved, now: float) -> bool:
        """Take note of the count; whether it rises for the first time after a quiet."""
        if count == self._last:
            return False
        if self._began_at is not None:
            self._last, self._moved_at = count, now
            return False
        self._before, self._last = self._last, count
        self._began_at = self._moved_at = now
        return True

    def ends(self, now: float) -> tuple[Moved, float] | None:
        """What was moved and in how many seconds, when it has been quiet for long enough."""
        if self._began_at is None or now - self._moved_at < QUIET_S:
            return None
        took_s, self._began_at = self._moved_at - self._began_at, None
        last, before = self._last, self._before
        size = None if last.bytes is None or before.bytes is None else last.bytes - before.bytes
        return Moved(last.pages - before.pages, size), took_s


class Chronicle:
    """The story of one node. ``count`` gives its counters at the moment."""

    def __init__(self, count: Callable[[], Counts], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._last = Counts()
        self._refusals = _Episode(Moved(0, None))
        self._flows: dict[str, _Episode] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Tell what has happened since the last look."""
        counts, now = self._count(), self._clock.now()
        self._tell_refusals(Moved(counts.puts_refused, None), now)
        for flow, moved in counts.flows.items():
            self._tell_flow(flow, moved, now)
        if lost := counts.pages_lost - self._last.pages_lost:
            log.error(
                "reads_failed", "{pages} pages that were read are lost or out of reach", pages=lost
            )
        if corrupt := counts.pages_corrupt - self._last.pages_corrupt:
            log.warning(
                "copies_corrupt",
                "{pages} fetched copies failed their check and were not served",
                pages=corrupt,
            )
        self._last = counts

    def _tell_refusals(self, count: Moved, now: float) -> None:
        if self._refusals.begins(count, now):
            log.warning(
                "store_full",
                "no room: writes are refused ({refused} so far)",
                refused=count.pages,
            )
        elif ended := self._refusals.ends(now):
            refused, took_s = ended
            log.info(
                "store_full_over",
                "no write was refused of late; {refused} were in {took_s:.0f} s",
                refused=refused.pages,
                took_s=took_s,
            )

    def _tell_flow(self, flow: str, moved: Moved, now: float) -> None:
        episode = self._flows.get(flow)
        if episode is None:
            episode = self._flows[flow] = _Episode(Moved(0, None if moved.bytes is None else 0))
        if episode.begins(moved, now):
            log.info("flow_begun", "{flow} begun", subject=flow, flow=flow)
        elif ended := episode.ends(now):
            total, took_s = ended
            log.info(
                "flow_ended",
                "{flow} ended: {pages} pages in {took_s:.0f} s",
                subject=flow,
                flow=flow,
                pages=total.pages,
                bytes=total.bytes,
                took_s=took_s,
            )
