"""Which fault was in force when: what every figure and every verdict refers to.

Covers: the record of each fault and the questions about it. Does not cover: making faults
(``faults.py``). Written by the thread that makes the faults, read by the workload's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CALM", "FaultRecord", "Timeline"]

CALM = "none"
"""The name of no fault."""


@dataclass
class FaultRecord:
    """One fault, from the moment before it was made until the cluster was whole again."""

    number: int
    kind: str
    target: str
    began: float
    healed: float | None = None
    """When the harness had put things back."""
    whole: float | None = None
    """When all lenders were alive in the owner's eyes, and no page lacked a copy."""
    lost_lease: bool = True
    """Whether the lender is another one since then; taken for granted until seen otherwise."""
    pages_failed: set[int] = field(default_factory=set)
    """Pages whose reads failed and which this fault explains."""
    details: dict[str, Any] = field(default_factory=dict)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether it was in force at any time of start..end."""
        return self.began <= end and (self.whole is None or start <= self.whole)


class Timeline:
    """All faults of a run, in order."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.faults: list[FaultRecord] = []

    def begin(self, kind: str, target: str) -> FaultRecord:
        """To be called before the fault is made."""
        record = FaultRecord(len(self.faults) + 1, kind, target, time.monotonic())
        self.faults.append(record)
        return record

    def in_force(self, start: float, end: float) -> str:
        """The kind of the last fault that overlaps start..end, or ``CALM``."""
        for record in reversed(self.faults):
            if record.overlaps(start, end):
                return record.kind
            if record.whole is not None and record.whole < start:
                break
        return CALM

    def at(self, moment: float) -> float:
        """Seconds since the run began."""
        return moment - self.started
