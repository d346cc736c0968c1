"""The demo's workload: write everything, read it in order, read pages at random, compare each byte.

Covers: requests over NBD, several in flight, and what came of them. Does not cover: which node
serves (``nodes.py``), figures of the node, the table (``report.py``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from ramster.nbd.client import NbdClient
from zcache import PAGE_SIZE

__all__ = ["CHUNK_BYTES", "IN_FLIGHT", "Phase", "Workload"]

CHUNK_BYTES = 128 * 1024
"""One request of the passes in order: what the kernel's NBD client sends at most by default."""
IN_FLIGHT = 4
"""Requests under way at any time."""

Progress = Callable[[str, int, int], None]
"""Called with the phase's name, its bytes done and its bytes in all."""


@dataclass(slots=True)
class Phase:
    """What came of one pass over the data."""

    name: str
    bytes_done: int = 0
    seconds: float = 0.0
    wrong_pages: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    """One line for each request that the server refused."""
    latencies_s: list[float] = field(default_factory=list)

    @property
    def bytes_per_s(self) -> float:
        """Payload per second of the pass."""
        return self.bytes_done / self.seconds if self.seconds else 0.0

    def latency_ms(self, share: float) -> float:
        """The latency that ``share`` of the requests kept within, in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0


class Workload:
    """Passes of ``data`` through one export. Requests are 4096-byte aligned, and so is the data."""

    def __init__(self, client: NbdClient, data: bytearray, progress: Progress) -> None:
        self._client = client
        self._data = memoryview(data)
        self._progress = progress
        self._unwritten: set[int] = set()

    @property
    def unwritten_pages(self) -> int:
        """Pages of refused writes. What they hold is not promised, so reads do not compare them."""
        return len(self._unwritten)

    async def write(self) -> Phase:
        """Write all of it, in order, and flush."""

        async def write(_: Phase, offset: int, length: int) -> None:
            try:
                await self._client.write(offset, self._data[offset : offset + length])
            except OSError:
                pages = range(offset // PAGE_SIZE, (offset + length) // PAGE_SIZE)
                self._unwritten.update(pages)
                raise

        phase = await self._run("write", self._chunks(), write)
        await self._client.flush()
        return phase

    async def read_in_order(self) -> Phase:
        """Read all of it back, in order."""
        return await self._run("read in order", self._chunks(), self._read)

    async def read_at_random(self, pages: int, seed: int) -> Phase:
        """Read single pages from all over, none twice."""
        stored = len(self._data) // PAGE_SIZE
        chosen = random.Random(seed).sample(range(stored), min(pages, stored))
        requests = [(page * PAGE_SIZE, PAGE_SIZE) for page in chosen]
        return await self._run("read at random", requests, self._read)

    def _chunks(self) -> list[tuple[int, int]]:
        size = len(self._data)
        return [(offset, min(CHUNK_BYTES, size - offset)) for offset in range(0, size, CHUNK_BYTES)]

    async def _read(self, phase: Phase, offset: int, length: int) -> None:
        found = await self._client.read(offset, length)
        wanted = self._data[offset : offset + length]
        if found == wanted:
            return
        for start in range(0, length, PAGE_SIZE):
            page = (offset + start) // PAGE_SIZE
            if page in self._unwritten:
                continue
            if found[start : start + PAGE_SIZE] != wanted[start : start + PAGE_SIZE]:
                phase.wrong_pages.add(page)

    async def _run(
        self,
        name: str,
        requests: list[tuple[int, int]],
        send: Callable[[Phase, int, int], Awaitable[None]],
    ) -> Phase:
        phase = Phase(name)
        total = sum(length for _, length in requests)
        queue = iter(requests)
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(self._drain(phase, queue, send, total))
        phase.seconds = time.perf_counter() - start
        return phase

    async def _drain(
        self,
        phase: Phase,
        queue: Iterable[tuple[int, int]],
        send: Callable[[Phase, int, int], Awaitable[None]],
        total: int,
    ) -> None:
        for offset, length in queue:
            begun = time.perf_counter()
            try:
                await send(phase, offset, length)
            except OSError as error:
                phase.failures.append(f"{phase.name} at {offset}: {error.strerror or error}")
            phase.latencies_s.append(time.perf_counter() - begun)
            phase.bytes_done += length
            self._progress(phase.name, phase.bytes_done, total)
