"""The calls of a node to its peers: a loop for each that keeps it in touch, and the calls to
lenders.

Covers: when a hello or a heartbeat goes out, and that membership hears of the outcome of every
call. Does not cover: what the outcomes mean (``membership.py``), bytes on a wire (a
``Transport``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import (
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.event_log import EventLog
from ramster.lenders import Lender
from ramster.membership import Membership
from ramster.peer_state import Event, PeerState, StepKind
from ramster.transport import (
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    PeerLink,
    SpillReply,
    SpillRequest,
    Transport,
)

__all__ = ["Peers"]

Reply = TypeVar("Reply")

log = EventLog(__name__)

SLOW_CALL_S = 0.5
"""A spill, fetch or flush that took so long and was answered after all is worth a line."""

STALL_S = 1.0
"""A watch that wakes so much later than it was to says that this node stood still."""

ALONE_PAUSE_S = 3600.0
"""How long the watch sleeps when no peer's state can change by time alone; a change wakes it."""


class Peers:
    """The links of one node, and the loops that keep membership true.

    ``deliver`` gets membership's events, in order, in the moment they happen.
    """

    def __init__(
        self,
        config: ClusterConfig,
        membership: Membership,
        transport: Transport,
        clock: Clock,
        counters: ClusterCounters,
        deliver: Callable[[list[Event]], None],
    ) -> None:
        self._config = config
        self._membership = membership
        self._clock = clock
        self._counters = counters
        self._deliver = deliver
        self._links: dict[str, PeerLink] = {
            address: transport.link(address) for address in config.peers
        }
        self._pokes = {address: asyncio.Event() for address in config.peers}
        self._watch_poke = asyncio.Event()
        self._closed = False

    # -- calls to lenders
    # ------------------------------------------------------------------------------

    def reachable(self, lender: Lender) -> bool:
        """Whether asking a lender makes sense: it is neither gone, nor dead, nor refusing this
        node.
        """
        return not self._closed and self._membership.state_of(lender) in (
            PeerState.ALIVE,
            PeerState.SUSPECT,
        )

    def takes_spills(self, lender: Lender) -> bool:
        """Whether a lender answers, so that pages may go there."""
        return self._membership.state_of(lender) is PeerState.ALIVE

    async def spill(self, lender: Lender, request: SpillRequest, deadline_s: float) -> SpillReply:
        """See ``PeerLink.spill``. A lender that does not answer in time is suspect."""
        try:
            return await self._call(lender, lambda link: link.spill(request, deadline_s))
        except PeerTimeoutError as error:
            self._announce(
                self._membership.address_of(lender),
                self._membership.on_slow(lender, str(error), now=self._clock.now()),
            )
            raise

    async def fetch(self, lender: Lender, request: FetchRequest, deadline_s: float) -> FetchReply:
        """See ``PeerLink.fetch``."""
        return await self._call(lender, lambda link: link.fetch(request, deadline_s))

    async def flush(self, lender: Lender, request: FlushRequest, deadline_s: float) -> None:
        """See ``PeerLink.flush``."""
        await self._call(lender, lambda link: link.flush(request, deadline_s))
        self._membership.on_flushed(lender, now=self._clock.now())
        self._deliver([])  # there may be room

    async def ask_figures(self, address: str, deadline_s: float) -> bytes:
        """See ``PeerLink.figures``. Whatever comes of it, membership does not mind."""
        request = FiguresRequest(cluster=self._config.cluster)
        return await self._links[address].figures(request, deadline_s)

    async def _call(self, lender: Lender, send: Callable[[PeerLink], Awaitable[Reply]]) -> Reply:
        address = self._membership.address_of(lender)
        if address is None or not self.reachable(lender):
            raise PeerUnreachableError(f"{lender.node} is not in touch")
        sent_at = self._clock.now()
        try:
            reply = await send(self._links[address])
        except UnknownLeaseError:
            self._announce(
                address, self._membership.on_unknown_lease(lender, now=self._clock.now())
            )
            raise
        except PeerUnreachableError as error:
            self._announce(
                address, self._membership.on_broken(lender, str(error), now=self._clock.now())
            )
            raise
        self._announce(None, self._membership.on_word(lender, sent_at=sent_at))
        took_s = self._clock.now() - sent_at
        if took_s >= SLOW_CALL_S:
            log.warning(
                "slow_call",
                "peer {peer} took {took_s:.1f} s to answer",
                subject=lender.node,
                peer=lender.node,
                took_s=took_s,
            )
        return reply

    def _announce(self, address: str | None, events: list[Event]) -> None:
        """Pass events on; where a peer's next step changed, let its loop look again."""
        if address is not None:
            self._pokes[address].set()
        if events:
            self._watch_poke.set()
            self._deliver(events)

    def ask_for_room(self, below: int, *, since: float) -> None:
        """Let peers with less room than that say again what they have, unless they were asked
        after ``since``.
        """
        for address in self._membership.want_room(below, since=since, now=self._clock.now()):
            self._pokes[address].set()

    # -- keeping in touch
    # --------------------------------------------------------------------------------

    async def keep_in_touch(self, address: str) -> None:
        """Say hello to one peer and send it heartbeats, for ever."""
        poke = self._pokes[address]
        while True:
            poke.clear()
            step = self._membership.step(address)
            if step.at > self._clock.now():
                await self._wait(poke, step.at)
            elif step.kind is StepKind.HELLO:
                await self._say_hello(address)
            else:
                await self._send_heartbeat(address)

    async def watch(self) -> None:
        """Turn silent peers suspect and dead when their time is up, for ever."""
        while True:
            self._watch_poke.clear()
            now = self._clock.now()
            self._announce(None, self._membership.tick(now=now))
            at = self._membership.next_tick()
            wake_at = now + ALONE_PAUSE_S if at is None else at
            await self._wait(self._watch_poke, wake_at)
            stalled_s = self._clock.now() - max(wake_at, now)
            if stalled_s > STALL_S:
                self._membership.on_stall(stalled_s)

    async def _wait(self, poke: asyncio.Event, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.now())):
                await poke.wait()
        except TimeoutError:
            return

    @property
    def _touch_deadline_s(self) -> float:
        """A lost heartbeat must not keep the next hello waiting until the peer counts as dead."""
        return min(self._config.call_deadline_s, self._config.suspect_after_s)

    async def _say_hello(self, address: str) -> None:
        membership, sent_at = self._membership, self._clock.now()
        try:
            reply = await self._links[address].hello(membership.hello(), self._touch_deadline_s)
        except PeerRefusedError as error:
            events = membership.on_refused(address, str(error), now=self._clock.now())
        except PeerError as error:
            events = membership.on_failure(
                address,
                str(error),
                broken=isinstance(error, PeerUnreachableError),
                now=self._clock.now(),
            )
        else:
            events = membership.on_hello_reply(
                address, reply, sent_at=sent_at, now=self._clock.now()
            )
            self._tell_of_room(events)
        self._announce(None, events)

    def _tell_of_room(self, events: list[Event]) -> None:
        """A peer answered: the room there may have changed, also where nothing happened."""
        if not events:
            self._deliver(events)

    async def _send_heartbeat(self, address: str) -> None:
        membership, sent_at = self._membership, self._clock.now()
        lender = membership.peer(address).lender
        assert lender is not None, "heartbeats go to peers that accepted a hello"
        beat = Heartbeat(lease=lender.lease, incarnation=membership.hello().incarnation)
        self._counters.heartbeats_sent += 1
        try:
            reply = await self._links[address].heartbeat(beat, self._touch_deadline_s)
        except UnknownLeaseError:
            events = membership.on_unknown_lease(lender, now=self._clock.now())
        except PeerError as error:
            events = membership.on_failure(
                address,
                str(error),
                broken=isinstance(error, PeerUnreachableError),
                now=self._clock.now(),
            )
        else:
            events = membership.on_heartbeat_reply(
                lender, reply, sent_at=sent_at, now=self._clock.now()
            )
            self._tell_of_room(events)
        self._announce(None, events)

    async def say_goodbye(self, limit_s: float) -> None:
        """Tell lenders that this node leaves, so that they free its pages now and not when the
        lease ends; whoever does not answer in ``limit_s`` finds out by itself.
        """
        incarnation = self._membership.hello().incarnation
        calls = [
            self._links[peer.address].heartbeat(
                Heartbeat(lease=peer.lender.lease, incarnation=incarnation, leaving=True), limit_s
            )
            for peer in self._membership
            if peer.state is PeerState.ALIVE and peer.lender is not None
        ]
        await asyncio.gather(*calls, return_exceptions=True)

    async def close(self) -> None:
        """Drop every connection, waiting for no peer; calls from now on find none."""
        self._closed = True
        for link in self._links.values():
            await link.close()
