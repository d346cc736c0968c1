"""What is known of a peer, and what may happen to it: plain values.

Covers: states, the record of one configured address, what to send next, events. Does not cover:
how they change (``membership.py``).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from ramster.lenders import Lender

__all__ = [
    "Event",
    "LenderGone",
    "LenderUp",
    "Peer",
    "PeerState",
    "StateChanged",
    "Step",
    "StepKind",
]


class PeerState(enum.StrEnum):
    """What is known of a configured address."""

    CONNECTING = "connecting"
    """No word yet."""
    ALIVE = "alive"
    SUSPECT = "suspect"
    """Silent for a while, or its connection broke: it gets no spills, gets still ask it."""
    DEAD = "dead"
    """Silent for so long that its pages count as lost, until it answers again."""
    REFUSED = "refused"
    """It answers and will not have this node, or cannot be used; the reason says why."""
    SELF = "self"
    """The address is this node's own."""


class StepKind(enum.Enum):
    """What to send to a peer."""

    HELLO = enum.auto()
    HEARTBEAT = enum.auto()


class Step(NamedTuple):
    """What to send to a peer next, and when."""

    kind: StepKind
    at: float


class StateChanged(NamedTuple):
    """A peer went from one state to another."""

    address: str
    before: PeerState
    after: PeerState
    reason: str


class LenderUp(NamedTuple):
    """A lender can be used: for the first time, or again with all it held."""

    address: str
    lender: Lender
    first: bool


class LenderGone(NamedTuple):
    """A lender's life or lease is over: its pages no longer exist."""

    address: str
    lender: Lender
    reason: str


Event = StateChanged | LenderUp | LenderGone


@dataclass(slots=True)
class Peer:
    """One configured address."""

    address: str
    heard_at: float
    """When the last call that was answered was sent; at first, when this node started."""
    next_at: float
    """When the next hello or heartbeat is due."""
    state: PeerState = PeerState.CONNECTING
    reason: str = ""
    lender: Lender | None = None
    hello_due: bool = True
    """Hello comes before the next heartbeat: at first, and after every failure."""
    failures: int = 0
    """Calls that failed since the last answer."""
    lease_s: float = 0.0
    room_bytes: int = 0
    room_at: float = float("-inf")
    """When the hello or heartbeat was sent whose answer told of the room."""
    room_wanted_at: float = float("-inf")
    """No older word is good enough to say that there is no room."""
    reserved_bytes: int = 0
    """Part of the room that spills on their way will take."""
    foreign_pages: int = 0
    """Pages it said it holds for this node."""
    wanted_bytes: int = 0
    """What it said it wants this node to take back."""
    draining: bool = False
    """It is about to stop: it takes nothing, and everything there is to leave."""
    rtt_s: float | None = None
    """Smoothed round trip of hellos and heartbeats (RFC 6298: an eighth of each new sample)."""
