"""What the cluster asks of a transport, and what a transport asks of the cluster. No I/O here.

Covers: messages between nodes as plain values, the caller's side (``Transport``, ``PeerLink``)
and the serving side (``PeerHandler``). Does not cover: bytes on a wire (``rpc/``), decisions
(``membership``, ``spiller``, ``foreign``).

Roles: an *owner* calls, a *lender* answers; every node is both. A lender gives each owner a
*lease* (a number it draws) at hello; everything an owner stores is stored under its lease and
dies with it. A lender that restarted, or that gave the owner up, does not know the lease:
UnknownLeaseError, and pages under it are gone.

Order: calls may overtake each other and arrive twice. Four rules make that harmless:

- Pages are named by (key, generation), so a late call cannot touch a newer page.
- Spills carry the owner's *spill epoch*. After a spill whose outcome is unknown, the owner raises
  its epoch and flushes what the spill may have left; the lender refuses spills of an epoch lower
  than the highest it has seen, so that a late one cannot leave orphans.
- Spills carry a *batch* number that rises under the lease; a number that was there before is
  refused, so that a second delivery cannot bring back what was flushed in between.
- Flushes carry a *sequence* number that rises under the lease and is kept by a retry. Each is
  carried out once, in order; an older or repeated one is acknowledged and removes nothing, so that
  it cannot hit a copy that was placed again under the same generation.

Leaving: a lender calls nobody. It says in its replies that it is *draining*, or how many bytes it
wants to be rid of, and the owner moves its pages. An owner that stops in order says so in its last
heartbeat, and its lease ends at once.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Protocol

from zcache import PackedBlobs, PoolKind

__all__ = [
    "CODECS",
    "FIGURES_BYTES_MAX",
    "MESSAGE_BYTES_MAX",
    "PROTOCOL_VERSION",
    "SPILL_PAYLOAD_BYTES_MAX",
    "FetchReply",
    "FetchRequest",
    "FiguresRequest",
    "FlushRequest",
    "Heartbeat",
    "HeartbeatReply",
    "Hello",
    "HelloReply",
    "PeerHandler",
    "PeerLink",
    "SpillReply",
    "SpillRequest",
    "Transport",
]

PROTOCOL_VERSION = 3
"""Raised on every change that an older node cannot read; other versions are refused at hello."""

CODECS = ("lz4", "zstd")
"""Codecs whose blobs this version's nodes send, store for each other and give back. Whether a node
can decode them is its own affair: it does so with its own pages only."""

MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""Upper bound of any message; checked before sending and on receipt."""

SPILL_PAYLOAD_BYTES_MAX = 512 * 1024
"""Upper bound of a spill's or fetch reply's payload; measured: larger messages gain nothing."""

FIGURES_BYTES_MAX = 256 * 1024
"""Upper bound of a node's figures: some 5 KiB, and half a KiB for each peer, owner and export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """An owner introduces itself."""

    cluster: str
    node: str
    incarnation: int
    protocol_version: int = PROTOCOL_VERSION
    page_size: int = 4096
    codecs: tuple[str, ...] = CODECS


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloReply:
    """A lender accepts an owner (or raises PeerRefusedError with a reason)."""

    node: str
    incarnation: int
    lease: int
    """The same as before if the lender holds pages for this incarnation; else a new one."""
    room_bytes: int
    lease_s: float
    """The lender frees the owner's pages after this long without a word from it."""
    draining: bool = False
    """The lender is leaving: it takes no pages, and those it holds are to be taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """An owner's sign of life; renews its lease."""

    lease: int
    incarnation: int
    leaving: bool = False
    """The owner stops: the lease ends with this word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReply:
    """A lender's sign of life."""

    incarnation: int
    room_bytes: int
    foreign_pages: int
    """Pages it holds for this owner."""
    wanted_bytes: int = 0
    """Bytes of this owner's persistent pages that it wants to be rid of."""
    draining: bool = False
    """The lender is leaving: ``wanted_bytes`` is all it holds."""


@dataclass(slots=True, kw_only=True)
class SpillRequest:
    """A batch of pages to hold."""

    lease: int
    epoch: int
    batch: int
    """1 or more, rising with every spill message under the lease."""
    kind: PoolKind
    blobs: PackedBlobs


@dataclass(slots=True, kw_only=True)
class SpillReply:
    """What became of the batch."""

    statuses: bytes
    """One ``zcache.AdoptStatus`` a page."""
    room_bytes: int


@dataclass(slots=True, kw_only=True)
class FetchRequest:
    """Pages wanted back; they stay at the lender until flushed."""

    lease: int
    kind: PoolKind
    keys: array[int]
    generations: array[int]


@dataclass(slots=True, kw_only=True)
class FetchReply:
    """Those of the pages that the lender has, as far as they fit one message.

    ``found``: one byte a key asked for, in order: BLOB_FOUND, BLOB_ABSENT; 2 = left out for size,
    ask again.
    ``blobs``: the found ones, in order.
    """

    found: bytes
    blobs: PackedBlobs = field(default_factory=PackedBlobs)


@dataclass(slots=True, kw_only=True)
class FlushRequest:
    """Pages no longer wanted: each is dropped if the generation held is at most the one given."""

    lease: int
    epoch: int
    sequence: int
    """1 or more, rising with every new flush under the lease; a retry keeps it."""
    kind: PoolKind
    keys: array[int]
    generations: array[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresRequest:
    """Somebody looks at the cluster, and wants to see what a node says of itself."""

    cluster: str


class PeerLink(Protocol):
    """The way to one peer, by its address; connects when first used and again after every failure.

    Every call ends within ``deadline_s`` with a reply or a PeerError; cancellation is safe and
    leaves the outcome at the peer unknown.
    """

    @property
    def address(self) -> str:
        """HOST:PORT as configured."""

    async def hello(self, hello: Hello, deadline_s: float) -> HelloReply:
        """Introduce this node. Raises PeerRefusedError with the peer's reason."""

    async def heartbeat(self, beat: Heartbeat, deadline_s: float) -> HeartbeatReply:
        """Renew the lease. Raises UnknownLeaseError."""

    async def spill(self, request: SpillRequest, deadline_s: float) -> SpillReply:
        """Hand over a batch. After PeerTimeoutError, PeerUnreachableError it may have arrived."""

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchReply:
        """Ask for pages; several calls may be in flight."""

    async def flush(self, request: FlushRequest, deadline_s: float) -> None:
        """Let pages go. Raises UnknownLeaseError."""

    async def figures(self, request: FiguresRequest, deadline_s: float) -> bytes:
        """The peer's figures, unchecked but for their size. Raises PeerRefusedError, and
        PeerMethodMissingError for a peer that knows no such call.
        """

    async def close(self) -> None:
        """Drop the connection without waiting for the peer."""


class Transport(Protocol):
    """Makes links."""

    def link(self, address: str) -> PeerLink:
        """The link to a peer; nothing is sent until it is used."""


class PeerHandler(Protocol):
    """What a node answers to its peers. Called on the event loop; must not wait.

    Raises PeerRefusedError, UnknownLeaseError or BadMessageError; a transport carries them to the
    caller as what they are.
    """

    def on_hello(self, hello: Hello) -> HelloReply:
        """Accept or refuse an owner."""

    def on_heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Renew a lease, or end it if the owner is leaving."""

    def on_spill(self, request: SpillRequest) -> SpillReply:
        """Hold pages. Of an epoch below the highest seen, or a batch that was there before:
        BadMessageError, nothing is held.
        """

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        """Give copies of pages."""

    def on_flush(self, request: FlushRequest) -> None:
        """Let pages go, once for each sequence number."""

    def on_figures(self, request: FiguresRequest) -> bytes:
        """This node's figures, at most FIGURES_BYTES_MAX; changes nothing."""
