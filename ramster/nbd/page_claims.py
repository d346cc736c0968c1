"""Claims on ranges of pages, so that read-modify-write of a page loses nobody's bytes.

Covers: who has to wait for whom. Does not cover: the operations (``device.py``). One event loop, no
threads.

Operations on whole pages claim *shared*: the store puts each page at once and the last put wins, so
they need not exclude each other. An operation that reads a page, changes a part and puts it back
claims *exclusive*: a whole-page write or a flush between its two halves would be undone by the
second half.

Each operation makes exactly one claim, for all its pages, and waits only for claims made before its
own. The waits-for graph therefore has no cycle: no deadlock, and nobody is overtaken for ever.
"""

from __future__ import annotations

import asyncio

__all__ = ["Claim", "PageClaims"]


class Claim:
    """One operation's hold (or wait) on pages start <= index < stop."""

    __slots__ = ("_blockers", "_dependents", "_granted", "exclusive", "start", "stop")

    def __init__(self, start: int, stop: int, exclusive: bool) -> None:
        self.start = start
        self.stop = stop
        self.exclusive = exclusive
        self._blockers = 0
        self._dependents: list[Claim] = []
        self._granted: asyncio.Future[None] | None = None

    @property
    def must_wait(self) -> bool:
        """Earlier claims stand in the way."""
        return self._blockers > 0

    def _conflicts(self, other: Claim) -> bool:
        return (
            (self.exclusive or other.exclusive)
            and self.start < other.stop
            and other.start < self.stop
        )

    async def granted(self) -> None:
        """Wait until no earlier claim stands in the way. Release the claim if cancelled."""
        if self._blockers:
            self._granted = asyncio.get_running_loop().create_future()
            await self._granted

    def _add_dependent(self, other: Claim) -> None:
        self._dependents.append(other)
        other._blockers += 1

    def _let_dependents_go(self) -> None:
        for other in self._dependents:
            other._blockers -= 1
            waiter = other._granted
            if not other._blockers and waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._dependents.clear()


class PageClaims:
    """The claims on one export's pages, of all its connections."""

    def __init__(self) -> None:
        self._claims: dict[Claim, None] = {}
        self._exclusive = 0

    def __len__(self) -> int:
        return len(self._claims)

    def claim(self, start: int, stop: int, *, exclusive: bool) -> Claim:
        """Claim pages; when ``must_wait`` of the answer says so, await ``granted()`` before acting.

        Cost: constant while nobody claims exclusively, else linear in the claims of this moment.
        """
        claim = Claim(start, stop, exclusive)
        if exclusive or self._exclusive:
            for earlier in self._claims:
                if earlier._conflicts(claim):
                    earlier._add_dependent(claim)
        self._claims[claim] = None
        self._exclusive += exclusive
        return claim

    def release(self, claim: Claim) -> None:
        """End a claim, granted or not; whoever waited only for it goes on."""
        del self._claims[claim]
        self._exclusive -= claim.exclusive
        claim._let_dependents_go()
