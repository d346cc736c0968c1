"""What happened in a run, in order: the last events to read, and a digest of all of them.

Covers: recording. Does not cover: what is worth recording (who calls ``add``).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable

KEPT = 400
"""Events that are kept to be shown."""


class Trace:
    """Events of one run. ``now`` gives the time; ``echo`` prints each event as it comes."""

    def __init__(self, now: Callable[[], float], *, echo: bool = False) -> None:
        self._now = now
        self._echo = echo
        self._last: deque[tuple[float, tuple[object, ...]]] = deque(maxlen=KEPT)
        self.events = 0
        self.digest = 0
        """Equal for runs whose events are equal; events hold values that print alike each time."""

    def add(self, *event: object) -> None:
        """Note an event."""
        now = self._now()
        self.events += 1
        self.digest = zlib.crc32(repr((now, event)).encode(), self.digest)
        self._last.append((now, event))
        if self._echo:
            print(self._line(now, event))

    def last(self, count: int) -> list[str]:
        """The last events as lines."""
        events = list(self._last)[-count:]
        return [self._line(at, event) for at, event in events]

    @staticmethod
    def _line(at: float, event: tuple[object, ...]) -> str:
        return f"{at:12.6f}  " + " ".join(str(part) for part in event)
