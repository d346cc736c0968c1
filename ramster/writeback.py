"""The last tier: blobs in a file on local disk.

Covers: storing batches, reading them back, freeing; what a full, failing or slow disk means. Does
not cover: which pages and when (``spiller.py``), which slots (``slot_table.py``), the file
(``disk.py``), whether what was read is what was stored (its caller has length and checksum).

A page is named by its position alone. What keeps one page's bytes from another's reader: a slot
under a read or a write is not given to the next page before that read or write has ended, whoever
freed or cancelled what meanwhile.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from ramster.clock import Clock
from ramster.disk import Disk
from ramster.errors import SlotNotInUseError
from ramster.event_log import EventLog
from ramster.slot_table import POSITION_BYTES, SlotTable
from zcache import PackedBlobs

__all__ = ["Writeback", "WritebackCounters"]

RUN_BYTES_MAX: Final = 1 << 20
"""The largest read or write."""

BACKLOG_BYTES_MAX: Final = 8 << 20
"""Bytes on their way to the disk beyond which nothing is accepted: it is slow or stuck."""

CLOSE_WAIT_S: Final = 2.0

_PAUSE_MIN_S: Final = 1.0
_PAUSE_MAX_S: Final = 30.0

_FULL_S: Final = 1.0
"""How long ``has_room`` minds the length of what found no slot."""

log = EventLog(__name__)


@dataclass(slots=True)
class WritebackCounters:
    """Counters since the start; they only rise."""

    pages_written: int = 0
    bytes_written: int = 0
    """Pages, and bytes of their blobs, that reached the file."""
    pages_read: int = 0
    bytes_read: int = 0
    write_errors: int = 0
    read_errors: int = 0
    """Calls to the disk that failed; each may concern many pages."""
    refused_full: int = 0
    """Pages for which there was no slot."""
    refused_busy: int = 0
    """Pages that came during a pause after an error, or while the disk was far behind."""
    freed: int = 0
    """Pages."""


class _Write(NamedTuple):
    """Rows of a batch whose slots adjoin, and what to write there."""

    rows: list[int]
    offset: int
    data: bytearray
    blob_bytes: int


class Writeback:
    """Pages in a file. Whoever is told a position frees it, once.

    A slot in use is in one of these states: under its first write (``_unfinished``), stored, being
    read (``_reading``), freed while being read (``_freed``).
    """

    def __init__(self, disk: Disk, limit_bytes: int, clock: Clock) -> None:
        self.counters = WritebackCounters()
        self.retry_at = 0.0
        """After a failed write: nothing is stored before this time."""
        self.pages = 0
        """Stored and not freed."""
        self._disk = disk
        self._clock = clock
        self._table = SlotTable(limit_bytes)
        self._closed = False
        self._writing: dict[asyncio.Task[list[int]], None] = {}
        self._backlog_bytes = 0
        self._unfinished: set[int] = set()
        self._reading: Counter[int] = Counter()
        self._freed: set[int] = set()
        self._pause_s = _PAUSE_MIN_S
        self._no_slot_for = 0
        self._no_slot_until = 0.0
        """Most of a batch found no slot, blobs of this length too; and how long to mind that."""

    @property
    def limit_bytes(self) -> int:
        """What the file may grow to."""
        return self._table.limit_bytes

    @property
    def bytes_used(self) -> int:
        """Bytes of all slots in use; a slot is up to 511 bytes larger than its blob, or more where
        only larger slots were left.
        """
        return self._table.used_bytes

    @property
    def paused(self) -> bool:
        """Whether nothing is stored at present: after an error, when far behind, when closed."""
        behind = self._backlog_bytes >= BACKLOG_BYTES_MAX
        return self._closed or behind or self._clock.now() < self.retry_at

    def has_room(self, bytes_wanted: int) -> bool:
        """Whether it is worth while to ``store`` so many bytes. An estimate: what pages need
        depends on their lengths.
        """
        if self.paused:
            return False
        length = self._no_slot_for if self._clock.now() < self._no_slot_until else 1
        return self._table.free_bytes_for(length) >= max(bytes_wanted, 1)

    # -- storing

    async def store(self, blobs: PackedBlobs) -> array[int]:
        """Write the blobs; the position of each, or 0 for those not stored: no room, or a failed
        write. ``blobs`` is not looked at after the first wait.

        Cancelled: none is stored, and their slots are given back when the disk is done with them.
        """
        answer = array("Q", bytes(8 * len(blobs)))
        if self.paused:
            self.counters.refused_busy += len(blobs)
            return answer
        positions = self._table.take(blobs.lengths)
        self._note_refusals(positions, blobs.lengths)
        task = self._start_writing(positions, self._plan_writes(positions, blobs))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.add_done_callback(lambda task: self._take_back(task, positions))
            raise
        if not task.cancelled():  # closed meanwhile
            for row in task.result():
                answer[row] = positions[row]
                self.pages += 1
        return answer

    def _note_refusals(self, positions: Sequence[int], lengths: Sequence[int]) -> None:
        refused = positions.count(0)
        self.counters.refused_full += refused
        if refused * 2 > len(positions):
            pairs = zip(positions, lengths, strict=True)
            self._no_slot_for = min(length for position, length in pairs if not position)
            self._no_slot_until = self._clock.now() + _FULL_S

    def _plan_writes(self, positions: Sequence[int], blobs: PackedBlobs) -> list[_Write]:
        payload = memoryview(blobs.payload)
        lengths = blobs.lengths
        starts = list(accumulate(lengths, initial=0))
        writes = []
        for rows in self._table.adjoining(positions, RUN_BYTES_MAX):
            first = positions[rows[0]]
            data = bytearray()
            for row in rows:
                data += bytes((positions[row] - first) * POSITION_BYTES - len(data))
                data += payload[starts[row] : starts[row + 1]]
            blob_bytes = sum(lengths[row] for row in rows)
            writes.append(_Write(rows, first * POSITION_BYTES, data, blob_bytes))
        return writes

    def _start_writing(
        self, positions: Sequence[int], writes: list[_Write]
    ) -> asyncio.Task[list[int]]:
        """A task of its own: it goes on when the caller is cancelled."""
        size = sum(len(write.data) for write in writes)
        self._backlog_bytes += size
        self._unfinished.update(position for position in positions if position)
        task = asyncio.get_running_loop().create_task(self._write_all(writes, positions))
        self._writing[task] = None

        def ended(task: asyncio.Task[list[int]]) -> None:
            del self._writing[task]
            self._backlog_bytes -= size

        task.add_done_callback(ended)
        return task

    async def _write_all(self, writes: list[_Write], positions: Sequence[int]) -> list[int]:
        """Carry out the writes of one batch; the rows that are stored."""
        done = await asyncio.gather(*(self._write_one(write) for write in writes))
        stored = []
        for write, is_written in zip(writes, done, strict=True):
            self._unfinished.difference_update(positions[row] for row in write.rows)
            if is_written:
                stored += write.rows
                self.counters.pages_written += len(write.rows)
                self.counters.bytes_written += write.blob_bytes
            else:
                self._give_back(positions[row] for row in write.rows)
        if stored and len(stored) == sum(map(bool, positions)) and not self.paused:
            self._pause_s = _PAUSE_MIN_S
        return stored

    async def _write_one(self, write: _Write) -> bool:
        try:
            await self._disk.write(write.offset, write.data)
        except OSError as error:
            if self._closed:
                return False
            self.counters.write_errors += 1
            log.warning(
                "write_failed",
                "write-back file: {pages} pages not written: {reason}",
                pages=len(write.rows),
                reason=error.strerror or error,
            )
            if self._clock.now() >= self.retry_at:  # not yet paused for what failed beside it
                self.retry_at = self._clock.now() + self._pause_s
                self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
            return False
        return True

    def _take_back(self, task: asyncio.Task[list[int]], positions: Sequence[int]) -> None:
        """The end of a write whose caller was cancelled."""
        if not task.cancelled():
            self._give_back(positions[row] for row in task.result())

    def _give_back(self, positions: Iterable[int]) -> None:
        for position in positions:
            self._table.give_back(position)

    # -- reading

    async def read(self, positions: Sequence[int], lengths: Sequence[int]) -> list[bytes | None]:
        """The bytes of pages, or None: a failed read, or no page of this length there (any more).

        A page that is freed after the call's first step is still read, or None. Nothing is verified
        here: a disk may return something else than what was written.
        """
        answer: list[bytes | None] = [None] * len(positions)
        if self._closed:
            return answer
        there = [
            position if self._is_readable(position, length) else 0
            for position, length in zip(positions, lengths, strict=True)
        ]
        runs = list(self._table.adjoining(there, RUN_BYTES_MAX))
        pinned = [there[row] for run in runs for row in run]
        for position in pinned:
            self._reading[position] += 1
        reads = [self._read_run(run, there, lengths, answer) for run in runs]
        try:
            if len(reads) == 1:
                await reads[0]
            else:
                await asyncio.gather(*reads)
        finally:
            self._end_reading(pinned)
        return answer

    def _is_readable(self, position: int, length: int) -> bool:
        if position in self._unfinished or position in self._freed:
            return False
        return 1 <= length <= self._table.slot_bytes(position)

    async def _read_run(
        self,
        rows: list[int],
        positions: Sequence[int],
        lengths: Sequence[int],
        answer: list[bytes | None],
    ) -> None:
        first = positions[rows[0]]
        starts = [(positions[row] - first) * POSITION_BYTES for row in rows]
        try:
            offset = first * POSITION_BYTES
            data = await self._disk.read(offset, starts[-1] + lengths[rows[-1]])
        except OSError as error:
            if not self._closed:
                self.counters.read_errors += 1
                log.warning(
                    "read_failed",
                    "write-back file: {pages} pages not read: {reason}",
                    pages=len(rows),
                    reason=error.strerror or error,
                )
            return
        for row, start in zip(rows, starts, strict=True):
            answer[row] = data[start : start + lengths[row]]
            self.counters.bytes_read += lengths[row]
        self.counters.pages_read += len(rows)

    def _end_reading(self, positions: Iterable[int]) -> None:
        for position in positions:
            self._reading[position] -= 1
            if self._reading[position]:
                continue
            del self._reading[position]
            if position in self._freed:
                self._freed.remove(position)
                self._table.give_back(position)

    # -- freeing, closing

    def free(self, positions: Iterable[int]) -> None:
        """Forget pages; a slot that is being read is used again after that only.

        Raises SlotNotInUseError at a position where no page is stored (any more); those before it
        are freed. About 1 us a page: many are freed in slices.
        """
        for position in positions:
            if position in self._unfinished or position in self._freed:
                raise SlotNotInUseError(position)
            if position in self._reading:
                self._freed.add(position)
            else:
                self._table.give_back(position)
            self.pages -= 1
            self.counters.freed += 1

    async def close(self) -> None:
        """Store and read nothing any more; calls under way end with nothing stored or read. Bounded
        in time, whatever the disk does.
        """
        if self._closed:
            return
        self._closed = True
        closing = asyncio.get_running_loop().create_task(self._disk.close())
        await asyncio.wait({closing}, timeout=CLOSE_WAIT_S)
        for task in (closing, *self._writing):
            task.cancel()
        await asyncio.gather(closing, *self._writing, return_exceptions=True)
        if not closing.cancelled():
            closing.result()
