"""The memory squeeze: a lender's own program wants the room that it lends.

Covers: filling a lender's own export with pages that do not compress, comparing them, trimming.
Does not cover: when (``schedule.py``).
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from ramster.nbd.client import NbdClient
from tests.chaos.contents import PAGE_BYTES, noise

__all__ = ["SqueezeFigures", "squeeze"]

_IN_FLIGHT = 8
_ANSWER_S = 30.0
_PAUSE_S = 0.05
_RUN = 8
"""Pages of one request."""
T = TypeVar("T")


@dataclass
class SqueezeFigures:
    """What became of the lender's own pages."""

    written: int = 0
    refused: int = 0
    """Pages for which there was no room, however often they were tried."""
    refusals: int = 0
    """Writes answered with ENOSPC; each is tried again until the time is over."""
    failed_reads: int = 0
    """Requests, as are the wrong ones."""
    wrong: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def squeeze(url: str, export: str, seed: int, pages: int, hold_s: float) -> SqueezeFigures:
    """Fill that many pages for ``hold_s`` at least, read them back, trim them.

    Raises OSError (TimeoutError for an answer that does not come) if the lender fails otherwise.
    """
    return asyncio.run(_squeeze(url, export, seed, pages, hold_s))


async def _squeeze(url: str, export: str, seed: int, pages: int, hold_s: float) -> SqueezeFigures:
    end = time.monotonic() + hold_s
    client = await _bounded(NbdClient.connect(url, export))
    try:
        program = _Program(client, seed, pages, end)
        await asyncio.gather(*(program.fill() for _ in range(_IN_FLIGHT)))
        program.figures.written = sum(map(len, program.there))
        await asyncio.gather(*(program.compare() for _ in range(_IN_FLIGHT)))
        await _pass(end - time.monotonic())
        await _bounded(client.trim(0, pages * PAGE_BYTES))
    finally:
        await client.close()
    return program.figures


class _Program:
    """The lender's own program; its methods may run several times at once."""

    def __init__(self, client: NbdClient, seed: int, pages: int, end: float) -> None:
        self.figures = SqueezeFigures()
        self.there: list[range] = []
        self._client = client
        self._seed = seed
        self._todo = [range(first, min(first + _RUN, pages)) for first in range(0, pages, _RUN)]
        self._end = end

    async def fill(self) -> None:
        while self._todo:
            run = self._todo.pop()
            try:
                await _bounded(self._client.write(run.start * PAGE_BYTES, self._content(run)))
                self.there.append(run)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self.figures.refusals += 1
                if time.monotonic() > self._end:
                    self.figures.refused += len(run)
                else:
                    self._todo.append(run)
                    await _pass(_PAUSE_S)

    async def compare(self) -> None:
        while self.there:
            run = self.there.pop()
            try:
                size = len(run) * PAGE_BYTES
                data = await _bounded(self._client.read(run.start * PAGE_BYTES, size))
                self.figures.wrong += data != self._content(run)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self.figures.failed_reads += 1

    def _content(self, run: range) -> bytes:
        return b"".join(noise(self._seed, page, 1) for page in run)


async def _bounded(call: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(_ANSWER_S):
        return await call


async def _pass(seconds: float) -> None:
    """Let this time pass."""
    try:
        await asyncio.wait_for(asyncio.Event().wait(), max(seconds, 0))
    except TimeoutError:
        return
