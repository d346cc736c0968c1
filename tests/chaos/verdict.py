"""What a run may show and what breaks it.

Covers: the rules, and what was found against them. Does not cover: how it was measured
(``figures.py``), the comparison of bytes (``model.py``).

- Wrong bytes, a write or trim that failed, a request without an answer, a broken connection, a node
  that died by itself, memory above its bound, a cluster that is not whole in time: never.
- Reads that failed: never with two copies or more. With one, only where a fault explains it: the
  lender was killed, paused or cut off at the time of the read, or it came back as another lender
  and the page was written before that. A restart in order and a squeeze explain nothing.
"""

from __future__ import annotations

from collections import Counter

from tests.chaos.timeline import FaultRecord, Timeline

__all__ = ["EXPLAINING", "Findings", "explanation"]

EXPLAINING = frozenset({"kill", "pause", "cut"})
"""Faults that may cost pages which have one copy only."""

_TEXTS_MAX = 20


class Findings:
    """What broke the rules: counted by rule, the first of each in words."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.texts: list[str] = []

    def add(self, rule: str, text: str) -> None:
        self.counts[rule] += 1
        if self.counts[rule] <= _TEXTS_MAX:
            self.texts.append(f"{rule}: {text}")

    def __bool__(self) -> bool:
        return bool(self.counts)


def explanation(
    timeline: Timeline, replicas: int, *, settled_at: float, start: float, end: float
) -> FaultRecord | None:
    """The latest fault that allows the read of start..end to have failed.

    ``settled_at``: when the write of the page's content had begun.
    """
    if replicas > 1:
        return None
    for record in reversed(timeline.faults):
        if record.kind not in EXPLAINING or record.began > end:
            continue
        if record.overlaps(start, end):
            return record
        if record.lost_lease and (record.whole is None or settled_at <= record.whole):
            return record
    return None
