"""Code that is broken on purpose, one safety measure at a time: the simulator must find each out.

Covers: the table of broken variants and running them. Does not cover: how a fault shows
(``world.py``, ``audit.py``, ``workload.py``).

A variant replaces one method of the real code for as long as its context lasts. To add one: write a
function decorated with ``variant``, with the sentence that says what is missing as its docstring;
name the profiles that can show it if ``any`` is not the one. A variant that patches a name which is
gone fails with AttributeError, so that it is mended rather than forgotten.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from ramster.cluster import Cluster
from ramster.copies import CopyReader, Wanted
from ramster.deliveries import Deliveries
from ramster.drain import DrainReport, Guests
from ramster.errors import PeerTimeoutError, UnknownLeaseError
from ramster.fetch_calls import FetchCalls
from ramster.fetcher import Fetcher
from ramster.flusher import Flusher
from ramster.foreign import ForeignPages
from ramster.leases import BatchWindow, Leases
from ramster.lenders import LenderTable, Place
from ramster.membership import Membership
from ramster.placement import choose_lender
from ramster.relocator import Relocator
from ramster.replication import Replication
from ramster.room import PendingPut
from ramster.spiller import Spiller
from ramster.writeback import Writeback
from tests.simulation.history import Outcome
from tests.simulation.runner import first_failure
from zcache import PageState, PoolKind
from zcache.codec import checksum_of, decode
from zcache.entries import Entries
from zcache.lending import Lending
from zcache.page_table import AWAY, FOREIGN, LOCAL, STATE_MASK
from zcache.repatriation import Repatriation
from zcache.spill import SpillDesk

SEEDS_MAX = 300
"""A variant that as many seeds do not find out has survived."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to break the code."""

    name: str
    missing: str
    """The safety measure that is gone."""
    broken: Callable[[], AbstractContextManager[Any]]
    profiles: tuple[str, ...] = ("any",)
    first: int = 0
    """The seed to begin with: shortly before the first that finds it out, to save time."""

    def caught(self, seeds_max: int = SEEDS_MAX) -> Outcome | None:
        """The first failure among ``seeds_max`` seeds; None if it survives."""
        seeds = range(self.first, self.first + seeds_max)
        with self.broken():
            return first_failure((seed, profile) for seed in seeds for profile in self.profiles)


VARIANTS: dict[str, Variant] = {}


def variant(
    *profiles: str, first: int = 0
) -> Callable[[Callable[[], Iterator[Any]]], Callable[[], Iterator[Any]]]:
    """Enter a broken variant into the table."""

    def enter(broken: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
        name = broken.__name__
        missing = " ".join((broken.__doc__ or "").split())
        VARIANTS[name] = Variant(name, missing, contextmanager(broken), profiles or ("any",), first)
        return broken

    return enter


def survivors(names: Sequence[str], tell: Callable[[str], None]) -> list[str]:
    """Run variants; the names of those that were not found out."""
    alive = []
    for name in names:
        outcome = VARIANTS[name].caught()
        if outcome is None:
            alive.append(name)
            tell(f"SURVIVED  {name}: {VARIANTS[name].missing}")
        else:
            tell(f"caught    {name}: seed {outcome.seed}, {outcome.profile}: {outcome.failure}")
    return alive


# -- reading pages back ---------------------------------------------------------------------------


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


# -- pages on their way out -----------------------------------------------------------------------


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


# -- several copies -------------------------------------------------------------------------------


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


# -- pages that move ------------------------------------------------------------------------------


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


@variant("moves", first=4)
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


@variant("moves", first=14)
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


# -- the file -------------------------------------------------------------------------------------


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


# -- copies that are no longer wanted -------------------------------------------------------------


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


# -- lives and leases -----------------------------------------------------------------------------


@variant()
def a_restarted_lender_is_the_same() -> Iterator[None]:
    """An owner does not notice that a lender lives another life."""
    real = Membership.on_hello_reply

    def on_hello_reply(self: Any, address: str, reply: Any, **times: Any) -> Any:
        lender = self._peers[address].lender
        if lender is not None:
            reply = replace(reply, incarnation=lender.incarnation, lease=lender.lease)
        return real(self, address, reply, **times)

    with (
        patch.object(Membership, "on_hello_reply", on_hello_reply),
        patch.object(Leases, "renew", _renew_any_lease),
    ):
        yield


def _renew_any_lease(self: Any, number: int, incarnation: int | None = None) -> Any:
    """A lender that takes any lease for the oldest that it knows."""
    lease = self._leases.get(number) or next(iter(self._leases.values()), None)
    if lease is None:
        raise UnknownLeaseError("no lease at all")
    lease.heard_at = self._clock.now()
    return lease


@variant()
def leases_never_end() -> Iterator[None]:
    """A lender keeps the pages of owners that are gone."""

    def lease_for(self: Any, owner: str, incarnation: int) -> Any:
        lease = self._by_owner.get(owner)
        if lease is not None and lease.incarnation == incarnation:
            return self.renew(lease.number)
        return self._open(owner, incarnation)

    with (
        patch.object(Leases, "sweep", lambda self, interval_s: 0),
        patch.object(Leases, "lease_for", lease_for),
    ):
        yield


@variant(first=22)
def a_lease_ends_without_a_new_number() -> Iterator[None]:
    """A lender frees an owner's pages and keeps the lease."""

    def sweep(self: Any, interval_s: float) -> int:
        now = self._clock.now()
        for lease in self._leases.values():
            if now - lease.heard_at >= self._config.lease_s:
                for pool in lease.pools.values():
                    self._cache.empty_pool(pool, 10**6)
        return 0

    with patch.object(Leases, "sweep", sweep):
        yield


@variant()
def a_lender_that_is_gone_keeps_its_stubs() -> Iterator[None]:
    """An owner does not act on the end of a lender."""
    with patch.object(Cluster, "_lender_gone", lambda self, event: None):
        yield


@variant()
def a_goodbye_is_not_heard() -> Iterator[None]:
    """A lender keeps the pages of an owner that left in good order till its lease ends."""
    real = ForeignPages.on_heartbeat

    def on_heartbeat(self: Any, beat: Any) -> Any:
        return real(self, replace(beat, leaving=False))

    with patch.object(ForeignPages, "on_heartbeat", on_heartbeat):
        yield


@variant("single")
def a_lender_that_stood_still_counts_that_as_silence() -> Iterator[None]:
    """A lender that was stopped for a while ends the leases of all that it did not hear."""
    with patch.object(Leases, "_give_credit", lambda self, now, interval_s: None):
        yield


# -- bounds ---------------------------------------------------------------------------------------


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
