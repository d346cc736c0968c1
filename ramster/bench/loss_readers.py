"""Readers that keep reading while a lender is lost, and the record of what they noticed.

Covers: reads at random, each right or explicitly lost; stalls and speed about the kill. Does not
cover: the kill (``cluster_peerloss.py``).
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left
from dataclasses import dataclass

from ramster.bench.lending import Owner
from ramster.errors import PageLostError

__all__ = ["LossReaders", "LossRecord", "full_speed_after"]

_WINDOW_S = 0.25
_FULL = 0.8
"""Of the speed before the kill: less is noise of a window that short."""


@dataclass(frozen=True, slots=True)
class LossRecord:
    """What the readers noticed."""

    rate_before: float
    """Reads a second from the start to the kill."""
    longest_stall_s: float
    full_speed_s: float
    errors: int


class LossReaders:
    """So many readers of an owner's pages, as tasks of the running loop."""

    def __init__(self, owner: Owner, count: int, seed: int) -> None:
        self._owner = owner
        self._count = count
        self._chance = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._started = self._killed = 0.0
        self._ends: list[float] = []
        """When reads ended; in order, as they are of one thread."""
        self._longest = 0.0
        self._errors = 0

    def start(self) -> None:
        """Begin to read."""
        self._started = time.perf_counter()
        self._tasks = [asyncio.create_task(self._read()) for _ in range(self._count)]

    def note_kill(self) -> None:
        """The lender is about to be killed."""
        self._killed = time.perf_counter()

    async def stop(self) -> LossRecord:
        """Let the reads under way end. Raises AssertionError if one returned a wrong page."""
        stopped = time.perf_counter()
        self._stopping = True
        await asyncio.gather(*self._tasks)
        rate = bisect_left(self._ends, self._killed) / (self._killed - self._started)
        return LossRecord(
            rate_before=rate,
            longest_stall_s=self._longest,
            full_speed_s=full_speed_after(self._ends, self._killed, stopped, rate),
            errors=self._errors,
        )

    async def sweep(self) -> tuple[int, int]:
        """Read every page once more: how many were right, how many are lost."""
        right = lost = 0
        for page in range(self._owner.pages):
            if await self._get(page):
                right += 1
            else:
                lost += 1
        return right, lost

    async def _get(self, page: int) -> bool:
        """True: right; False: lost, by its error. Raises AssertionError: wrong."""
        run = range(page, page + 1)
        try:
            found = await self._owner.get(run)
        except PageLostError:
            return False
        self._owner.compare(run, found)
        return True

    async def _read(self) -> None:
        while not self._stopping:
            start = time.perf_counter()
            right = await self._get(self._chance.randrange(self._owner.pages))
            end = time.perf_counter()
            self._ends.append(end)
            if self._killed:
                self._longest = max(self._longest, end - start)
            self._errors += not right
            await asyncio.sleep(0)  # a page at home gives the others no turn


def full_speed_after(ends: list[float], killed: float, stopped: float, rate: float) -> float:
    """Seconds from ``killed`` to the begin of the first window with at least 0.8 times ``rate``
    reads a second; to ``stopped`` where there is none. ``ends``: when reads ended, in order."""
    wanted = rate * _FULL * _WINDOW_S
    begin = killed
    step = _WINDOW_S / 10
    while begin + _WINDOW_S <= stopped:
        if bisect_left(ends, begin + _WINDOW_S) - bisect_left(ends, begin) >= wanted:
            return begin - killed
        begin += step
    return stopped - killed
