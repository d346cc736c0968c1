"""Spill tickets: batches of cold own pages on their way to another place.

Covers: choosing, handing out copies, ending a ticket. Does not cover: where pages go, and their way
back (``repatriation.py``).

A page in a ticket is *in transit*: off its queue, readable, its blob where it was. A put or a flush
of it goes ahead as if there were no ticket; the ticket's part is then stale, which shows when the
ticket ends, because the page's generation is another. Each ticket gives its pages new generations,
so (key, generation) names one attempt to spill, and a late flush of an earlier copy cannot hit a
later one.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Sequence

from zcache.codec import checksum_of
from zcache.entries import Entries
from zcache.errors import TicketError
from zcache.page import PLACE_MASK, Buffer, PackedBlobs, PoolKind, SpillTicket, check_where
from zcache.page_table import (
    AWAY,
    ENCODING_MASK,
    LOCAL,
    PERSISTENT,
    STATE_MASK,
    TRANSIT,
    queue_of,
)
from zcache.reclaim import PASSES_MAX, coldest

__all__ = ["SpillDesk"]


def _where_column(where: int | Sequence[int], pages: int, accepted: Buffer | None) -> Sequence[int]:
    """A word for each page; those of pages that were not accepted may be anything.

    Raises TicketError for a column of another length, BadHandleError for a word that is no where.
    """
    if isinstance(where, int):
        check_where(where)
        return array("Q", [where]) * pages
    if len(where) != pages:
        raise TicketError(f"{len(where)} places for a ticket of {pages} pages")
    for row, word in enumerate(where):
        if accepted is None or accepted[row]:
            check_where(word)
    return where


class SpillDesk:
    """The open tickets of a cache. All under the cache's lock."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._open: dict[int, SpillTicket] = {}
        self._last_id = 0
        self.pages_open = 0
        """Pages named by open tickets, stale or not."""

    def begin(self, bytes_max: int, kind: PoolKind, pages_max: int) -> SpillTicket | None:
        """See ``CacheContract.begin_spill``."""
        entries = self._entries
        table = entries.table
        entries.note_peaks()
        queue = queue_of(PERSISTENT if kind == PoolKind.PERSISTENT else 0)
        blobs = PackedBlobs()
        parts: list[bytes] = []
        total = 0
        passes = PASSES_MAX
        while len(parts) < pages_max:
            entry, passes = coldest(entries, queue, passes)
            if not entry:
                break
            length = table.lengths[entry]
            if parts and total + length > bytes_max:
                break
            blob = entries.zsmalloc.read(table.words[entry], length)
            table.unlink(entry)
            checksum = table.checksums[entry]
            if checksum_of(blob) != checksum:
                # No lender would take it: out of the way, for a get to report.
                table.append(entry, queue)
                if not passes:
                    break
                passes -= 1
                continue
            flags = table.change_state(entry, TRANSIT)
            table.generation = generation = table.generation + 1
            table.generations[entry] = generation
            blobs.keys.append(entry)
            blobs.generations.append(generation)
            blobs.lengths.append(length)
            blobs.encodings.append(flags & ENCODING_MASK)
            blobs.checksums.append(checksum)
            parts.append(blob)
            total += length
        if not parts:
            return None
        blobs.payload = b"".join(parts)
        pools = entries.pool_ids(blobs.keys)
        self._last_id += 1
        ticket = SpillTicket(self._last_id, kind, blobs, pools)
        self._open[ticket.ticket_id] = ticket
        self.pages_open += len(parts)
        entries.counters.tickets_begun += 1
        return ticket

    def finish(
        self, ticket: SpillTicket, where: int | Sequence[int], accepted: Buffer | None
    ) -> int:
        """See ``CacheContract.finish_spill``."""
        blobs = ticket.blobs
        if accepted is not None and len(accepted) != len(blobs):
            raise TicketError(f"{len(accepted)} answers for a ticket of {len(blobs)} pages")
        wheres = _where_column(where, len(blobs), accepted)
        self._end(ticket)
        entries = self._entries
        table = entries.table
        refused: list[int] = []
        gone: list[int] = []
        stale = 0
        for row, (entry, generation) in enumerate(zip(blobs.keys, blobs.generations, strict=True)):
            taken = accepted is None or accepted[row] != 0
            if not self._in_transit(entry, generation):
                stale += 1
                if taken:
                    entries.displaced.append(
                        entry,
                        generation,
                        blobs.lengths[row],
                        blobs.encodings[row],
                        blobs.checksums[row],
                        wheres[row],
                    )
            elif taken:
                table.change_state(entry, AWAY)
                entries.zsmalloc.free(table.words[entry])
                table.words[entry] = word = wheres[row]
                gone.append(word & PLACE_MASK)
            else:
                refused.append(entry)
        flags = PERSISTENT if ticket.kind == PoolKind.PERSISTENT else 0
        for place, pages in Counter(gone).items():
            entries.count_away(place, flags, pages)
        self._come_home(refused)
        counters = entries.counters
        counters.tickets_finished += 1
        counters.pages_spilled += len(gone)
        counters.pages_spill_refused += len(refused)
        counters.pages_spill_stale += stale
        return len(gone)

    def cancel(self, ticket: SpillTicket, *, warm: bool) -> None:
        """See ``CacheContract.cancel_spill``."""
        self._end(ticket)
        blobs = ticket.blobs
        back = [
            entry
            for row, entry in enumerate(blobs.keys)
            if self._in_transit(entry, blobs.generations[row])
        ]
        if warm:
            table = self._entries.table
            for entry in back:
                table.append(entry, queue_of(table.change_state(entry, LOCAL)))
        else:
            self._come_home(back)
        self._entries.counters.tickets_cancelled += 1
        self._entries.counters.pages_spill_stale += len(blobs) - len(back)

    def tickets(self) -> list[SpillTicket]:
        """The open tickets."""
        return list(self._open.values())

    def metadata_bytes(self) -> int:
        """Bytes of open tickets, payloads included."""
        total = sys.getsizeof(self._open)
        for ticket in self._open.values():
            blobs = ticket.blobs
            parts = (
                blobs.keys, blobs.generations, blobs.lengths, blobs.encodings, blobs.checksums,
                blobs.payload, ticket.pools,
            )  # fmt: skip
            total += sum(sys.getsizeof(part) for part in parts)
        return total

    def _end(self, ticket: SpillTicket) -> None:
        if self._open.get(ticket.ticket_id) is not ticket:
            raise TicketError(f"ticket {ticket.ticket_id} is not open in this cache")
        del self._open[ticket.ticket_id]
        self.pages_open -= len(ticket.blobs)

    def _in_transit(self, entry: int, generation: int) -> bool:
        table = self._entries.table
        return (
            entry < len(table.flags)
            and table.flags[entry] & STATE_MASK == TRANSIT
            and table.generations[entry] == generation
        )

    def _come_home(self, back: list[int]) -> None:
        """Local again, and as cold as before: at the queue's cold end, in the order they had."""
        table = self._entries.table
        for entry in reversed(back):
            flags = table.change_state(entry, LOCAL)
            table.prepend(entry, queue_of(flags))
