"""Leaving in good order, and asking guests to leave: a lender's notice to the owners of its pages.

Covers: how much room this node wants back and when, waiting for the owners to take their pages.
Does not cover: telling them (``foreign.py``, in heartbeat replies), moving the pages (each owner's
``relocator.py``).

A node that needs room for its own pages spills them first; only when it cannot (no peer has room,
spilling is off) does it want its guests to leave. Foreign ephemeral pages are dropped at once by
the cache; persistent ones are moved by their owners. Owners that take nothing for a while have no
place either, and are not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ramster.clock import Clock
from ramster.foreign import ForeignPages
from zcache import CacheContract

__all__ = ["DrainReport", "Guests"]

PATIENCE_S = 2.0
"""Owners that have taken nothing for so long since they were asked are not waited for."""

WANTED_SHARE = 64
"""A pool that is stuck wants this part of its limit at least."""

WATCH_S = 0.05
"""Pause between two looks while draining."""


class DrainReport(NamedTuple):
    """How a drain ended."""

    handed_over: int
    """Persistent pages that their owners took back or dropped."""
    left: int
    """Persistent pages of owners that were in touch and did not take them in time."""
    took_s: float


class Guests:
    """Pages held for others, as something that takes room here.

    ``stuck``: whether own pages should leave and cannot. ``dead_after_s``: silence after which an
    owner is not waited for. ``leaving``: whether the node of that name is about to stop itself;
    its pages end with it.
    """

    def __init__(
        self,
        cache: CacheContract,
        foreign: ForeignPages,
        clock: Clock,
        *,
        stuck: Callable[[], bool],
        dead_after_s: float,
        leaving: Callable[[str], bool] = lambda node: False,  # noqa: ARG005
    ) -> None:
        self._cache = cache
        self._foreign = foreign
        self._clock = clock
        self._stuck = stuck
        self._dead_after_s = dead_after_s
        self._leaving = leaving
        self._held = -1
        self._progress_at = float("-inf")

    def ask_for_room(self) -> int:
        """Bytes of foreign persistent pages this node wants to be rid of, now; it has dropped
        ephemeral ones first.
        """
        if not self._stuck():
            return 0
        config = self._cache.config
        wanted = max(
            self._cache.excess_bytes(config.low_watermark), config.pool_bytes_max // WANTED_SHARE
        )
        return max(0, wanted - self._cache.drop_foreign_ephemeral(wanted))

    def may_leave(self) -> bool:
        """Whether a writer may hope for room that guests leave behind."""
        held = self._pages_in_touch()
        now = self._clock.now()
        if held == 0 or not self._stuck():
            self._held = -1
            return False
        if held != self._held:
            if held < self._held or self._held < 0:
                self._progress_at = now
            self._held = held
        return now - self._progress_at < PATIENCE_S

    async def drain(self, limit_s: float) -> DrainReport:
        """Take no more pages, and wait until the owners have taken theirs back; at most so long.

        Owners that are silent or leave themselves are not waited for.
        """
        began = self._clock.now()
        self._foreign.drain()
        at_first = self._pages()
        while (left := self._pages_in_touch()) and self._clock.now() - began < limit_s:
            await self._clock.sleep(WATCH_S)
        handed_over = max(0, at_first - self._pages())
        return DrainReport(handed_over, left, self._clock.now() - began)

    def _pages(self) -> int:
        """Persistent pages of all owners."""
        return sum(held.pages for held in self._foreign.owners_held())

    def _pages_in_touch(self) -> int:
        """Those of owners that were heard of late and stay."""
        return sum(
            held.pages
            for held in self._foreign.owners_held()
            if held.heard_s < self._dead_after_s and not self._leaving(held.owner)
        )
