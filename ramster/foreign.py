"""The lender's side: pages held for other nodes, under leases.

Covers: accepting owners, holding, giving back and dropping their pages, asking for pages to be
taken back (notice, draining). Implements ``transport.PeerHandler``. Does not cover: opening and
ending leases (``leases.py``), bytes on a wire (``rpc/``), how much is lent (the cache's quota
``foreign_bytes_max`` and its watermarks), when the node wants pages to go (``wanted`` is handed
in), moving them (their owners do).

Nothing that a peer sends is trusted: names, counts, column lengths and kinds are checked before
anything is stored, and a blob is stored and returned, never interpreted. An owner sees its own
pages only: they are looked up in the pools of its lease.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from random import Random

from ramster.blobs import check_shape, extend
from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import BadMessageError, PeerRefusedError
from ramster.fetch_reply import BLOB_LEFT_OUT
from ramster.leases import Lease, Leases, OwnerHeld
from ramster.limits import (
    FETCH_KEYS_MAX,
    FLUSH_KEYS_MAX,
    NAME_CHARS_MAX,
    SPILL_PAGES_MAX,
)
from ramster.removal import SLICE_PAGES
from ramster.transport import (
    CODECS,
    PROTOCOL_VERSION,
    SPILL_PAYLOAD_BYTES_MAX,
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    SpillReply,
    SpillRequest,
)
from zcache import (
    BLOB_FOUND,
    PAGE_SIZE,
    AdoptStatus,
    CacheContract,
    PackedBlobs,
    PoolKind,
)

__all__ = ["ForeignPages"]

OBJECT_ID = 0
"""All pages of one pool of a lease are in one object; the owner's keys are the indexes."""


class ForeignPages:
    """What a node answers to its peers as a lender.

    ``wanted`` tells how many bytes of foreign pages, over all owners, this node wants to be rid of.
    ``freed`` is called when owners took pages back: there may be room for a writer. ``figures``
    gives what peers are told that want to see this node's figures.
    """

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        clock: Clock,
        random: Random,
        counters: ClusterCounters,
        *,
        incarnation: int,
        wanted: Callable[[], int] = lambda: 0,
        freed: Callable[[], None] = lambda: None,
        figures: Callable[[], bytes] | None = None,
    ) -> None:
        self._cache = cache
        self._config = config
        self._clock = clock
        self._counters = counters
        self._incarnation = incarnation
        self._wanted = wanted
        self._freed = freed
        self._figures = figures
        self._draining = False
        self._leases = Leases(cache, config, clock, random, counters)
        self.ended: asyncio.Event = self._leases.ended
        """Set while there are pages of leases that ended: time to call ``free_ended``."""

    @property
    def leases(self) -> list[Lease]:
        """The leases in force, oldest first."""
        return list(self._leases)

    def pages_of(self, lease: Lease) -> int:
        """Pages held under a lease."""
        return sum(self._cache.pool_pages(pool) for pool in lease.pools.values())

    def owners_held(self) -> list[OwnerHeld]:
        """The owners that have persistent pages here: whom a drain waits for."""
        now = self._clock.now()
        held = []
        for lease in self._leases:
            pages = self._cache.pool_pages(lease.pools[PoolKind.PERSISTENT])
            if pages:
                held.append(OwnerHeld(lease.owner, pages, now - lease.heard_at))
        return held

    # -- giving pages back
    # -------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether this node takes no pages any more and asks owners to take theirs back."""
        return self._draining

    def drain(self) -> None:
        """Take no pages from now on, and say so in every reply; fetches and flushes go on."""
        self._draining = True

    def _room_bytes(self) -> int:
        return 0 if self._draining else self._cache.foreign_room_bytes()

    def _persistent_bytes(self, lease: Lease) -> int:
        """Bytes of the blobs of persistent pages that a lease holds."""
        return self._cache.foreign_bytes(lease.pools[PoolKind.PERSISTENT])

    def _wanted_of(self, lease: Lease) -> int:
        """An owner's share, by what it holds, of the bytes that are to go; all while draining."""
        held = self._persistent_bytes(lease)
        if self._draining:
            return held
        wanted = self._wanted()
        if held == 0 or wanted <= 0:
            return 0
        total = sum(map(self._persistent_bytes, self._leases))
        return -(-min(wanted, total) * held // total)

    # -- control
    # -------------------------------------------------------------------------------------

    def on_hello(self, hello: Hello) -> HelloReply:
        """See ``PeerHandler``."""
        try:
            self._check_hello(hello)
            # This node's own hello is answered, and gets no lease.
            own = hello.node == self._config.node
            lease = None if own else self._leases.lease_for(hello.node, hello.incarnation)
        except PeerRefusedError:
            self._counters.hellos_refused += 1
            raise
        return HelloReply(
            node=self._config.node,
            incarnation=self._incarnation,
            lease=0 if lease is None else lease.number,
            room_bytes=self._room_bytes(),
            lease_s=self._config.lease_s,
            draining=self._draining,
        )

    def _check_hello(self, hello: Hello) -> None:
        config = self._config
        if hello.protocol_version != PROTOCOL_VERSION:
            raise PeerRefusedError(
                f"protocol version {hello.protocol_version} offered: accepted is {PROTOCOL_VERSION}"
            )
        if hello.cluster != config.cluster:
            raise PeerRefusedError(
                f"cluster {hello.cluster!r} offered: accepted is {config.cluster!r}"
            )
        if hello.page_size != PAGE_SIZE:
            raise PeerRefusedError(f"page size {hello.page_size} offered: accepted is {PAGE_SIZE}")
        if not hello.codecs or set(hello.codecs) - set(CODECS):
            offered = ", ".join(hello.codecs) or "none"
            raise PeerRefusedError(f"codecs {offered} offered: accepted are {', '.join(CODECS)}")
        if not 0 < len(hello.node) <= NAME_CHARS_MAX or not hello.node.isprintable():
            raise PeerRefusedError(
                f"a node name of {len(hello.node)} characters offered: accepted are 1 to "
                f"{NAME_CHARS_MAX} printable ones"
            )
        if hello.node == config.node and hello.incarnation != self._incarnation:
            raise PeerRefusedError(f"node name {hello.node!r} offered: it is this node's own")

    def on_heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """See ``PeerHandler``. An owner that leaves has no lease any more after this."""
        lease = self._leases.renew(beat.lease, beat.incarnation)
        if beat.leaving:
            self._leases.leave(lease)
        return HeartbeatReply(
            incarnation=self._incarnation,
            room_bytes=self._room_bytes(),
            foreign_pages=0 if beat.leaving else self.pages_of(lease),
            wanted_bytes=0 if beat.leaving else self._wanted_of(lease),
            draining=self._draining,
        )

    def on_figures(self, request: FiguresRequest) -> bytes:
        """See ``PeerHandler``. A node that was given no figures tells none."""
        if request.cluster != self._config.cluster:
            raise PeerRefusedError(
                f"cluster {request.cluster!r} offered: accepted is {self._config.cluster!r}"
            )
        if self._figures is None:
            raise PeerRefusedError("this node tells no figures")
        return self._figures()

    # -- data
    # ----------------------------------------------------------------------------------------

    def on_spill(self, request: SpillRequest) -> SpillReply:
        """See ``PeerHandler``. While draining, every page is answered with FULL."""
        lease = self._leases.renew(request.lease)
        try:
            pool = self._pool(lease, request.kind)
            check_shape(
                request.blobs,
                rows_max=SPILL_PAGES_MAX,
                payload_bytes_max=SPILL_PAYLOAD_BYTES_MAX,
            )
            self._check_order(lease, request)
        except BadMessageError:
            self._counters.messages_refused += 1
            raise
        if self._draining:
            statuses = bytes((AdoptStatus.FULL,)) * len(request.blobs)
        else:
            statuses = self._cache.adopt(pool, OBJECT_ID, request.blobs)
        return SpillReply(statuses=statuses, room_bytes=self._room_bytes())

    def _check_order(self, lease: Lease, request: SpillRequest) -> None:
        if request.epoch < lease.epoch:
            raise BadMessageError(
                f"spill epoch {request.epoch}: accepted is {lease.epoch} or later"
            )
        _check_number("batch", request.batch)
        lease.epoch = request.epoch
        if not lease.batches.admit(request.batch):
            raise BadMessageError(
                f"batch {request.batch} was delivered before, or is too old to say"
            )

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        """See ``PeerHandler``. What does not fit ``SPILL_PAYLOAD_BYTES_MAX`` is left out."""
        lease = self._leases.renew(request.lease)
        try:
            pool = self._pool(lease, request.kind)
            _check_columns(request.keys, request.generations, FETCH_KEYS_MAX)
        except BadMessageError:
            self._counters.messages_refused += 1
            raise
        found = bytearray()
        blobs = PackedBlobs(payload=bytearray())
        keys, generations = request.keys, request.generations
        while (start := len(found)) < len(keys):
            fitting = (SPILL_PAYLOAD_BYTES_MAX - len(blobs.payload)) // PAGE_SIZE
            if fitting == 0:
                found += bytes((BLOB_LEFT_OUT,)) * (len(keys) - start)
                break
            part = slice(start, start + fitting)
            answers, some = self._cache.read_adopted(pool, OBJECT_ID, keys[part], generations[part])
            found += answers
            extend(blobs, some)
        assert found.count(BLOB_FOUND) == len(blobs)
        return FetchReply(found=bytes(found), blobs=blobs)

    def on_flush(self, request: FlushRequest) -> None:
        """See ``PeerHandler``. One that was carried out before changes nothing, and is no error."""
        lease = self._leases.renew(request.lease)
        try:
            pool = self._pool(lease, request.kind)
            _check_columns(request.keys, request.generations, FLUSH_KEYS_MAX)
            _check_number("sequence", request.sequence)
        except BadMessageError:
            self._counters.messages_refused += 1
            raise
        lease.epoch = max(lease.epoch, request.epoch)
        if request.sequence > lease.flush_sequence:
            lease.flush_sequence = request.sequence
            if self._cache.flush_adopted(pool, OBJECT_ID, request.keys, request.generations):
                self._freed()

    # -- leases
    # ----------------------------------------------------------------------------------------

    def sweep(self, interval_s: float) -> int:
        """See ``Leases.sweep``."""
        return self._leases.sweep(interval_s)

    def free_ended(self, pages_max: int = SLICE_PAGES) -> bool:
        """See ``Leases.free_ended``."""
        return self._leases.free_ended(pages_max)

    def _pool(self, lease: Lease, kind: int) -> int:
        pool = lease.pools.get(kind)
        if pool is None:
            raise BadMessageError(f"pool kind {kind}: accepted is 0 or 1")
        return pool


def _check_number(name: str, number: int) -> None:
    if number < 1:
        raise BadMessageError(f"{name} {number}: accepted is 1 or more")


def _check_columns(keys: array[int], generations: array[int], rows_max: int) -> None:
    if len(keys) != len(generations):
        raise BadMessageError(f"{len(generations)} generations for {len(keys)} keys")
    if len(keys) > rows_max:
        raise BadMessageError(f"{len(keys)} keys: accepted is up to {rows_max}")
