"""Housekeeping of the pool, in both modes: compaction, a little at a time.

Covers: when to compact and how much in one go. Does not cover: how (``zcache``), spilling
(``spiller.py``).
"""

from __future__ import annotations

from ramster.clock import Clock
from ramster.event_log import EventLog
from zcache import PAGE_SIZE, CacheContract

__all__ = ["COMPACT_SLICE_FRAMES", "Upkeep"]

COMPACT_SLICE_FRAMES = 8
"""Frames given back in one call: about 1 ms in which the event loop does nothing else."""

_FREE_SHARE_MIN = 0.05
"""Compaction starts when the frames hold this share of bytes that no blob uses."""

_log = EventLog(__name__)


class Upkeep:
    """Looks at the pool every ``interval_s`` and compacts it while that gives frames back.

    Linux compacts zsmalloc when its shrinker asks; here nobody asks, so free bytes are watched.
    A round that gave nothing back is not repeated before use has changed.
    """

    def __init__(self, cache: CacheContract, clock: Clock, interval_s: float) -> None:
        self._cache = cache
        self._clock = clock
        self._interval_s = interval_s
        self._settled_at = -1
        self._in_round = False
        """A round that has begun goes on below the share that began it, to its end."""

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._clock.sleep(self._interval_s)
            while self.compact_once():
                await self._clock.sleep(0)

    def compact_once(self) -> int:
        """One slice if it is worth it; returns the frames given back."""
        stats = self._cache.stats()
        used = stats.frames_used * PAGE_SIZE
        unused = used - stats.bytes_local - stats.bytes_foreign
        worth_it = self._in_round or unused >= _FREE_SHARE_MIN * used
        if used == 0 or not worth_it or stats.frames_used == self._settled_at:
            self._in_round = False
            return 0
        freed = self._cache.compact(COMPACT_SLICE_FRAMES)
        self._settled_at = -1 if freed else stats.frames_used
        self._in_round = freed > 0
        if freed:
            _log.debug("compacted", "compaction gave back {frames} frames", frames=freed)
        return freed
