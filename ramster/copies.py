"""Reading one copy of each page, from whichever holder gives it first.

Covers: the order in which holders are asked, hedging, going on to the next copy, verification of
what comes. Does not cover: one call and its repetition (``fetch_calls.py``), who wants the pages
(``fetcher.py``, ``relocator.py``), decompression (the cache).

The first holder is asked for all pages. If it cannot be reached, has not answered after
``hedge_after_s``, or answers without some of them, the next one is asked for what is missing, and
so on; the write-back file comes last. A holder that cannot be reached is asked again meanwhile.
One that had to be helped out because it was slow is asked last for a while, so that one that hangs
costs that wait once and not for each read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from ramster.blobs import Blob
from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import PeerError, PeerTimeoutError
from ramster.fetch_calls import CopyName, FetchCalls
from ramster.fetch_reply import BLOB_LEFT_OUT
from ramster.lenders import Lender, LenderTable, Place
from ramster.membership import Membership
from ramster.peer_state import PeerState
from ramster.writeback import Writeback
from zcache import AwayPages, position_of
from zcache.codec import checksum_of

__all__ = ["CopyReader", "Found", "Wanted", "wanted_rows"]

SLOW_FOR_S = 1.0
"""How long a holder that was too slow once is asked last."""


class Wanted(NamedTuple):
    """A page to read: its name, its word, and what its blob must be."""

    key: int
    generation: int
    length: int
    encoding: int
    checksum: int
    where: int

    @property
    def name(self) -> CopyName:
        """What its copies are called everywhere."""
        return (self.key, self.generation)

    def matches(self, blob: Blob) -> bool:
        """Whether these are the bytes that were given away."""
        return (
            blob.length == self.length == len(blob.data)
            and blob.encoding == self.encoding
            and blob.checksum == self.checksum
            and checksum_of(blob.data) == self.checksum
        )


def wanted_rows(away: AwayPages) -> list[Wanted]:
    """The rows of an answer of the cache."""
    return [
        Wanted(*row)
        for row in zip(
            away.keys,
            away.generations,
            away.lengths,
            away.encodings,
            away.checksums,
            away.wheres,
            strict=True,
        )
    ]


@dataclass(slots=True)
class Found:
    """What a read brought."""

    blobs: dict[CopyName, Blob] = field(default_factory=dict)
    """Verified."""
    reasons: dict[CopyName, str] = field(default_factory=dict)
    """Of pages that nobody gave: why, for people."""
    bad: dict[CopyName, list[Lender]] = field(default_factory=dict)
    """Lenders that answered and have no good copy."""


class _Reading:
    """One read, shared by the holders that are asked for it."""

    def __init__(
        self,
        wanted: Sequence[Wanted],
        essential: int,
        is_current: Callable[[Wanted], bool],
        counters: ClusterCounters,
    ) -> None:
        self._is_current = is_current
        self.missing = {page.name: page for page in wanted}
        self.essential = {page.name for page in wanted[:essential]}
        """Pages that are worth asking another holder for; the others are read ahead."""
        self.found = Found()
        self.trouble: asyncio.Future[None] | None = None
        """While somebody would go on to another holder for it: done when one that is being asked
        cannot be reached at present.
        """
        self._counters = counters

    @property
    def done(self) -> bool:
        """Whether every page that is wanted now is here."""
        return self.essential.isdisjoint(self.missing)

    def out_of_reach(self) -> None:
        """A holder that is being asked cannot be reached at present."""
        if self.trouble is not None and not self.trouble.done():
            self.trouble.set_result(None)

    def take(self, page: Wanted, blob: Blob | None, holder: str, lender: Lender | None) -> None:
        """A holder's answer for one page; None: it does not have it."""
        if page.name not in self.missing:
            return
        if blob is not None and page.matches(blob):
            self.found.blobs[page.name] = blob
            del self.missing[page.name]
            return
        if not self._is_current(page):
            del self.missing[page.name]  # no wonder, and no other holder has it either
            self.found.reasons[page.name] = "it changed while it was read"
            return
        if blob is None:
            why = f"{holder} does not have it any more"
        else:
            why = f"the copy of {holder} fails its checksum"
            self._counters.pages_corrupt += 1
        self.found.reasons[page.name] = why
        if lender is not None:
            self.found.bad.setdefault(page.name, []).append(lender)

    def drop_changed(self) -> None:
        """Wait no longer for pages that changed meanwhile."""
        for page in list(self.missing.values()):
            if page.name in self.essential and not self._is_current(page):
                del self.missing[page.name]
                self.found.reasons[page.name] = "it changed while it was read"

    def refused(self, why: str) -> None:
        """A holder could not be asked, or did not answer."""
        for name in self.missing:
            self.found.reasons.setdefault(name, why)


class CopyReader:
    """Reads blobs of away pages for one node."""

    def __init__(
        self,
        config: ClusterConfig,
        table: LenderTable,
        membership: Membership,
        calls: FetchCalls,
        writeback: Writeback | None,
        clock: Clock,
        random: Random,
        counters: ClusterCounters,
    ) -> None:
        self._config = config
        self._table = table
        self._membership = membership
        self._calls = calls
        self._writeback = writeback
        self._clock = clock
        self._random = random
        self._counters = counters
        self._slow_until: dict[Lender, float] = {}

    async def read(
        self,
        place: Place,
        wanted: Sequence[Wanted],
        deadline: float,
        *,
        essential: int,
        is_current: Callable[[Wanted], bool],
    ) -> Found:
        """One copy of each page of ``wanted`` (all at ``place``), by ``deadline`` (clock time).

        The first ``essential`` pages are asked of every holder if need be, the others only of the
        first one that answers. Pages that are not current any more are not waited for. Never
        raises for what holders do.
        """
        reading = _Reading(wanted, essential, is_current, self._counters)
        sources = self._sources(place, reading)
        if len(sources) == 1:
            await self._ask(sources[0], place, reading, deadline)
        elif sources:
            await self._ask_in_turn(sources, place, reading, deadline)
        if reading.missing:
            reading.refused("nobody was left to ask")
        for name in reading.found.blobs if reading.found.reasons else ():
            reading.found.reasons.pop(name, None)
        return reading.found

    async def _ask_in_turn(
        self, sources: list[Lender | None], place: Place, reading: _Reading, deadline: float
    ) -> None:
        """Ask one holder after the other, the next one before the former has answered if that
        takes long.
        """
        async with _tasks() as running:
            while (sources or running) and not reading.done:
                if sources:
                    source = sources.pop(0)
                    task = asyncio.get_running_loop().create_task(
                        self._ask(source, place, reading, deadline)
                    )
                    running[task] = source
                if await self._something_happens(reading, running, hurry=bool(sources)):
                    continue
                reading.drop_changed()
                for source in running.values():
                    if source is not None:
                        self._slow_until[source] = self._clock.now() + SLOW_FOR_S
                if sources:
                    self._counters.fetches_hedged += 1

    async def _something_happens(
        self, reading: _Reading, running: dict[asyncio.Task[None], Lender | None], *, hurry: bool
    ) -> bool:
        """Wait until a holder has answered, or, with ``hurry``, one is out of reach; False when
        that takes so long that it is time to ask another one, or to look whether the pages are
        still wanted.
        """
        waited: list[asyncio.Future[None]] = [*running]
        if hurry:
            reading.trouble = asyncio.get_running_loop().create_future()
            waited.append(reading.trouble)
        happened, _ = await asyncio.wait(
            waited, timeout=self._config.hedge_after_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in [task for task in running if task.done()]:
            del running[task]
            task.result()
        return bool(happened)

    def _sources(self, place: Place, reading: _Reading) -> list[Lender | None]:
        """Holders worth asking, best first; None is the write-back file."""
        now = self._clock.now() if self._slow_until else 0.0
        for lender in [lender for lender, until in self._slow_until.items() if until <= now]:
            del self._slow_until[lender]
        ranked: list[tuple[bool, bool, float, Lender]] = []
        for lender in place.lenders:
            gone = self._table.gone_reason(lender)
            state = self._membership.state_of(lender)
            if gone is not None:
                reading.refused(gone)
            elif state not in (PeerState.ALIVE, PeerState.SUSPECT):
                reading.refused(f"{lender.node} is out of touch")
            else:
                slow = lender in self._slow_until
                ranked.append((state is PeerState.SUSPECT, slow, self._random.random(), lender))
        sources: list[Lender | None] = [rank[3] for rank in sorted(ranked)]
        if place.disk and self._writeback is not None:
            sources.append(None)
        return sources

    async def _ask(
        self, source: Lender | None, place: Place, reading: _Reading, deadline: float
    ) -> None:
        """Ask one holder for what is missing."""
        if source is None:
            await self._ask_file(reading, deadline)
            return
        try:
            while True:
                pages = list(reading.missing.values())
                if not pages:
                    return
                names = [page.name for page in pages]
                answers = await self._calls.ask(
                    source, place.kind, names, deadline, reading.out_of_reach
                )
                left_out = 0
                for page in pages:
                    answer = answers[page.name]
                    if answer == BLOB_LEFT_OUT:
                        left_out += 1
                        continue
                    blob = answer if isinstance(answer, Blob) else None
                    reading.take(page, blob, source.node, source)
                if not left_out or left_out == len(pages):
                    if left_out:
                        reading.refused(f"{source.node} leaves it out")
                    return
                if reading.done:
                    return
        except PeerTimeoutError:
            reading.refused(
                f"no answer from {source.node} within {self._config.fetch_deadline_s:g} s"
            )
        except PeerError as error:
            reading.refused(str(error))

    async def _ask_file(self, reading: _Reading, deadline: float) -> None:
        """Read what is missing from the write-back file."""
        assert self._writeback is not None
        pages = list(reading.missing.values())
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock.now())):
                parts = await self._writeback.read(
                    [position_of(page.where) for page in pages], [page.length for page in pages]
                )
        except TimeoutError:
            reading.refused("the write-back file did not answer in time")
            return
        for page, data in zip(pages, parts, strict=True):
            if data is None:
                reading.found.reasons[page.name] = "the write-back file could not be read"
                continue
            blob = Blob(
                page.key, page.generation, len(data), page.encoding, checksum_of(data), data
            )
            reading.take(page, blob, "the write-back file", None)


@asynccontextmanager
async def _tasks() -> AsyncIterator[dict[asyncio.Task[None], Lender | None]]:
    """Tasks by the holder they ask; those that are left at the end are cancelled."""
    running: dict[asyncio.Task[None], Lender | None] = {}
    try:
        yield running
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
