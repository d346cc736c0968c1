"""What a node knows of its cluster at one moment, as plain values.

Covers: names and meanings. Does not cover: how it is gathered (``cluster.py``), shown or exported.
"""

from __future__ import annotations

from dataclasses import dataclass

from ramster.counters import ClusterCounters
from ramster.writeback import WritebackCounters

__all__ = ["ClusterSnapshot", "ForeignSnapshot", "PeerSnapshot", "WritebackSnapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSnapshot:
    """One configured peer."""

    address: str
    state: str
    """See ``membership.PeerState``."""
    reason: str
    """Why it is in that state, for people."""
    node: str | None
    incarnation: int | None
    lease: int | None
    room_bytes: int
    """What it said it would take, at its last word."""
    pages_away: int
    """Pages of this node that are there, by this node's own account."""
    foreign_pages: int
    """The same by the peer's account, at its last heartbeat."""
    flushes_pending: int
    """Copies there that are no longer wanted and not yet known to be dropped."""
    heard_s: float
    """Seconds since its last sign of life."""
    rtt_s: float | None
    wanted_bytes: int
    """What it wants this node to take back."""
    draining: bool
    spill_window_bytes: int
    """What may be on its way there at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSnapshot:
    """What one other node holds here."""

    owner: str
    incarnation: int
    lease: int
    pages: int
    heard_s: float
    """Seconds since its last sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WritebackSnapshot:
    """The write-back file."""

    pages: int
    """Pages in it, those included that are at lenders as well."""
    bytes_used: int
    """Of slots."""
    bytes_max: int
    counters: WritebackCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSnapshot:
    """One node's view."""

    node: str
    incarnation: int
    spill_target: str
    peers: tuple[PeerSnapshot, ...]
    foreign: tuple[ForeignSnapshot, ...]
    """Owners of pages held here, those with most first; at most ``cluster.OWNERS_SHOWN_MAX``."""
    foreign_pages: int
    foreign_bytes: int
    """Bytes of foreign blobs held here."""
    pages_away: int
    pages_at_peers: int
    """Pages away with a copy at some lender, gone lenders included."""
    copies_at_peers: int
    """Copies of those."""
    pages_unreachable: int
    """Pages at lenders that are dead or refuse this node: lost unless they answer again."""
    pages_lost: int
    """Pages all of whose holders are gone: a get raises PageLostError until they are put or
    flushed."""
    pages_under_replicated: int
    """Pages that have a copy and fewer than they should have."""
    draining: bool
    """This node hands over what it holds for others, and is about to stop."""
    relocating: str
    """What is being moved: evacuate, rebuild, repatriate; empty for nothing."""
    writeback: WritebackSnapshot | None
    spill_bytes_in_flight: int
    writers_waiting: int
    flushes_pending: int
    readahead_bytes: int
    counters: ClusterCounters
