"""Time, handed in.

Covers: what cluster code may know of time. Tests and the simulator hand in another clock, or run
the same coroutines on an event loop with virtual time.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Clock", "LoopClock"]


class Clock(Protocol):
    """A monotonic clock, in seconds, and the only way to wait."""

    def now(self) -> float:
        """Seconds since an arbitrary point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellable."""


class LoopClock:
    """The running event loop's clock."""

    def now(self) -> float:
        """See ``Clock``."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        await asyncio.sleep(seconds)
