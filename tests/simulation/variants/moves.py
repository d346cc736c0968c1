"""Broken ways of moving pages that are away.

Covers: rebuilding, evacuation, draining. Does not cover: how pages leave at first (``spills.py``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from ramster.drain import DrainReport, Guests
from ramster.flusher import Flusher
from ramster.foreign import ForeignPages
from ramster.relocator import Relocator
from tests.simulation.variants.table import variant
from zcache.page_table import AWAY, FOREIGN, STATE_MASK
from zcache.repatriation import Repatriation


@variant("moves", first=35)
def a_page_that_changed_moves_all_the_same() -> Iterator[None]:
    """A stub is given the place of an older copy, because it is not compared before it is set."""

    def move_one(self: Any, key: int, generation: int, where: int, to: int) -> bool:
        entries = self._entries
        table = entries.table
        if key >= len(table.flags) or table.flags[key] & (STATE_MASK | FOREIGN) != AWAY:
            return False
        entries.count_away(table.words[key], table.flags[key], -1)
        table.words[key] = to
        entries.count_away(to, table.flags[key], 1)
        return True

    with patch.object(Repatriation, "_move_one", move_one):
        yield


@variant("moves", first=43)
def old_copies_are_flushed_before_new_ones_are_taken() -> Iterator[None]:
    """A page that moves is nowhere for a while."""
    real = Relocator._make_copies

    async def make_copies(self: Any, move: Any, handles: Any, pages: Any, need: int) -> Any:
        for lender in set(move.place.lenders) - set(move.keep):
            self._flusher.flush_batch(
                lender,
                move.place.kind,
                array("Q", [page.key for page in pages]),
                array("Q", [page.generation for page in pages]),
            )
        return await real(self, move, handles, pages, need)

    with patch.object(Relocator, "_make_copies", make_copies):
        yield


@variant("moves", first=19)
def a_page_moves_to_a_lender_that_did_not_take_it() -> Iterator[None]:
    """The answers of the new holders of a page are not looked at."""
    real = Relocator.__init__

    def init(self: Any, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        self._deliveries = _Boaster(self._deliveries)

    with patch.object(Relocator, "__init__", init):
        yield


class _Boaster:
    """Deliveries that are all said to be taken."""

    def __init__(self, deliveries: Any) -> None:
        self._deliveries = deliveries
        self.pacer = deliveries.pacer

    async def send(self, lender: Any, kind: Any, blobs: Any) -> bytes:
        await self._deliveries.send(lender, kind, blobs)
        return b"\1" * len(blobs)


@variant("moves", first=1)
def new_copies_of_a_page_that_changed_stay() -> Iterator[None]:
    """Copies that were made in vain are not flushed."""
    real = Relocator._set

    def set_words(self: Any, move: Any, pages: Any, to: Any, added: Any) -> int:
        return real(self, move, pages, to, ())

    with patch.object(Relocator, "_set", set_words):
        yield


@variant("moves", first=29)
def a_copy_is_placed_where_a_flush_is_pending() -> Iterator[None]:
    """The flush of an earlier attempt takes the new copy for its own."""
    with patch.object(Flusher, "pending_keys", lambda self, lender: set()):
        yield


@variant("moves", first=15)
def a_lender_carries_out_a_flush_twice() -> Iterator[None]:
    """A late duplicate of a flush removes a copy that was placed again."""
    real = ForeignPages.on_flush

    def on_flush(self: Any, request: Any) -> None:
        for lease in self.leases:
            lease.flush_sequence = 0
        real(self, request)

    with patch.object(ForeignPages, "on_flush", on_flush):
        yield


@variant("rolling")
def a_drain_waits_for_nobody() -> Iterator[None]:
    """A node that leaves says so, and does not wait until its guests have left."""

    async def drain(self: Any, limit_s: float) -> DrainReport:
        self._foreign.drain()
        return DrainReport(0, 0, 0.0)

    with patch.object(Guests, "drain", drain):
        yield
