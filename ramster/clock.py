"""Time, handed in.

Covers: what cluster code may know of time. Tests and the simulator hand in another clock, or run
the same coroutines on an event loop with virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "LoopClock"]


class Clock(Protocol):
    """A monotonic clock, in seconds, and the only way to wait."""

    def now(self) -> float:
        """Seconds since an arbitrary point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""


class LoopClock:
    """The clock of the event loop on which it is first read."""

    __slots__ = ("_time",)

    def __init__(self) -> None:
        self._time: Callable[[], float] | None = None

    def now(self) -> float:
        """See ``Clock``."""
        if self._time is None:
            self._time = asyncio.get_running_loop().time  # looked up once: every put reads it twice
        return self._time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        await asyncio.sleep(seconds)
