"""Broken ways of reading pages back.

Covers: what is believed, who is asked, how long. Does not cover: the file alone (``files.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from ramster.copies import CopyReader, Wanted
from ramster.errors import PeerTimeoutError
from ramster.fetch_calls import FetchCalls
from ramster.fetcher import Fetcher
from ramster.placement import choose_lender
from ramster.replication import Replication
from ramster.room import PendingPut
from tests.simulation.variants.table import variant
from zcache import PageState, PoolKind
from zcache.codec import checksum_of, decode
from zcache.page_table import AWAY, STATE_MASK
from zcache.repatriation import Repatriation


@variant("moves", first=80)
def restore_ignores_the_generation() -> Iterator[None]:
    """A fetched blob is taken for the page even if the page was put again meanwhile."""

    def stub(self: Any, pool: Any, object_id: int, index: int, blobs: Any, row: int) -> int:
        entry = self._entries.find(pool, object_id, index)
        if entry and self._entries.table.flags[entry] & STATE_MASK == AWAY:
            return int(entry)
        return 0

    with patch.object(Repatriation, "_stub", stub):
        yield


@variant("alone")
def restore_ignores_the_checksum() -> Iterator[None]:
    """Neither the stub's checksum nor the blob's is compared with what came."""

    def trusting(blob: Any, encoding: int, checksum: int) -> bytes:
        return decode(blob, encoding, checksum_of(blob))

    with (
        patch.object(Wanted, "matches", lambda self, blob: True),
        patch.object(Repatriation, "_matches", lambda self, blobs, row: True),
        patch("zcache.repatriation.decode", trusting),
    ):
        yield


@variant()
def an_absent_copy_is_a_miss() -> Iterator[None]:
    """A persistent page whose copy is gone is answered as absent."""

    def lose(self: Any, get: Any, row: Any, reason: str) -> None:
        get.states[row.position] = PageState.ABSENT

    with patch.object(Fetcher, "_lose", lose):
        yield


@variant(first=11)
def an_unknown_lease_is_a_zero_page() -> Iterator[None]:
    """Pages of a lease that ended are answered as pages of zeros."""

    real = Fetcher._lose

    def lose(self: Any, get: Any, row: Any, reason: str) -> None:
        if not any(map(self._table.gone_reason, row.place.lenders)):
            real(self, get, row, reason)
            return
        get.copy(row.position, memoryview(bytes(4096)))
        get.states[row.position] = PageState.PRESENT

    with patch.object(Fetcher, "_lose", lose):
        yield


@variant()
def some_puts_store_nothing() -> Iterator[None]:
    """Now and then a put is answered as done and nothing is stored."""
    real = PendingPut.__call__

    def call(self: Any) -> bool:
        return self._indexes[0] % 7 == 3 or real(self)

    with patch.object(PendingPut, "__call__", call):
        yield


@variant("calm", first=8)
def both_copies_are_at_one_node() -> Iterator[None]:
    """Lenders of a batch are chosen without regard to each other."""

    def choose(
        candidates: Any, target: str, size: int, copies: int, random: Any, *, taken: Any = ()
    ) -> Any:
        left = [peer for peer in candidates if peer.lender.node not in taken]
        some = (choose_lender(left, target, size, random) for _ in range(copies))
        return [one for one in some if one is not None]

    with (
        patch("ramster.spiller.choose_lenders", choose),
        patch("ramster.relocator.choose_lenders", choose),
    ):
        yield


@variant("single")
def a_read_stops_at_the_first_holder() -> Iterator[None]:
    """A page that one of its holders does not give is lost."""
    real = CopyReader._sources

    def sources(self: Any, place: Any, reading: Any) -> Any:
        return real(self, place, reading)[:1]

    with patch.object(CopyReader, "_sources", sources):
        yield


@variant("single")
def a_slow_holder_is_waited_for() -> Iterator[None]:
    """The next holder is asked when the one before has answered, or its time is up."""

    async def something_happens(self: Any, reading: Any, running: Any, *, hurry: bool) -> bool:
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            del running[task]
        return True

    with patch.object(CopyReader, "_something_happens", something_happens):
        yield


@variant("single", first=17)
def a_lost_copy_counts_as_held() -> Iterator[None]:
    """A page is believed to have the copies that its word names, whoever is gone."""
    with patch.object(Replication, "held", lambda self, place: place.lenders):
        yield


@variant(first=173)
def a_copy_that_is_struck_off_stays_at_its_lender() -> Iterator[None]:
    """A damaged copy is forgotten and not flushed."""
    real = Fetcher._strike

    def strike(self: Any, page: Any, lenders: Any) -> None:
        flusher, self._flusher = self._flusher, _NoFlusher()
        real(self, page, lenders)
        self._flusher = flusher

    with patch.object(Fetcher, "_strike", strike):
        yield


class _NoFlusher:
    def flush_batch(self, *arguments: Any) -> None:
        pass


@variant()
def a_get_waits_for_ever() -> Iterator[None]:
    """A get asks a silent lender again and again, without a bound."""
    real = FetchCalls.ask

    async def ask(
        self: Any, lender: Any, kind: PoolKind, names: Any, deadline: float, tell: Any
    ) -> Any:
        while True:
            try:
                return await real(self, lender, kind, names, self._clock.now() + 0.4, tell)
            except PeerTimeoutError:
                continue

    with patch.object(FetchCalls, "ask", ask):
        yield
