"""When something was wrong between which nodes: what can explain that a page is lost or late.

Covers: intervals of trouble, and questions about them. Does not cover: making trouble
(``faults.py``), what is explained by it (``audit.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FOREVER = float("inf")


@dataclass(slots=True)
class Trouble:
    """One fault, from its beginning to its end. ``nodes``: one, or the two of a link."""

    what: str
    nodes: tuple[str, ...]
    began: float
    ended: float = FOREVER

    def concerns(self, one: str, other: str) -> bool:
        """Whether it can come between two nodes."""
        if len(self.nodes) == 1:
            return self.nodes[0] in (one, other)
        return set(self.nodes) == {one, other}


class Troubles:
    """All faults of a run."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._all: list[Trouble] = []

    def begin(self, what: str, *nodes: str) -> Trouble:
        """A fault begins."""
        trouble = Trouble(what, nodes, self._now())
        self._all.append(trouble)
        return trouble

    def end(self, trouble: Trouble) -> None:
        """It is over; what it caused may show for a while."""
        trouble.ended = min(trouble.ended, self._now())

    def end_all(self) -> None:
        """All is well from now on."""
        for trouble in self._all:
            self.end(trouble)

    @property
    def present(self) -> list[Trouble]:
        """Faults that are not over."""
        return [trouble for trouble in self._all if trouble.ended == FOREVER]

    def between(self, one: str, other: str, since: float) -> Trouble | None:
        """A fault that was there at some time since."""
        return next(iter(self.all_between(one, other, since)), None)

    def all_between(self, one: str, other: str, since: float) -> list[Trouble]:
        """All of them."""
        return [t for t in self._all if t.ended >= since and t.concerns(one, other)]

    def longest_s(self, one: str, other: str, *, since: float, gap_s: float) -> float:
        """The longest time without ``gap_s`` of peace between two nodes, of those that were not
        over at ``since``.
        """
        longest, began, ended = 0.0, FOREVER, -FOREVER
        for trouble in self._all:  # in the order of their beginnings
            if trouble.ended < since or not trouble.concerns(one, other):
                continue
            stop = min(trouble.ended, self._now())
            if trouble.began > ended + gap_s:
                began, ended = trouble.began, stop
            ended = max(ended, stop)
            longest = max(longest, ended - began)
        return longest
