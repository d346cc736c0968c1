"""The knobs of the peer layer: typed, complete, checked when built.

Covers: names, defaults, ranges and how they depend on each other. Does not cover: where values come
from (files, flags: the program above), the cache's own knobs (``zcache.CacheConfig``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ramster.errors import ConfigurationError
from ramster.limits import FLUSH_KEYS_MAX, NAME_CHARS_MAX, REPLICAS_MAX
from ramster.transport import SPILL_PAYLOAD_BYTES_MAX

__all__ = ["SPILL_AUTO", "SPILL_NOWHERE", "ClusterConfig"]

SPILL_AUTO = "auto"
"""Spill target: the roomier of two random peers that have room."""
SPILL_NOWHERE = "none"
"""Spill target: nobody. Pages that are away stay readable and pending flushes are still sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """How a node behaves towards its peers. Raises ConfigurationError for a value out of range.

    All times are in seconds. What a rising value costs is said where it is not plain.
    """

    cluster: str = "ramster"
    """Name of the cluster; nodes of other clusters are refused."""
    node: str
    """Name of this node, unique in the cluster; lenders know the owner by it."""
    peers: tuple[str, ...] = ()
    """HOST:PORT of every other node; this node's own address may be among them and is ignored."""
    spill_target: str = SPILL_AUTO
    """"auto", "none", or the name of the one node that takes this node's pages."""
    spill_ephemeral: bool = False
    """Spill ephemeral pages as well; they are cheaper to drop."""
    replicas: int = 1
    """Copies of each persistent page that leaves, each at another node; pools may ask for their
    own number. Every copy costs its bytes at a lender and on the wire."""
    replicas_min: int = 1
    """With fewer lenders than ``replicas``: the least copies with which a page may leave."""
    writeback_safety: bool = False
    """Keep a copy of every spilled persistent page in the write-back file, where there is one."""

    heartbeat_interval_s: float = 1.0
    """A word to every peer, at least this often; it renews the lease and brings the room there."""
    suspect_after_s: float = 3.0
    """Silence after which a peer gets no more spills."""
    dead_after_s: float = 10.0
    """Silence after which pages at a peer count as lost until it answers again."""
    lease_s: float = 60.0
    """As a lender: silence after which an owner's pages are freed. At least ``dead_after_s``:
    an owner must have given a lender up before the lender gives the pages up."""
    reconnect_backoff_min_s: float = 0.1
    """First pause before a failed peer is tried again; doubles with every failure."""
    reconnect_backoff_max_s: float = 5.0
    """Longest pause between two tries."""

    call_deadline_s: float = 5.0
    """One hello, heartbeat or flush."""
    spill_deadline_s: float = 2.0
    """One spill. A lender that takes longer gets no more until it answers a heartbeat."""
    fetch_deadline_s: float = 3.0
    """The longest a get waits for peers, retries included (and what one client's read may cost)."""
    put_wait_s: float = 5.0
    """The longest a put waits for the spiller to make room."""
    hedge_after_s: float = 0.1
    """A read that a lender has not answered by then is asked of the next copy as well."""
    rebuild_bytes_per_s: int = 32 * 1024 * 1024
    """Lost copies are made again at this rate at most; blobs read and sent."""
    repatriate_after_s: float = 10.0
    """Pages come home when there has been room for them for so long."""
    repatriate_bytes_per_s: int = 8 * 1024 * 1024
    """Pages come home at this rate at most; 0: only when they are read."""

    spill_batch_bytes: int = 256 * 1024
    """Blobs in one spill message."""
    spill_bytes_in_flight_max: int = 1024 * 1024
    """Blobs in all spills on their way; a copy of them is held until they are acknowledged."""
    readahead_pages: int = 32
    """Most pages fetched beyond what a sequential reader asked for; 0 switches readahead off."""
    readahead_buffer_bytes: int = 4 * 1024 * 1024
    """Compressed pages fetched ahead and not yet asked for."""
    flush_batch_pages: int = 4096
    """Pages in one flush message."""
    flush_queue_pages_max: int = 262144
    """A lender behind by this many flushes gets no spills until it has caught up; 16 bytes each."""

    def __post_init__(self) -> None:
        self._check_names()
        self._check_times()
        batch = self.spill_batch_bytes
        self._check(
            "spill_batch_bytes",
            4096 <= batch <= SPILL_PAYLOAD_BYTES_MAX - 4096,
            f"4096 to {SPILL_PAYLOAD_BYTES_MAX - 4096} bytes",
        )
        self._check(
            "spill_bytes_in_flight_max",
            self.spill_bytes_in_flight_max >= batch,
            f"at least spill_batch_bytes ({batch})",
        )
        self._check("replicas", 1 <= self.replicas <= REPLICAS_MAX, f"1 to {REPLICAS_MAX} copies")
        self._check(
            "replicas_min",
            1 <= self.replicas_min <= self.replicas,
            f"1 to replicas ({self.replicas})",
        )
        self._check("rebuild_bytes_per_s", self.rebuild_bytes_per_s >= 4096, "4096 or more bytes")
        self._check("repatriate_bytes_per_s", self.repatriate_bytes_per_s >= 0, "0 or more bytes")
        self._check("readahead_pages", 0 <= self.readahead_pages <= 1024, "0 to 1024 pages")
        self._check("readahead_buffer_bytes", self.readahead_buffer_bytes >= 0, "0 or more bytes")
        self._check(
            "flush_batch_pages",
            1 <= self.flush_batch_pages <= FLUSH_KEYS_MAX,
            f"1 to {FLUSH_KEYS_MAX} pages",
        )
        self._check("flush_queue_pages_max", self.flush_queue_pages_max >= 1, "1 or more pages")

    def _check_names(self) -> None:
        for key in ("cluster", "node", "spill_target"):
            name = getattr(self, key)
            self._check(
                key,
                0 < len(name) <= NAME_CHARS_MAX and name.isprintable(),
                f"1 to {NAME_CHARS_MAX} printable characters",
            )
        self._check(
            "node",
            self.node not in (SPILL_AUTO, SPILL_NOWHERE),
            f"anything but {SPILL_AUTO} and {SPILL_NOWHERE}, which mean something else",
        )
        self._check("spill_target", self.spill_target != self.node, "another node than this one")
        self._check("peers", len(set(self.peers)) == len(self.peers), "each address once")

    def _check_times(self) -> None:
        for key in ("heartbeat_interval_s", "reconnect_backoff_min_s"):
            self._check(key, 0 < getattr(self, key) <= 3600, "above 0, at most 3600 s")
        for key in ("call_deadline_s", "spill_deadline_s", "fetch_deadline_s", "hedge_after_s"):
            self._check(key, 0 < getattr(self, key) <= 600, "above 0, at most 600 s")
        self._check("put_wait_s", 0 <= self.put_wait_s <= 600, "0 to 600 s")
        self._check("repatriate_after_s", 0 <= self.repatriate_after_s <= 86400, "0 to 86400 s")
        ordered = (
            ("suspect_after_s", "heartbeat_interval_s"),
            ("dead_after_s", "suspect_after_s"),
            ("reconnect_backoff_max_s", "reconnect_backoff_min_s"),
        )
        for key, least in ordered:
            self._check(
                key,
                getattr(self, least) <= getattr(self, key) <= 86400,
                f"at least {least} ({getattr(self, least)}), at most 86400 s",
            )
        self._check(
            "lease_s",
            self.dead_after_s <= self.lease_s <= 86400,
            f"at least dead_after_s ({self.dead_after_s}), at most 86400 s",
        )

    def _check(self, key: str, holds: bool, accepted: str) -> None:
        if not holds:
            raise ConfigurationError(key, getattr(self, key), "ClusterConfig", accepted)
