"""The peer layer of one node, put together: what runs, what calls what, in which order it starts
and stops.

Covers: wiring, background tasks, what membership's events set in motion, the snapshot. Does not
cover: any decision (each is in the module that is named after it).

Everything runs on one event loop. Calls into the cache are made on the loop, in batches that are
bounded, so there are no locks here; time comes from the clock and randomness from the generator
that are handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import nlargest
from random import Random

from ramster.clock import Clock
from ramster.cluster_config import SPILL_AUTO, SPILL_NOWHERE, ClusterConfig
from ramster.cluster_store import ClusterStore
from ramster.copies import CopyReader
from ramster.counters import ClusterCounters
from ramster.deliveries import Deliveries
from ramster.drain import DrainReport, Guests
from ramster.errors import ConfigurationError
from ramster.event_log import EventLog
from ramster.fetch_calls import FetchCalls
from ramster.fetcher import Fetcher
from ramster.flusher import Flusher
from ramster.foreign import ForeignPages
from ramster.lenders import Lender, LenderTable
from ramster.membership import Membership
from ramster.peer_state import Event, LenderGone, LenderUp, Peer, PeerState, StateChanged
from ramster.peers import Peers
from ramster.relocator import Relocator
from ramster.replication import Replication
from ramster.room import RoomQueue
from ramster.snapshot import (
    ClusterSnapshot,
    ForeignSnapshot,
    PeerSnapshot,
    WritebackSnapshot,
)
from ramster.spiller import Spiller
from ramster.tasks import SupervisedTasks
from ramster.timings import Timings
from ramster.transport import PeerHandler, Transport
from ramster.writeback import Writeback, WritebackCounters
from zcache import CacheContract, PoolKind, position_of

__all__ = ["Cluster", "ClusterConfig", "ClusterSnapshot"]

log = EventLog(__name__)

SWEEP_INTERVAL_MAX_S = 10.0
"""Longest pause between two looks at leases and lender numbers; an eighth of a lease if shorter."""

OWNERS_SHOWN_MAX = 256
"""Owners in a snapshot: each has a row on pages and series in metrics, and its name is a peer's."""


class Cluster:
    """One node's peer layer. ``store`` is its page store, ``handler`` what its peers' calls go to.

    ``start`` needs a running event loop and no peer; ``stop`` needs none either. Raises
    ConfigurationError for a safety copy without a file.
    """

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        transport: Transport,
        *,
        clock: Clock,
        random: Random,
        writeback: Writeback | None = None,
        timings: Timings | None = None,
        figures: Callable[[], bytes] | None = None,
    ) -> None:
        if config.writeback_safety and writeback is None:
            raise ConfigurationError(
                "writeback_safety", True, "Cluster", "given together with a write-back file"
            )
        self.config = config
        self._cache = cache
        self._writeback = writeback
        self._clock = clock
        self.incarnation = random.getrandbits(63) | 1
        self.counters = ClusterCounters()
        self.timings = timings or Timings()
        self.tasks = SupervisedTasks()
        self._table = LenderTable()
        self._room = RoomQueue()
        self._membership = Membership(config, self.incarnation, random, now=clock.now())
        self._peers = Peers(
            config, self._membership, transport, clock, self.counters, self._on_events
        )
        self._replication = Replication(config, self._peers.reachable)
        self._flusher = Flusher(
            cache,
            config,
            self._table,
            self._peers,
            random,
            self.counters,
            self.tasks,
            free_slots=self._free_slots,
        )
        self._deliveries = Deliveries(
            config,
            self._membership,
            self._table,
            self._peers,
            self._flusher,
            writeback,
            clock,
            self.counters,
            self.timings,
            on_end=lambda: self._spiller.delivery_ended(),
        )
        self._spiller = Spiller(
            cache,
            config,
            self._membership,
            self._replication,
            self._table,
            self._deliveries,
            self._flusher,
            writeback,
            random,
            self.counters,
            self.tasks,
            writers_wait=lambda: len(self._room) > 0,
            on_progress=self._room.wake,
        )
        self._foreign = ForeignPages(
            cache,
            config,
            clock,
            random,
            self.counters,
            incarnation=self.incarnation,
            wanted=lambda: self._guests.ask_for_room(),
            freed=self._guests_left,
            figures=figures,
        )
        self._guests = Guests(
            cache,
            self._foreign,
            clock,
            stuck=lambda: self._spiller.stuck,
            dead_after_s=config.dead_after_s,
            leaving=self._membership.is_draining,
        )
        self.handler: PeerHandler = self._foreign
        copies = CopyReader(
            config,
            self._table,
            self._membership,
            FetchCalls(
                config, self._table, self._peers, clock, self.counters, self.tasks, self.timings
            ),
            writeback,
            clock,
            random,
            self.counters,
        )
        self._fetcher = Fetcher(
            cache, config, self._table, copies, self._flusher, clock, self.counters
        )
        self._relocator = Relocator(
            cache,
            config,
            self._membership,
            self._replication,
            self._table,
            copies,
            self._deliveries,
            self._flusher,
            writeback,
            clock,
            random,
            self.counters,
            target=lambda: self._spiller.target,
        )
        self.store = ClusterStore(
            cache,
            config,
            self._room,
            self._spiller,
            self._fetcher,
            self._flusher,
            self._peers,
            self._replication,
            clock,
            self.counters,
            self.timings,
            guests_may_leave=self._guests.may_leave,
        )

    def _free_slots(self, wheres: Sequence[int]) -> None:
        """Pages that had these words gave their copies in the write-back file up."""
        if self._writeback is not None:
            self._writeback.free([slot for slot in map(position_of, wheres) if slot])

    # -- life
    # --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to keep in touch with peers, to spill and to sweep; returns at once."""
        self.tasks.spawn(self._spiller.run(), "spiller")
        self.tasks.spawn(self._relocator.run(), "relocator")
        self.tasks.spawn(self._sweep(), "sweep")
        self.tasks.spawn(self._free_ended(), "ended leases")
        self.tasks.spawn(self._peers.watch(), "watch")
        for address in self.config.peers:
            self.tasks.spawn(self._peers.keep_in_touch(address), f"peer {address}")

    async def drain(self, limit_s: float) -> DrainReport:
        """Take no more pages of others, and let their owners take back what is here.

        The node goes on serving its own programs meanwhile. Ends when no page is left, and after
        ``limit_s`` at the latest; owners that are silent are not waited for.
        """
        return await self._guests.drain(limit_s)

    async def stop(self, *, goodbye_s: float = 0.0) -> None:
        """Refuse operations, end what is under way, drop connections; waits for no peer.

        Pages that are away are lost to this process. With ``goodbye_s`` lenders are told to free
        them, as far as they answer within that; else they find out when the lease ends. What it
        held for others is theirs to take back before (``drain``).
        """
        self.store.close()
        self._flusher.stop()
        await self._spiller.stop()
        await self.tasks.stop()
        if goodbye_s > 0:
            await self._peers.say_goodbye(goodbye_s)
        await self._peers.close()
        if self._writeback is not None:
            await self._writeback.close()

    # -- control
    # -----------------------------------------------------------------------------------------

    def set_spill_target(self, target: str) -> None:
        """Spill to "auto", "none" or one node from now on; pages that are away stay where they are.

        Raises ConfigurationError for the name of this node or an impossible one.
        """
        replace(self.config, spill_target=target)  # raises
        known = {peer.lender.node for peer in self._membership if peer.lender is not None}
        if target not in (SPILL_AUTO, SPILL_NOWHERE) and target not in known:
            names = ", ".join(sorted(known)) or "none is known yet"
            raise ConfigurationError(
                "spill_target", target, "set_spill_target", f"auto, none or a known peer ({names})"
            )
        self._spiller.target = target
        self._spiller.poke()
        self._room.wake()

    async def ask_figures(self, address: str, deadline_s: float) -> bytes:
        """What a configured peer says of itself, unchecked. Raises PeerError."""
        return await self._peers.ask_figures(address, deadline_s)

    # -- what happens
    # ------------------------------------------------------------------------------------

    def _on_events(self, events: list[Event]) -> None:
        """Act on membership's events; called with none when only the room somewhere changed."""
        for event in events:
            if isinstance(event, StateChanged):
                self._tell(event)
                if event.after is PeerState.DEAD:
                    self.counters.peers_died += 1
            elif isinstance(event, LenderUp):
                self.counters.lenders_joined += event.first
                self._flusher.resume(event.lender)
            else:
                self._lender_gone(event)
        self._spiller.poke()
        self._room.wake()

    def _tell(self, event: StateChanged) -> None:
        peer = self._membership.peer(event.address)
        node = None if peer.lender is None else peer.lender.node
        if event.after is PeerState.ALIVE:
            log.info(
                "peer_alive",
                "peer {peer} alive at {address} ({before} before)",
                subject=event.address,
                peer=node,
                address=event.address,
                before=event.before.value,
                room_bytes=peer.room_bytes,
            )
        elif event.after is PeerState.SUSPECT:
            log.info(
                "peer_suspect",
                "peer {peer} at {address} suspect: {reason}",
                subject=event.address,
                peer=node,
                address=event.address,
                before=event.before.value,
                reason=event.reason,
            )
        elif event.after is PeerState.SELF:
            log.info(
                "peer_is_self",
                "peer {address} is this node itself",
                subject=event.address,
                address=event.address,
            )
        else:
            self._tell_useless(event, peer.lender)

    def _tell_useless(self, event: StateChanged, lender: Lender | None) -> None:
        """A peer is dead or refuses this node; its pages are out of reach for now."""
        away = {} if lender is None else self._cache.stats().away_by_where
        pages = 0 if lender is None else self._pages_at(lender, away)
        node = None if lender is None else lender.node
        if event.after is PeerState.DEAD:
            log.warning(
                "peer_dead",
                "peer {peer} at {address} dead: {reason}; {pages} pages there are out of reach",
                subject=event.address,
                peer=node,
                address=event.address,
                before=event.before.value,
                reason=event.reason,
                pages=pages,
            )
        else:
            log.warning(
                "peer_refused",
                "peer {peer} at {address} cannot be used: {reason}",
                subject=event.address,
                peer=node,
                address=event.address,
                before=event.before.value,
                reason=event.reason,
                pages=pages,
            )

    def _lender_gone(self, event: LenderGone) -> None:
        """Its pages exist no more: ephemeral ones become misses, persistent ones loss errors."""
        self.counters.lenders_gone += 1
        self._table.mark_gone(event.lender, event.reason)
        self._flusher.drop(event.lender)
        self._deliveries.pacer.forget(event.lender)
        away = self._cache.stats().away_by_where
        dropped = lost = left = 0
        for number, place in self._table.places_of(event.lender):
            if place.kind is PoolKind.EPHEMERAL:
                dropped += self._cache.forget_where(number, PoolKind.EPHEMERAL)
            elif place.disk or any(map(self._membership.exists, place.lenders)):
                left += sum(away.get(number, (0, 0)))
            else:
                lost += sum(away.get(number, (0, 0)))
        self.counters.ephemeral_lost += dropped
        if lost:
            log.error(
                "pages_lost",
                "{reason}: {lost} persistent pages lost, {left} have another copy",
                subject=event.lender.node,
                peer=event.lender.node,
                reason=event.reason,
                lost=lost,
                left=left,
                dropped=dropped,
            )
        elif left:
            log.warning(
                "copies_lost",
                "{reason}: {left} persistent pages have lost a copy and have another",
                subject=event.lender.node,
                peer=event.lender.node,
                reason=event.reason,
                left=left,
                dropped=dropped,
            )
        else:
            log.info(
                "lender_gone",
                "{reason}: no persistent page was there, {dropped} ephemeral ones are dropped",
                subject=event.lender.node,
                peer=event.lender.node,
                reason=event.reason,
                dropped=dropped,
            )

    async def _sweep(self) -> None:
        """End leases of silent owners and forget lender numbers that nothing carries, for ever."""
        interval = min(SWEEP_INTERVAL_MAX_S, self.config.lease_s / 8)
        while True:
            self._foreign.sweep(interval)
            self._flusher.drain()
            self._table.forget_unused(self._cache.stats().away_by_where)
            await self._clock.sleep(interval)

    async def _free_ended(self) -> None:
        """Free the pages of leases that ended, a slice at a time, for ever."""
        while True:
            await self._foreign.ended.wait()
            self._foreign.free_ended()
            self._guests_left()
            await asyncio.sleep(0)

    def _guests_left(self) -> None:
        """Pages of others are gone: there may be room."""
        self._spiller.poke()
        self._room.wake()

    # -- figures
    # -------------------------------------------------------------------------------------------

    def _pages_at(self, lender: Lender, away: dict[int, tuple[int, int]]) -> int:
        return sum(sum(away.get(number, (0, 0))) for number, _ in self._table.places_of(lender))

    def snapshot(self) -> ClusterSnapshot:
        """This node's view of the cluster, now."""
        now, stats = self._clock.now(), self._cache.stats()
        gone = unreachable = short = at_peers = copies = 0
        for number, counts in stats.away_by_where.items():
            place = self._table.place(number)
            at_peers += sum(counts) if place.lenders else 0
            copies += sum(counts) * len(place.lenders)
            if place.disk or self._replication.held(place):
                short += sum(counts) if self._replication.missing(place) else 0
            elif any(map(self._membership.exists, place.lenders)):
                unreachable += sum(counts)
            else:
                gone += sum(counts)
        return ClusterSnapshot(
            node=self.config.node,
            incarnation=self.incarnation,
            spill_target=self._spiller.target,
            peers=tuple(self._peer_snapshots(now, stats.away_by_where)),
            foreign=tuple(self._owner_snapshots(now)),
            foreign_pages=stats.pages_foreign,
            foreign_bytes=stats.bytes_foreign,
            pages_away=stats.pages_away,
            pages_at_peers=at_peers,
            copies_at_peers=copies,
            pages_unreachable=unreachable,
            pages_lost=gone,
            pages_under_replicated=short,
            draining=self._foreign.draining,
            relocating="" if self._relocator.busy is None else self._relocator.busy.value,
            writeback=self._writeback_snapshot(),
            spill_bytes_in_flight=self._spiller.bytes_in_flight,
            writers_waiting=len(self._room),
            flushes_pending=self._flusher.pending,
            readahead_bytes=self._fetcher.buffer.bytes_held,
            counters=replace(self.counters, readahead_wasted=self._fetcher.buffer.wasted),
        )

    @property
    def writeback_counters(self) -> WritebackCounters | None:
        """Those of the write-back file, if there is one."""
        return None if self._writeback is None else self._writeback.counters

    def _writeback_snapshot(self) -> WritebackSnapshot | None:
        file = self._writeback
        if file is None:
            return None
        return WritebackSnapshot(
            pages=file.pages,
            bytes_used=file.bytes_used,
            bytes_max=file.limit_bytes,
            counters=replace(file.counters),
        )

    def _owner_snapshots(self, now: float) -> Iterable[ForeignSnapshot]:
        """Those with most pages; of as many pages, the older lease first."""
        held = ((self._foreign.pages_of(lease), lease) for lease in self._foreign.leases)
        for pages, lease in nlargest(OWNERS_SHOWN_MAX, held, key=lambda pair: pair[0]):
            yield ForeignSnapshot(
                owner=lease.owner,
                incarnation=lease.incarnation,
                lease=lease.number,
                pages=pages,
                heard_s=now - lease.heard_at,
            )

    def _peer_snapshots(
        self, now: float, away: dict[int, tuple[int, int]]
    ) -> Iterable[PeerSnapshot]:
        for peer in self._membership:
            yield self._peer_snapshot(peer, now, away)

    def _peer_snapshot(
        self, peer: Peer, now: float, away: dict[int, tuple[int, int]]
    ) -> PeerSnapshot:
        lender = peer.lender
        return PeerSnapshot(
            address=peer.address,
            state=peer.state.value,
            reason=peer.reason,
            node=None if lender is None else lender.node,
            incarnation=None if lender is None else lender.incarnation,
            lease=None if lender is None else lender.lease,
            room_bytes=peer.room_bytes,
            pages_away=0 if lender is None else self._pages_at(lender, away),
            foreign_pages=peer.foreign_pages,
            flushes_pending=0 if lender is None else self._flusher.backlog(lender),
            heard_s=now - peer.heard_at,
            rtt_s=peer.rtt_s,
            wanted_bytes=peer.wanted_bytes,
            draining=peer.draining,
            spill_window_bytes=(
                0 if lender is None else self._deliveries.pacer.window_bytes(lender)
            ),
        )
