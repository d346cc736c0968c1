"""Which peers are there, in what life, and what they have room for. No I/O, no clock: ``now``
comes in.

Covers: the state of every configured address, when to say hello or send the next heartbeat, what an
answer or a failure means. Does not cover: sending (``peers.py``), the lender's side
(``foreign.py``).

    CONNECTING -- hello answered --> ALIVE -- silent for suspect_after_s --> SUSPECT
        |                              ^  ^--------- any answer ------------/   |
        |                              |                                        | silent for
        dead_after_s \\-- silent for dead_after_s --|--------------> DEAD <-------------------/
                                       \\-- hello answered --/
    any -- hello refused --> REFUSED, asked again later     any -- it is this node itself --> SELF

A peer that answers with the same incarnation and lease is the same lender, however long it was
silent: its pages are there. With another incarnation or lease it is another lender, and pages at
the former are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ramster.cluster_config import ClusterConfig
from ramster.lenders import Lender
from ramster.limits import NAME_CHARS_MAX
from ramster.peer_state import (
    Event,
    LenderGone,
    LenderUp,
    Peer,
    PeerState,
    StateChanged,
    Step,
    StepKind,
)
from ramster.placement import Candidate
from ramster.transport import HeartbeatReply, Hello, HelloReply

__all__ = ["Membership"]


ROOM_ASK_PAUSE_S = 0.02
"""Writers that are refused again and again ask a peer for its room no more often than this."""

LEASE_S_MIN = 0.1
"""A lender that promises less is not worth the heartbeats."""

LEASE_MARGIN = 0.75
"""Share of a lease after which a silent lender is given up: before its own end of the lease even
where its clock runs a third faster than this node's."""

NOTICE_BEAT_S = 0.25
"""Longest pause between heartbeats to a lender that wants pages to leave: they show how many are
left."""


class Membership:
    """The peers of one node. Every method that takes ``now`` may return events, in the order they
    happened.
    """

    def __init__(
        self, config: ClusterConfig, incarnation: int, random: Random, *, now: float
    ) -> None:
        self._config = config
        self._incarnation = incarnation
        self._random = random
        self._started_at = now
        self._peers = {
            address: Peer(address, heard_at=now, next_at=now) for address in config.peers
        }
        self._address_of: dict[Lender, str] = {}

    # -- what is so ------------------------------------------------------------------------------

    def peer(self, address: str) -> Peer:
        """The peer at a configured address."""
        return self._peers[address]

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def address_of(self, lender: Lender) -> str | None:
        """Where a lender answers, or None once it is gone."""
        return self._address_of.get(lender)

    def exists(self, lender: Lender) -> bool:
        """Whether a lender's life and lease are not known to be over."""
        return lender in self._address_of

    def is_draining(self, node: str) -> bool:
        """Whether the node of that name is about to stop."""
        return any(peer.draining for peer in self._named(node))

    def state_of(self, lender: Lender) -> PeerState | None:
        """The state of the peer that a lender is, or None once it is gone."""
        address = self._address_of.get(lender)
        return None if address is None else self._peers[address].state

    def candidates(self) -> list[Candidate]:
        """Lenders that answer, with the room that no spill on its way has claimed."""
        return [
            Candidate(peer.address, peer.lender, max(0, peer.room_bytes - peer.reserved_bytes))
            for peer in self._peers.values()
            if peer.state is PeerState.ALIVE
            and peer.lender is not None
            and not peer.draining
            and not peer.wanted_bytes
        ]

    def peer_of(self, lender: Lender) -> Peer | None:
        """The peer that a lender is, or None once it is gone."""
        address = self._address_of.get(lender)
        return None if address is None else self._peers[address]

    def may_gain_room(self) -> bool:
        """Whether a peer that is no candidate now may soon be one.

        It has not had the time to answer its first hello, or the one that a new life or lease
        needs; or it had room when it was last heard, and is not dead yet; or it was asked what
        room it has now.
        """
        return any(
            peer.state is PeerState.CONNECTING
            or (peer.state is PeerState.ALIVE and peer.room_at < peer.room_wanted_at)
            or (peer.state in (PeerState.ALIVE, PeerState.SUSPECT) and peer.lender is None)
            or (peer.state is PeerState.SUSPECT and peer.room_bytes > 0)
            for peer in self._peers.values()
            if not peer.draining
        )

    def hello(self) -> Hello:
        """What this node says to a peer at first."""
        return Hello(
            cluster=self._config.cluster, node=self._config.node, incarnation=self._incarnation
        )

    def step(self, address: str) -> Step:
        """What to send to a peer next, and when."""
        peer = self._peers[address]
        if peer.lender is None or peer.hello_due:
            return Step(StepKind.HELLO, peer.next_at)
        return Step(StepKind.HEARTBEAT, peer.next_at)

    # -- what happens ------------------------------------------------------------------------------

    def on_hello_reply(
        self, address: str, reply: HelloReply, *, sent_at: float, now: float
    ) -> list[Event]:
        """A peer accepted this node's hello."""
        peer = self._peers[address]
        unusable = self._why_unusable(address, reply)
        if unusable is not None:
            state, reason = unusable
            return self._set_aside(peer, state, reason, now)
        lender = Lender(reply.node, reply.incarnation, reply.lease)
        events: list[Event] = []
        for former in self._named(reply.node):
            if former.address != address:
                events += self._move_away(former, lender, address)
        if peer.lender is not None and peer.lender != lender:
            what = (
                "restarted" if peer.lender.incarnation != reply.incarnation else "ended the lease"
            )
            if peer.lender.node != reply.node:
                what = f"is now {reply.node}"
            events.append(self._drop_lender(peer, f"{peer.lender.node} at {address} {what}"))
        first = lender not in self._address_of
        peer.lender = lender
        self._address_of[lender] = address
        peer.hello_due = False
        peer.lease_s = reply.lease_s
        peer.room_bytes, peer.room_at = reply.room_bytes, sent_at
        peer.draining = reply.draining
        was_up = peer.state is PeerState.ALIVE
        events += self._answered(peer, sent_at, now)
        if first or not was_up:
            events.append(LenderUp(address, lender, first))
        return events

    def on_heartbeat_reply(
        self, lender: Lender, reply: HeartbeatReply, *, sent_at: float, now: float
    ) -> list[Event]:
        """A lender answered a heartbeat."""
        address = self._address_of.get(lender)
        if address is None:
            return []
        peer = self._peers[address]
        if reply.incarnation != lender.incarnation:
            return self._lose(peer, f"{lender.node} at {address} restarted", now)
        peer.room_bytes, peer.room_at = reply.room_bytes, sent_at
        peer.foreign_pages = reply.foreign_pages
        peer.wanted_bytes, peer.draining = reply.wanted_bytes, reply.draining
        return self._answered(peer, sent_at, now)

    def on_word(self, lender: Lender, *, sent_at: float) -> list[Event]:
        """A lender answered a spill, fetch or flush: it lives, and the lease is renewed."""
        address = self._address_of.get(lender)
        if address is None:
            return []
        peer = self._peers[address]
        peer.heard_at = max(peer.heard_at, sent_at)
        if peer.state is PeerState.SUSPECT and not peer.hello_due:
            return self._turn(peer, PeerState.ALIVE, "answers")
        return []

    def on_unknown_lease(self, lender: Lender, *, now: float) -> list[Event]:
        """A lender does not know the lease: its pages are gone, say hello again at once."""
        address = self._address_of.get(lender)
        if address is None:
            return []
        return self._lose(
            self._peers[address], f"{lender.node} at {address} no longer knows the lease", now
        )

    def on_refused(self, address: str, reason: str, *, now: float) -> list[Event]:
        """A peer refused this node's hello."""
        return self._set_aside(self._peers[address], PeerState.REFUSED, reason, now)

    def on_failure(self, address: str, reason: str, *, broken: bool, now: float) -> list[Event]:
        """A hello or heartbeat failed; ``broken``: the connection is known to be gone."""
        peer = self._peers[address]
        self._back_off(peer, now)
        peer.hello_due = True
        if broken and peer.state is PeerState.ALIVE:
            return self._turn(peer, PeerState.SUSPECT, reason)
        if peer.state in (PeerState.CONNECTING, PeerState.DEAD):
            peer.reason = reason
        return []

    def on_broken(self, lender: Lender, reason: str, *, now: float) -> list[Event]:
        """A spill, fetch or flush found no connection: say hello now, not at the next beat."""
        address = self._address_of.get(lender)
        if address is None:
            return []
        peer = self._peers[address]
        if peer.hello_due:
            return []
        peer.hello_due = True
        peer.next_at = now
        if peer.state is PeerState.ALIVE:
            return self._turn(peer, PeerState.SUSPECT, reason)
        return []

    def on_slow(self, lender: Lender, reason: str, *, now: float) -> list[Event]:
        """A spill was not answered in time: no more of them until the lender says hello again."""
        address = self._address_of.get(lender)
        if address is None:
            return []
        peer = self._peers[address]
        if peer.state is not PeerState.ALIVE:
            return []
        peer.hello_due = True
        peer.next_at = now
        return self._turn(peer, PeerState.SUSPECT, reason)

    def on_room(self, lender: Lender, room_bytes: int) -> None:
        """A lender said what room it has, or refused pages (then 0, until its next word)."""
        address = self._address_of.get(lender)
        if address is not None:
            self._peers[address].room_bytes = room_bytes

    def want_room(self, below: int, *, since: float, now: float) -> list[str]:
        """A put found no room: peers with less than ``below`` bytes are to say so again, unless
        they were asked after ``since``. Returns the addresses whose next step changed.
        """
        sooner = []
        for peer in self._peers.values():
            if peer.state is not PeerState.ALIVE:
                continue
            if peer.room_bytes - peer.reserved_bytes >= below:
                continue
            peer.room_wanted_at = max(peer.room_wanted_at, since)
            ask_at = max(now, peer.room_at + ROOM_ASK_PAUSE_S)
            if peer.room_at < peer.room_wanted_at and not peer.hello_due and ask_at < peer.next_at:
                peer.next_at = ask_at
                sooner.append(peer.address)
        return sooner

    def on_evacuated(self, lender: Lender, size: int) -> None:
        """Pages that a lender wanted to be rid of have left, before it says so itself."""
        address = self._address_of.get(lender)
        if address is not None:
            peer = self._peers[address]
            peer.wanted_bytes = max(0, peer.wanted_bytes - size)

    def on_flushed(self, lender: Lender, *, now: float) -> None:
        """A lender dropped pages: what it said of its room before may be too little."""
        address = self._address_of.get(lender)
        if address is not None:
            self._peers[address].room_wanted_at = now

    def reserve(self, lender: Lender, size: int) -> None:
        """A spill of ``size`` bytes is on its way (or, negative, has ended)."""
        address = self._address_of.get(lender)
        if address is not None:
            peer = self._peers[address]
            peer.reserved_bytes = max(0, peer.reserved_bytes + size)

    def tick(self, *, now: float) -> list[Event]:
        """Turn peers SUSPECT and DEAD whose time is up."""
        events: list[Event] = []
        for peer in self._peers.values():
            reason = f"silent for {now - peer.heard_at:.1f} s"
            if peer.state in (PeerState.CONNECTING, PeerState.SUSPECT, PeerState.ALIVE):
                if now >= self._dead_at(peer):
                    if peer.state is PeerState.CONNECTING:
                        reason = peer.reason or "no answer"
                    events += self._turn(peer, PeerState.DEAD, reason)
                elif peer.state is PeerState.ALIVE and now >= self._suspect_at(peer):
                    events += self._turn(peer, PeerState.SUSPECT, reason)
        return events

    def on_stall(self, stalled_s: float) -> None:
        """This node stood still for so long (it was stopped, suspended, or overloaded) and could
        hear nobody: that is no peer's silence.

        A lease may have ended meanwhile; its lender says so when it is asked.
        """
        for peer in self._peers.values():
            peer.heard_at += stalled_s

    def next_tick(self) -> float | None:
        """When ``tick`` may next change something, if no peer answers before."""
        deadlines = []
        for peer in self._peers.values():
            if peer.state is PeerState.ALIVE:
                deadlines.append(self._suspect_at(peer))
            if peer.state in (PeerState.CONNECTING, PeerState.SUSPECT, PeerState.ALIVE):
                deadlines.append(self._dead_at(peer))
        return min(deadlines, default=None)

    # -- inside
    # --------------------------------------------------------------------------------------

    # ``tick`` and ``next_tick`` must agree to the last bit, or the watch wakes too early and spins.

    def _suspect_at(self, peer: Peer) -> float:
        return peer.heard_at + self._config.suspect_after_s

    def _dead_at(self, peer: Peer) -> float:
        """An owner gives a lender up well before the lender gives up the owner.

        ``heard_at`` is when the call was sent, so the lender counts from no earlier.
        """
        if peer.lender is None:
            return peer.heard_at + self._config.dead_after_s
        return peer.heard_at + min(self._config.dead_after_s, LEASE_MARGIN * peer.lease_s)

    def _named(self, node: str) -> list[Peer]:
        return [
            peer
            for peer in self._peers.values()
            if peer.lender is not None and peer.lender.node == node
        ]

    def _why_unusable(self, address: str, reply: HelloReply) -> tuple[PeerState, str] | None:
        if reply.node == self._config.node:
            if reply.incarnation == self._incarnation:
                return PeerState.SELF, "this node's own address"
            return PeerState.REFUSED, f"another node is named {reply.node}, as this one"
        if (
            not 0 < len(reply.node) <= NAME_CHARS_MAX
            or reply.lease_s < LEASE_S_MIN
            or reply.room_bytes < 0
        ):
            return PeerState.REFUSED, f"its hello makes no sense: {reply}"
        for other in self._named(reply.node):
            if other.address != address and other.state in (PeerState.ALIVE, PeerState.SUSPECT):
                return (
                    PeerState.REFUSED,
                    f"the peer at {other.address} is named {reply.node} as well",
                )
        return None

    def _set_aside(self, peer: Peer, state: PeerState, reason: str, now: float) -> list[Event]:
        """The peer answers and is of no use now. Its lender, if any, is not known to be gone."""
        self._back_off(peer, now)
        peer.hello_due = True
        if peer.state is state:
            peer.reason = reason
            return []
        return self._turn(peer, state, reason)

    def _move_away(self, former: Peer, lender: Lender, address: str) -> list[Event]:
        """A node that was dead at one address answers at another."""
        assert former.lender is not None
        events: list[Event] = []
        if former.lender == lender:
            del self._address_of[lender]
            former.lender = None
        else:
            events.append(self._drop_lender(former, f"{lender.node} restarted at {address}"))
        former.hello_due = True
        return events

    def _drop_lender(self, peer: Peer, reason: str) -> LenderGone:
        assert peer.lender is not None
        gone = LenderGone(peer.address, peer.lender, reason)
        del self._address_of[peer.lender]
        peer.lender = None
        peer.room_bytes = peer.reserved_bytes = peer.foreign_pages = peer.wanted_bytes = 0
        peer.draining = False
        return gone

    def _lose(self, peer: Peer, reason: str, now: float) -> list[Event]:
        gone = self._drop_lender(peer, reason)
        peer.hello_due = True
        peer.next_at = now
        return [gone]

    def _answered(self, peer: Peer, sent_at: float, now: float) -> list[Event]:
        sample = now - sent_at
        peer.rtt_s = sample if peer.rtt_s is None else peer.rtt_s + (sample - peer.rtt_s) / 8
        peer.heard_at = max(peer.heard_at, sent_at)
        peer.failures = 0
        # Three words in the time of a lease, should a lender's lease be shorter than our
        # heartbeats.
        pause = min(self._config.heartbeat_interval_s, peer.lease_s / 3)
        if peer.wanted_bytes or peer.draining:
            pause = min(pause, NOTICE_BEAT_S)
        peer.next_at = sent_at + pause
        if peer.state is PeerState.ALIVE:
            return []
        return self._turn(peer, PeerState.ALIVE, "answers")

    def _back_off(self, peer: Peer, now: float) -> None:
        """Exponential, with jitter: nodes that come back together must not knock together."""
        config = self._config
        pause = config.reconnect_backoff_min_s * 2.0 ** min(peer.failures, 30)
        peer.failures += 1
        pause = min(pause, config.reconnect_backoff_max_s)
        peer.next_at = now + pause * self._random.uniform(0.5, 1.0)

    def _turn(self, peer: Peer, state: PeerState, reason: str) -> list[Event]:
        before, peer.state, peer.reason = peer.state, state, reason
        return [StateChanged(peer.address, before, state, reason)]
