"""Broken ways of giving pages away.

Covers: batches on their way, copies that are no longer wanted. Does not cover: pages that move
(``moves.py``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from ramster.deliveries import Deliveries
from ramster.flusher import Flusher
from ramster.foreign import ForeignPages
from ramster.leases import BatchWindow
from ramster.lenders import LenderTable, Place
from ramster.spiller import Spiller
from tests.simulation.variants.table import variant
from zcache.entries import Entries
from zcache.lending import Lending
from zcache.page_table import LOCAL, STATE_MASK
from zcache.spill import SpillDesk


@variant()
def an_unknown_outcome_counts_as_taken() -> Iterator[None]:
    """A batch without an answer is believed to have arrived."""

    real = Deliveries.send
    unknown: set[int] = set()

    async def send(self: Any, lender: Any, kind: Any, blobs: Any) -> bytes:
        taken = await real(self, lender, kind, blobs)
        return b"\1" * len(blobs) if id(blobs) in unknown else taken

    with (
        patch.object(Deliveries, "send", send),
        patch.object(Deliveries, "_undo", lambda self, _, request: unknown.add(id(request.blobs))),
    ):
        yield


@variant(first=10)
def an_unknown_outcome_is_not_flushed() -> Iterator[None]:
    """What a batch without an answer left at its lender stays there."""

    def undo(self: Any, lender: Any, request: Any) -> None:
        self._table.end_epoch(lender, request.epoch)

    with patch.object(Deliveries, "_undo", undo):
        yield


@variant("moves", first=1)
def an_unknown_outcome_ends_no_epoch() -> Iterator[None]:
    """A batch may arrive after it was given up and flushed."""
    with patch.object(LenderTable, "end_epoch", lambda *arguments: None):
        yield


@variant("moves", first=1)
def a_lender_ignores_epochs() -> Iterator[None]:
    """A lender takes batches that their owner has given up."""
    real = ForeignPages._check_order

    def check_order(self: Any, lease: Any, request: Any) -> None:
        real(self, lease, replace(request, epoch=max(request.epoch, lease.epoch)))

    with patch.object(ForeignPages, "_check_order", check_order):
        yield


@variant(first=3)
def a_lender_takes_a_batch_twice() -> Iterator[None]:
    """A batch that is delivered again is stored again, though it was flushed meanwhile."""
    real = ForeignPages._check_order

    def check_order(self: Any, lease: Any, request: Any) -> None:
        lease.batches = BatchWindow()
        real(self, lease, request)

    with patch.object(ForeignPages, "_check_order", check_order):
        yield


@variant(first=4)
def refused_pages_count_as_taken() -> Iterator[None]:
    """All pages of a batch are believed to be at a lender that refused some of them."""
    with patch("ramster.deliveries._ACCEPTED", b"\1" * 256):
        yield


@variant()
def stale_rows_of_a_ticket_are_finished() -> Iterator[None]:
    """A page that was put again while its old content was on its way out counts as away."""
    real = SpillDesk._in_transit

    def in_transit(self: Any, entry: int, generation: int) -> bool:
        table = self._entries.table
        if real(self, entry, generation):
            return True
        return bool(
            table.flags[entry] & STATE_MASK == LOCAL and table.generations[entry] > generation
        )

    with patch.object(SpillDesk, "_in_transit", in_transit):
        yield


@variant()
def room_is_freed_before_the_acknowledgement() -> Iterator[None]:
    """A batch counts as away when it is sent, not when it is taken."""
    deliver, finish, cancel = Spiller._deliver, SpillDesk.finish, SpillDesk.cancel

    async def early(self: Any, batch: Any) -> None:
        wheres = array("Q", bytes(8 * len(batch.ticket.blobs)))
        for part in batch.parts:
            place = Place(part.lenders, batch.ticket.kind, part.copies)
            for row in part.rows if part.lenders else ():
                wheres[row] = self._table.number(place)
        self._cache.finish_spill(batch.ticket, wheres, bytes(map(bool, wheres)))
        await deliver(self, batch)

    def finish_once(self: Any, ticket: Any, where: Any, accepted: Any) -> int:
        return finish(self, ticket, where, accepted) if ticket.ticket_id in self._open else 0

    def cancel_once(self: Any, ticket: Any, *, warm: bool) -> None:
        if ticket.ticket_id in self._open:
            cancel(self, ticket, warm=warm)

    with (
        patch.object(Spiller, "_deliver", early),
        patch.object(SpillDesk, "finish", finish_once),
        patch.object(SpillDesk, "cancel", cancel_once),
    ):
        yield


@variant()
def displaced_copies_are_not_flushed() -> Iterator[None]:
    """Nobody tells lenders which copies are no longer wanted."""

    def drain(self: Any) -> None:
        self._cache.drain_displaced()

    with patch.object(Flusher, "drain", drain):
        yield


@variant()
def a_lender_flushes_any_generation() -> Iterator[None]:
    """A late flush removes a later copy of its page as well."""
    real = Lending.flush

    def flush(self: Any, pool_id: int, object_id: int, keys: Any, generations: Any) -> int:
        newest = array("Q", [2**64 - 1] * len(keys))
        return real(self, pool_id, object_id, keys, newest)

    with patch.object(Lending, "flush", flush):
        yield


@variant(first=9)
def a_flush_is_sent_once() -> Iterator[None]:
    """A flush that was lost on its way is not sent again."""

    async def pause(self: Any, queue: Any, failures: int) -> None:
        if queue.segments:
            self._finish(queue, queue.segments[0], delivered=False)

    with patch.object(Flusher, "_pause", pause):
        yield


@variant()
def pages_left_behind_by_an_empty_slot() -> Iterator[None]:
    """A page that is replaced while it is away leaves its copy at the lender."""
    real = Entries.release

    def release(self: Any, entry: int) -> int:
        waiting = len(self.displaced)
        freed = real(self, entry)
        if len(self.displaced) > waiting and entry % 5 == 0:
            for column in self.displaced._columns():
                column.pop()
        return freed

    with patch.object(Entries, "release", release):
        yield
