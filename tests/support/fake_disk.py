"""A disk in memory with the faults of real ones, for the loop of ``tests.support.virtual_time``.

The same generator gives the same run. As with a real disk behind threads, a call whose caller is
cancelled goes on, and a transfer takes place over a while: who reads during a write may see half of
it. Such a meeting is noted in ``races``; nobody who keeps order causes one.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from zcache import Buffer

T = TypeVar("T")

SECTOR_BYTES = 512


class FakeDisk:
    """Bytes at offsets, behind the interface ``ramster.disk.Disk``.

    Every fault is off at first and may be changed at any time.
    """

    def __init__(
        self,
        random: Random,
        *,
        delay_s: tuple[float, float] = (0.0001, 0.001),
        capacity_bytes: int | None = None,
    ) -> None:
        self.random = random
        self.delay_s = delay_s
        """Range of one call's time."""
        self.capacity_bytes = capacity_bytes
        """Where the disk is full: what is written beyond is ENOSPC, after the part that fits."""
        self.write_errors = 0.0
        self.read_errors = 0.0
        """Share of calls that fail, having done nothing."""
        self.short_writes = 0.0
        """Share of writes of which only a part is written: an error too."""
        self.corrupt_reads = 0.0
        """Share of reads of which one bit is wrong."""
        self.reads = 0
        self.writes = 0
        """Calls begun."""
        self.races: list[str] = []
        self.content = bytearray()
        self.closed = False
        self._answers = asyncio.Event()
        self._answers.set()
        self._under_way: dict[asyncio.Task[Any], tuple[str, int, int]] = {}

    def hang(self) -> None:
        """Let no call end before ``go_on``."""
        self._answers.clear()

    def go_on(self) -> None:
        """End of ``hang``."""
        self._answers.set()

    @property
    def calls_under_way(self) -> int:
        """Calls that have not ended, those included whose callers are gone."""
        return len(self._under_way)

    async def read(self, offset: int, length: int) -> bytes:
        """See ``Disk``."""
        self.reads += 1
        return await self._carry("read", offset, length, self._read(offset, length))

    async def write(self, offset: int, data: Buffer) -> None:
        """See ``Disk``."""
        self.writes += 1
        await self._carry("write", offset, len(data), self._write(offset, data))

    async def close(self) -> None:
        """See ``Disk``."""
        self.closed = True
        self._answers.set()

    async def _carry(self, call: str, offset: int, length: int, work: Coroutine[Any, Any, T]) -> T:
        for other, start, end in self._under_way.values():
            overlap = start < offset + length and offset < end
            if overlap and "write" in (call, other):
                self.races.append(f"{call} at {offset} during a {other} at {start}")
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[task] = (call, offset, offset + length)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if call == "read" and task in self._under_way:
                self._under_way[task] = ("read", 0, 0)  # whatever it reads, nobody sees
            raise
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._under_way[task]
        if not task.cancelled():
            task.exception()  # known to the caller, if there still is one

    async def _read(self, offset: int, length: int) -> bytes:
        await self._half_a_call()
        if self._strikes(self.read_errors):
            raise _error(errno.EIO)
        half = length // 2 // SECTOR_BYTES * SECTOR_BYTES
        data = self.content[offset : offset + half]
        await self._half_a_call()
        data += self.content[offset + half : offset + length]
        if len(data) < length:
            raise _error(errno.EIO)
        if self._strikes(self.corrupt_reads):
            data[self.random.randrange(length)] ^= 1 << self.random.randrange(8)
        return bytes(data)

    async def _write(self, offset: int, data: Buffer) -> None:
        await self._half_a_call()
        if self._strikes(self.write_errors):
            raise _error(errno.EIO)
        fits = len(data)
        if self._strikes(self.short_writes):
            fits = self.random.randrange(len(data))
        if self.capacity_bytes is not None:
            fits = max(0, min(fits, self.capacity_bytes - offset))
        if len(self.content) < offset:
            self.content += bytes(offset - len(self.content))
        half = fits // 2 // SECTOR_BYTES * SECTOR_BYTES
        self.content[offset : offset + half] = data[:half]
        await self._half_a_call()
        self.content[offset + half : offset + fits] = data[half:fits]
        if fits < len(data):
            raise _error(errno.ENOSPC)

    async def _half_a_call(self) -> None:
        await asyncio.sleep(self.random.uniform(*self.delay_s) / 2)
        await self._answers.wait()
        if self.closed:
            raise _error(errno.EBADF)

    def _strikes(self, share: float) -> bool:
        return self.random.random() < share


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
