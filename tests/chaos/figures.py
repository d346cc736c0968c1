"""What is measured of the requests: how many, how long, how they failed, under which fault.

Covers: latencies, longest stalls, errors. Does not cover: the table (``report.py``).
"""

from __future__ import annotations

import errno
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.chaos.timeline import Timeline

__all__ = ["RequestFigures", "Stall", "error_name"]


def error_name(number: int | None) -> str:
    """EIO, ENOSPC, ..."""
    return errno.errorcode.get(number or 0, f"errno {number}")


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest request of its kind."""

    seconds: float
    fault: str
    at_s: float
    """When it began, in seconds of the run."""

    def as_dict(self) -> dict[str, Any]:
        return {"seconds": round(self.seconds, 4), "fault": self.fault, "at_s": round(self.at_s, 1)}


class RequestFigures:
    """Counts every request that ended. For one thread; read when it has stopped."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._took: dict[str, array[float]] = {}
        self.bytes: Counter[str] = Counter()
        """Of requests that did not fail."""
        self.longest: dict[tuple[str, str], Stall] = {}
        """By (operation, fault in force)."""
        self.errors: Counter[tuple[str, str, str]] = Counter()
        """By (operation, error, fault in force)."""
        self.pages_failed: set[int] = set()
        """Pages whose read alone failed."""
        self.pages_explained = 0
        self.pages_unexplained = 0
        """Failed reads of single pages, by the verdict's rules."""

    def done(self, operation: str, start: float, end: float, size: int, error: str | None) -> None:
        """A request ended."""
        fault = self._timeline.in_force(start, end)
        self._took.setdefault(operation, array("d")).append(end - start)
        self.bytes[operation] += 0 if error else size
        former = self.longest.get((operation, fault))
        if former is None or end - start > former.seconds:
            self.longest[operation, fault] = Stall(end - start, fault, self._timeline.at(start))
        if error is not None:
            self.errors[operation, error, fault] += 1

    def operations(self) -> list[str]:
        return sorted(self._took)

    def count(self, operation: str) -> int:
        return len(self._took.get(operation, ()))

    def quantile(self, operation: str, share: float) -> float:
        """Seconds that this share of the requests took at most."""
        took = sorted(self._took.get(operation, (0.0,)))
        return took[min(int(share * len(took)), len(took) - 1)]

    def longest_of(self, operation: str) -> Stall | None:
        """Under whatever fault."""
        stalls = [stall for (kind, _), stall in self.longest.items() if kind == operation]
        return max(stalls, key=lambda stall: stall.seconds, default=None)

    def as_dict(self) -> dict[str, Any]:
        operations = {}
        for operation in self.operations():
            longest = self.longest_of(operation)
            operations[operation] = {
                "requests": self.count(operation),
                "bytes": self.bytes[operation],
                "p50_s": round(self.quantile(operation, 0.5), 6),
                "p99_s": round(self.quantile(operation, 0.99), 6),
                "longest": None if longest is None else longest.as_dict(),
            }
        return {
            "operations": operations,
            "errors": [
                {"operation": operation, "error": error, "fault": fault, "count": count}
                for (operation, error, fault), count in sorted(self.errors.items())
            ],
            "pages_failed": len(self.pages_failed),
            "page_reads_explained": self.pages_explained,
            "page_reads_unexplained": self.pages_unexplained,
        }
