"""The lender's side: pages held for other nodes, under leases.

Covers: accepting owners, holding, giving back and dropping their pages, ending leases. Implements
``transport.PeerHandler``. Does not cover: bytes on a wire (``rpc/``), how much is lent (the
cache's quota ``foreign_bytes_max`` and its watermarks).

Nothing that a peer sends is trusted: names, counts, column lengths and kinds are checked before
anything is stored, and a blob is stored and returned, never interpreted. An owner sees its own
pages only: they are looked up in the pools of its lease.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from random import Random

from ramster.blobs import check_shape, extend
from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import BadMessageError, PeerRefusedError, UnknownLeaseError
from ramster.fetch_reply import BLOB_LEFT_OUT
from ramster.limits import (
    FETCH_KEYS_MAX,
    FLUSH_KEYS_MAX,
    NAME_CHARS_MAX,
    SPILL_PAGES_MAX,
    SPILL_WINDOW,
)
from ramster.removal import SLICE_PAGES
from ramster.transport import (
    PROTOCOL_VERSION,
    SPILL_PAYLOAD_BYTES_MAX,
    FetchReply,
    FetchRequest,
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
    CacheContract,
    PackedBlobs,
    PoolKind,
    PoolTableFullError,
)

__all__ = ["ForeignPages", "Lease"]

log = logging.getLogger(__name__)

CODECS = ("lz4",)
"""Codecs whose blobs this node can read back; an owner needs one of them for its pages to come
here.
"""

OBJECT_ID = 0
"""All pages of one pool of a lease are in one object; the owner's keys are the indexes."""

SUPERSEDED_MAX = 1024
"""Former lives of owners that are remembered."""


@dataclass(slots=True)
class Lease:
    """What one life of one owner holds here."""

    number: int
    owner: str
    incarnation: int
    pools: dict[int, int]
    """Pool ids by kind."""
    heard_at: float
    epoch: int = 0
    """The highest spill epoch seen."""
    batches: OrderedDict[tuple[int, int], None] = field(default_factory=OrderedDict)
    """The (first key, first generation) of the last spills: no batch comes twice."""


class ForeignPages:
    """What a node answers to its peers as a lender."""

    def __init__(
        self,
        cache: CacheContract,
        config: ClusterConfig,
        clock: Clock,
        random: Random,
        counters: ClusterCounters,
        *,
        incarnation: int,
    ) -> None:
        self._cache = cache
        self._config = config
        self._clock = clock
        self._random = random
        self._counters = counters
        self._incarnation = incarnation
        self._leases: dict[int, Lease] = {}
        self._by_owner: dict[str, Lease] = {}
        self._superseded: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._ended: deque[int] = deque()
        """Pools of leases that ended, still to be emptied."""
        self.ended = asyncio.Event()
        """Set while there are such pools: time to call ``free_ended``."""

    @property
    def leases(self) -> list[Lease]:
        """The leases in force, oldest first."""
        return list(self._leases.values())

    def pages_of(self, lease: Lease) -> int:
        """Pages held under a lease."""
        return sum(self._cache.pool_pages(pool) for pool in lease.pools.values())

    # -- control
    # -------------------------------------------------------------------------------------

    def on_hello(self, hello: Hello) -> HelloReply:
        """See ``PeerHandler``."""
        try:
            self._check_hello(hello)
            lease = self._lease_for(hello)
        except PeerRefusedError:
            self._counters.hellos_refused += 1
            raise
        return HelloReply(
            node=self._config.node,
            incarnation=self._incarnation,
            lease=0 if lease is None else lease.number,
            room_bytes=self._cache.foreign_room_bytes(),
            lease_s=self._config.lease_s,
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
        if not set(hello.codecs) & set(CODECS):
            offered = ", ".join(hello.codecs) or "none"
            raise PeerRefusedError(
                f"codecs {offered} offered: accepted is one of {', '.join(CODECS)}"
            )
        if not 0 < len(hello.node) <= NAME_CHARS_MAX or not hello.node.isprintable():
            raise PeerRefusedError(
                f"a node name of {len(hello.node)} characters offered: accepted are 1 to "
                f"{NAME_CHARS_MAX} printable ones"
            )
        if hello.node == config.node and hello.incarnation != self._incarnation:
            raise PeerRefusedError(f"node name {hello.node!r} offered: it is this node's own")

    def _lease_for(self, hello: Hello) -> Lease | None:
        """The lease of an owner, a new one for a new life; None for this node itself."""
        if hello.node == self._config.node:
            return None
        now = self._clock.now()
        lease = self._by_owner.get(hello.node)
        if lease is not None and lease.incarnation == hello.incarnation:
            lease.heard_at = now
            return lease
        if lease is not None:
            if (hello.node, hello.incarnation) in self._superseded:
                # Two processes with one name must not free each other's pages in turn.
                raise PeerRefusedError(
                    f"node name {hello.node!r} offered: a node that started later uses it"
                )
            log.info("%s restarted: its former pages are freed", hello.node)
            self._counters.leases_superseded += 1
            self._superseded[hello.node, lease.incarnation] = None
            if len(self._superseded) > SUPERSEDED_MAX:
                self._superseded.popitem(last=False)
            self._end(lease)
        return self._open(hello, now)

    def _open(self, hello: Hello, now: float) -> Lease:
        pools: dict[int, int] = {}
        try:
            for kind in PoolKind:
                pools[kind] = self._cache.create_pool(kind, foreign=True)
        except PoolTableFullError as error:
            for pool in pools.values():
                self._cache.destroy_pool(pool)
            raise PeerRefusedError(f"no pool is left for {hello.node!r}: {error}") from error
        number = 0
        while number == 0 or number in self._leases:
            number = self._random.getrandbits(63)
        lease = Lease(number, hello.node, hello.incarnation, pools, now)
        self._leases[number] = self._by_owner[hello.node] = lease
        self._counters.leases_opened += 1
        return lease

    def on_heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """See ``PeerHandler``."""
        lease = self._renew(beat.lease)
        if lease.incarnation != beat.incarnation:
            raise UnknownLeaseError(f"lease {beat.lease} is of another life of {lease.owner}")
        return HeartbeatReply(
            incarnation=self._incarnation,
            room_bytes=self._cache.foreign_room_bytes(),
            foreign_pages=self.pages_of(lease),
        )

    # -- data
    # ----------------------------------------------------------------------------------------

    def on_spill(self, request: SpillRequest) -> SpillReply:
        """See ``PeerHandler``. A batch that is delivered twice is refused the second time."""
        lease = self._renew(request.lease)
        try:
            pool = self._pool(lease, request.kind)
            check_shape(
                request.blobs,
                rows_max=SPILL_PAGES_MAX,
                payload_bytes_max=SPILL_PAYLOAD_BYTES_MAX,
            )
            self._check_epoch(lease, request)
        except BadMessageError:
            self._counters.messages_refused += 1
            raise
        return SpillReply(
            statuses=self._cache.adopt(pool, OBJECT_ID, request.blobs),
            room_bytes=self._cache.foreign_room_bytes(),
        )

    def _check_epoch(self, lease: Lease, request: SpillRequest) -> None:
        if request.epoch < lease.epoch:
            raise BadMessageError(
                f"spill epoch {request.epoch}: accepted is {lease.epoch} or later"
            )
        lease.epoch = request.epoch
        if not len(request.blobs):
            return
        batch = (request.blobs.keys[0], request.blobs.generations[0])
        if batch in lease.batches:
            raise BadMessageError("a batch that was delivered before")
        lease.batches[batch] = None
        if len(lease.batches) > SPILL_WINDOW:
            lease.batches.popitem(last=False)

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        """See ``PeerHandler``. What does not fit ``SPILL_PAYLOAD_BYTES_MAX`` is left out."""
        lease = self._renew(request.lease)
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
        """See ``PeerHandler``."""
        lease = self._renew(request.lease)
        try:
            pool = self._pool(lease, request.kind)
            _check_columns(request.keys, request.generations, FLUSH_KEYS_MAX)
        except BadMessageError:
            self._counters.messages_refused += 1
            raise
        lease.epoch = max(lease.epoch, request.epoch)
        self._cache.flush_adopted(pool, OBJECT_ID, request.keys, request.generations)

    # -- leases
    # ----------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """End the leases of owners that were silent for ``lease_s``; returns how many."""
        now = self._clock.now()
        ended = [
            lease for lease in self._leases.values() if now - lease.heard_at >= self._config.lease_s
        ]
        for lease in ended:
            log.info(
                "%s was silent for %g s: its pages are freed", lease.owner, now - lease.heard_at
            )
            self._counters.leases_expired += 1
            self._end(lease)
        return len(ended)

    def _end(self, lease: Lease) -> None:
        """Let nobody reach a lease's pages any more; the first of them are freed at once."""
        del self._leases[lease.number]
        del self._by_owner[lease.owner]
        self._ended.extend(lease.pools.values())
        if not self.free_ended():
            self.ended.set()

    def free_ended(self, pages_max: int = SLICE_PAGES) -> bool:
        """Free some pages of leases that ended; True if there are no more.

        A slice at a time, because a lease may hold a million pages and the owners of other
        leases are to be answered in between.
        """
        while self._ended:
            removed = self._cache.empty_pool(self._ended[0], pages_max)
            pages_max -= removed
            if pages_max <= 0:
                return False
            self._cache.destroy_pool(self._ended.popleft())
        self.ended.clear()
        return True

    def _renew(self, number: int) -> Lease:
        lease = self._leases.get(number)
        if lease is None:
            raise UnknownLeaseError(f"no lease {number} at {self._config.node}")
        lease.heard_at = self._clock.now()
        return lease

    def _pool(self, lease: Lease, kind: int) -> int:
        pool = lease.pools.get(kind)
        if pool is None:
            raise BadMessageError(f"pool kind {kind}: accepted is 0 or 1")
        return pool


def _check_columns(keys: array[int], generations: array[int], rows_max: int) -> None:
    if len(keys) != len(generations):
        raise BadMessageError(f"{len(generations)} generations for {len(keys)} keys")
    if len(keys) > rows_max:
        raise BadMessageError(f"{len(keys)} keys: accepted is up to {rows_max}")
