"""Broken write-back files.

Covers: slots, failed writes, bounds. Does not cover: lenders.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from ramster.cluster import Cluster
from ramster.copies import CopyReader
from ramster.replication import Replication
from ramster.spiller import Spiller
from ramster.writeback import Writeback
from tests.simulation.variants.table import variant


@variant("safety")
def safety_keeps_no_copy_in_the_file() -> Iterator[None]:
    """Pages that find lenders leave without a copy in the file, and none is made later."""

    def missing(self: Any, place: Any) -> int:
        return 0 if place.disk else max(0, place.copies - len(self.held(place)))

    real = Spiller._parts

    def parts(self: Any, ticket: Any, lenders: Any, *, file: bool) -> Any:
        cut = real(self, ticket, lenders, file=file)
        for part in cut:
            part.disk = part.disk and len(part.lenders) < part.copies
        return cut

    with patch.object(Spiller, "_parts", parts), patch.object(Replication, "missing", missing):
        yield


@variant("alone", first=4)
def a_slot_is_given_away_while_it_is_read() -> Iterator[None]:
    """A slot that is freed is used again at once, whoever reads there."""

    def free(self: Any, positions: Any) -> None:
        for position in positions:
            self._table.give_back(position)
            self.pages -= 1

    with patch.object(Writeback, "free", free):
        yield


@variant("overflow", first=2)
def a_slot_is_given_away_while_it_is_written() -> Iterator[None]:
    """A slot whose write was given up is used again while the disk is still at it."""

    async def store(self: Any, blobs: Any) -> Any:
        answer = array("Q", bytes(8 * len(blobs)))
        if self.paused:
            return answer
        positions = self._table.take(blobs.lengths)
        self._note_refusals(positions, blobs.lengths)
        task = self._start_writing(positions, self._plan_writes(positions, blobs))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            self._give_back(position for position in positions if position)
            raise
        for row in task.result():
            answer[row] = positions[row]
            self.pages += 1
        return answer

    with patch.object(Writeback, "store", store):
        yield


@variant("overflow")
def slots_are_not_freed() -> Iterator[None]:
    """Nobody tells the file which pages are no longer wanted."""
    with patch.object(Cluster, "_free_slots", lambda self, wheres: None):
        yield


@variant("overflow")
def a_failed_write_counts_as_stored() -> Iterator[None]:
    """An error of the disk is not looked at."""
    real = Writeback._write_one

    async def write_one(self: Any, write: Any) -> bool:
        await real(self, write)
        return True

    with patch.object(Writeback, "_write_one", write_one):
        yield


@variant("overflow", first=8)
def a_read_of_the_file_has_no_bound() -> Iterator[None]:
    """A get waits for a disk that hangs."""
    real = CopyReader._ask_file

    async def ask_file(self: Any, reading: Any, deadline: float) -> None:
        await real(self, reading, deadline + 1000.0)

    with patch.object(CopyReader, "_ask_file", ask_file):
        yield
