"""The bytes that requests in flight may take: a budget that all connections of a server share.

Covers: who may take how many bytes, and who is next. Does not cover: what a request costs
(``requests.py``), when a connection asks and pays back (``connection.py``). One event loop, no
threads; no I/O.

Requests take their bytes before they are taken in. Every connection has a few bytes of its own
(``own_bytes_max``); a request that does not fit into what is left of those takes all of its bytes
from the budget (``bytes_max``). A connection whose request does not fit there either stands in
line, and the line is served in order: nobody passes a large request that waits at its head, so it
gets its bytes as soon as enough have come back. When nothing of the budget is taken, any request
fits. Never more than ``bytes_max`` and ``own_bytes_max`` a connection are therefore taken (and
where one request alone is larger than ``bytes_max``, that one).

Whoever holds bytes may keep them for as long as its client likes (one that stops in the middle of a
write's payload, or takes no replies). The bytes of its own are why a connection's small requests go
on all the same. They delay nobody in line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["FlightBudget", "Share"]


class FlightBudget:
    """What all connections have taken together, and the line of those that wait."""

    def __init__(self, bytes_max: int, own_bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.own_bytes_max = own_bytes_max
        self.bytes_taken = 0
        """Of the budget."""
        self.bytes_own = 0
        """Of what connections have of their own."""
        self.bytes_peak = 0
        """The most that both ever were together."""
        self._line: OrderedDict[Share, int] = OrderedDict()

    @property
    def shares_waiting(self) -> int:
        """Connections in line."""
        return len(self._line)

    def share(self, granted: Callable[[], None]) -> Share:
        """A connection's part; ``granted`` is called when its wait is over. It must not raise."""
        return Share(self, granted)

    def _fits(self, wanted: int) -> bool:
        return not self.bytes_taken or self.bytes_taken + wanted <= self.bytes_max

    def _serve_line(self) -> None:
        """Grant the line's head its bytes, for as long as they are there."""
        while self._line:
            share, wanted = next(iter(self._line.items()))
            if not self._fits(wanted):
                return
            share._end_wait(own=False)

    def _took(self) -> None:
        taken = self.bytes_taken + self.bytes_own
        if taken > self.bytes_peak:
            self.bytes_peak = taken


class Share:
    """One connection's part of a budget. It waits with one request at a time."""

    __slots__ = ("_budget", "_granted", "_own", "_shared", "_unclaimed", "waiting")

    def __init__(self, budget: FlightBudget, granted: Callable[[], None]) -> None:
        self._budget = budget
        self._granted = granted
        self._own = 0
        self._shared = 0
        """What it holds of the budget."""
        self._unclaimed = 0
        """What was granted after a wait and not yet asked for again."""
        self.waiting = False
        """In line. To be read only."""

    @property
    def held(self) -> int:
        """Bytes that were granted and not given back."""
        return self._own + self._shared

    def take(self, wanted: int) -> bool:
        """Take bytes for a request, or stand in line for them.

        False: ``granted`` will be called once, and from then on the bytes are held for the same
        ``take``, which the connection must repeat (or ``leave``).
        """
        if self._unclaimed:
            assert wanted == self._unclaimed, "a connection goes on with what it waited with"
            self._unclaimed = 0
            return True
        assert not self.waiting, "a connection waits with one request"
        budget = self._budget
        if self._own + wanted <= budget.own_bytes_max:
            self._own += wanted
            budget.bytes_own += wanted
        elif not budget._line and budget._fits(wanted):
            self._shared += wanted
            budget.bytes_taken += wanted
        else:
            budget._line[self] = wanted
            self.waiting = True
            return False
        budget._took()
        return True

    def give_back(self, count: int) -> None:
        """Give back what a request took; what is of the budget first, for others may need that."""
        assert count <= self.held - self._unclaimed, "no more than what was taken"
        budget = self._budget
        shared = min(count, self._shared)
        if shared:
            self._shared -= shared
            budget.bytes_taken -= shared
            budget._serve_line()
        self._own -= count - shared
        budget.bytes_own -= count - shared
        if self.waiting and self._own + budget._line[self] <= budget.own_bytes_max:
            self._end_wait(own=True)
            budget._serve_line()

    def leave(self) -> None:
        """Wait no longer, and give back what was granted after a wait and not asked for."""
        if self.waiting:
            self.waiting = False
            del self._budget._line[self]
            self._budget._serve_line()
        unclaimed, self._unclaimed = self._unclaimed, 0
        if unclaimed:
            self.give_back(unclaimed)

    def _end_wait(self, *, own: bool) -> None:
        """Its turn has come: take what it waits for."""
        budget = self._budget
        self.waiting = False
        self._unclaimed = wanted = budget._line.pop(self)
        if own:
            self._own += wanted
            budget.bytes_own += wanted
        else:
            self._shared += wanted
            budget.bytes_taken += wanted
        budget._took()
        self._granted()
