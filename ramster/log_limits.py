"""How many lines one event may take.

Covers: a bucket for each event and subject, what was left out. Does not cover: what the lines say
(``event_log.py``), where they go (``logs.py``).

A bucket admits a burst and then one line every so often; the line that it admits after it has held
some back says how many. Subjects come from outside (peers, clients), so their number is bounded:
beyond it further subjects of an event share one bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LineLimit"]

BURST = 10
EVERY_S = 10.0
SUBJECTS_MAX = 1024
FORGET_EVERY_S = 1.0
"""Pause between two looks for buckets that may go: each looks at all of them."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    held_back: int = 0


class LineLimit:
    """At most ``burst`` lines at once of an event about a subject, then one every ``every_s``.

    ``now``: a clock that never goes back, in seconds. Not safe for threads.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        burst: int = BURST,
        every_s: float = EVERY_S,
        subjects_max: int = SUBJECTS_MAX,
    ) -> None:
        self._now = now
        self._burst = burst
        self._every_s = every_s
        self._subjects_max = subjects_max
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._shared: dict[str, _Bucket] = {}
        """Buckets of subjects beyond the limit, by event; there are few events."""
        self._forget_at = now()

    def admit(self, event: str, subject: str = "") -> int | None:
        """None: leave this line out. Else it may be written, and so many were left out before."""
        now = self._now()
        bucket = self._bucket(event, subject, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) / self._every_s)
        bucket.at = now
        if bucket.tokens < 1:
            bucket.held_back += 1
            return None
        bucket.tokens -= 1
        held_back, bucket.held_back = bucket.held_back, 0
        return held_back

    def _bucket(self, event: str, subject: str, now: float) -> _Bucket:
        bucket = self._buckets.get((event, subject))
        if bucket is not None:
            return bucket
        if len(self._buckets) >= self._subjects_max and now >= self._forget_at:
            self._forget_full(now)
            self._forget_at = now + FORGET_EVERY_S
        if len(self._buckets) >= self._subjects_max:
            return self._shared_bucket(event, now)
        bucket = self._buckets[event, subject] = _Bucket(self._burst, now)
        return bucket

    def _shared_bucket(self, event: str, now: float) -> _Bucket:
        return self._shared.setdefault(event, _Bucket(self._burst, now))

    def _forget_full(self, now: float) -> None:
        """Drop the buckets that are as good as new; what they held back is told by the event's
        shared one."""
        full_after_s = self._burst * self._every_s
        for key, bucket in list(self._buckets.items()):
            if now - bucket.at >= full_after_s:
                del self._buckets[key]
                if bucket.held_back:
                    self._shared_bucket(key[0], now).held_back += bucket.held_back
