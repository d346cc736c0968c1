"""Which copies a ``where`` means.

Covers: the numbers that zcache keeps in the stubs of pages that are away, and what each stands
for: a set of lenders, whether there is a copy in the write-back file as well, a kind of page, and
how many copies it should have. Does not cover: whether a lender answers (``membership.py``), how
many copies are missing (``replication.py``).

A lender is one lease at one life of one node. A number is never given out twice, so a stub can
never come to mean another lender; the table forgets a number only when no stub carries it any
more. The number is the low half of a stub's word (``zcache.place_of``); the high half is the page's
slot in the write-back file.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from zcache import PoolKind

__all__ = ["Lender", "LenderTable", "Place"]


class Lender(NamedTuple):
    """One lease of this node at one life of another."""

    node: str
    incarnation: int
    lease: int


class Place(NamedTuple):
    """What a number stands for: where the copies of a page are."""

    lenders: tuple[Lender, ...]
    """In the order of their names; each at another node."""
    kind: PoolKind
    copies: int = 1
    """How many there should be."""
    disk: bool = False
    """There is one in the write-back file."""

    @property
    def names(self) -> str:
        """The holders, for people."""
        holders = [lender.node for lender in self.lenders]
        if self.disk:
            holders.append("the write-back file")
        return " and ".join(holders) or "nobody"


class LenderTable:
    """Numbers for places, both ways, and which lenders are gone for good."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._numbers: dict[Place, int] = {}
        self._gone: dict[Lender, str] = {}
        self._epochs: dict[Lender, int] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._places)

    def number(self, place: Place) -> int:
        """The number of a place, a new one at first sight."""
        if len(place.lenders) > 1:
            place = place._replace(lenders=tuple(sorted(place.lenders)))
        number = self._numbers.get(place)
        if number is None:
            number = self._numbers[place] = self._next
            self._places[number] = place
            self._next += 1
        return number

    def place(self, number: int) -> Place:
        """What a number stands for. Raises KeyError for one that is not in the table."""
        return self._places[number]

    def epoch(self, lender: Lender) -> int:
        """The spill epoch under a lease (see ``transport``)."""
        return self._epochs.get(lender, 0)

    def end_epoch(self, lender: Lender, epoch: int) -> None:
        """Let no spill of ``epoch`` or earlier take effect any more, once the next message is
        there.
        """
        if self.epoch(lender) <= epoch:
            self._epochs[lender] = epoch + 1

    def mark_gone(self, lender: Lender, reason: str) -> None:
        """The lender's pages no longer exist anywhere; ``reason`` is for people."""
        self._gone.setdefault(lender, reason)
        self._epochs.pop(lender, None)

    def gone_reason(self, lender: Lender) -> str | None:
        """Why the lender is gone; None while it is not."""
        return self._gone.get(lender)

    def places_of(self, lender: Lender) -> list[tuple[int, Place]]:
        """Every number whose place includes the lender."""
        return [item for item in self._places.items() if lender in item[1].lenders]

    def forget_unused(self, in_use: Container[int]) -> int:
        """Drop the numbers of places with a lender that is gone and that no stub carries; returns
        how many.

        A ticket that is on its way may still bring the other ones to use.
        """
        unused = [
            number
            for number, place in self._places.items()
            if number not in in_use and any(lender in self._gone for lender in place.lenders)
        ]
        for number in unused:
            del self._numbers[self._places.pop(number)]
        named = {lender: None for place in self._places.values() for lender in place.lenders}
        for lender in [lender for lender in self._gone if lender not in named]:
            del self._gone[lender]
        return len(unused)
