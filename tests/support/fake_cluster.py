"""Nodes for tests: the real cluster code and cache, over a FakeNetwork, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from ramster.clock import LoopClock
from ramster.cluster import Cluster, ClusterConfig
from ramster.foreign import OBJECT_ID
from ramster.lenders import Place
from ramster.snapshot import PeerSnapshot
from ramster.writeback import Writeback
from tests.support.fake_disk import FakeDisk
from tests.support.fake_network import FakeNetwork
from tests.support.virtual_time import until
from zcache import (
    BLOB_FOUND,
    PAGE_SIZE,
    Cache,
    CacheConfig,
    CacheContract,
    PoolKind,
    place_of,
)

MIB = 1024 * 1024


def make_page(number: int, version: int = 0) -> bytes:
    """A page that says which it is, and that compresses to about half."""
    random = Random(number * 1_000_003 + version)
    head = f"page {number} version {version};".encode()
    return (head + random.randbytes(PAGE_SIZE // 2) + bytes(PAGE_SIZE))[:PAGE_SIZE]


class Node:
    """One node: a cache and its cluster layer.

    ``writeback_bytes``: what its write-back file may grow to; each life has a new one, on ``disk``.
    ``make_cache``: for tests that look into the Python cache; else the chosen backend.
    """

    cache: CacheContract
    disk: FakeDisk
    writeback: Writeback

    def __init__(
        self,
        network: FakeNetwork,
        name: str,
        peers: list[str],
        *,
        seed: int = 0,
        pool_bytes: int = MIB,
        lend_bytes: int | None = None,
        cache_knobs: dict[str, Any] | None = None,
        writeback_bytes: int = 0,
        make_cache: Callable[[CacheConfig], CacheContract] = Cache,
        **knobs: Any,
    ) -> None:
        self.network = network
        self.name = name
        self.life = 0
        self._seed = seed
        self._writeback_bytes = writeback_bytes
        self._make_cache = make_cache
        self._cache_config = CacheConfig(
            pool_bytes_max=pool_bytes,
            foreign_bytes_max=pool_bytes // 2 if lend_bytes is None else lend_bytes,
            **(cache_knobs or {}),
        )
        if not writeback_bytes:
            knobs.pop("writeback_safety", None)
        self._config = ClusterConfig(
            node=name, peers=tuple(peer for peer in peers if peer != name), **knobs
        )
        self.running = False

    async def start(self) -> None:
        """Begin a life: an empty cache, another incarnation."""
        self.life += 1
        self.cache = self._make_cache(self._cache_config)
        if self._writeback_bytes:
            self.disk = FakeDisk(Random(f"disk {self._seed} {self.name} {self.life}"))
            self.writeback = Writeback(self.disk, self._writeback_bytes, LoopClock())
        self.cluster = Cluster(
            self.cache,
            self._config,
            self.network.transport(self.name),
            clock=LoopClock(),
            random=Random(f"{self._seed} {self.name} {self.life}"),
            writeback=self.writeback if self._writeback_bytes else None,
        )
        self.store = self.cluster.store
        self.network.up(self.name, self.cluster.handler)
        await self.cluster.start()
        self.running = True

    async def stop(self, *, goodbye_s: float = 0.0) -> None:
        """End a life in good order, as far as this process goes; peers notice by themselves, or
        are told so.
        """
        if self.running:
            self.running = False
            self.network.down(self.name)
            await self.cluster.stop(goodbye_s=goodbye_s)
            assert self.cluster.tasks.failure is None, repr(self.cluster.tasks.failure)

    crash = stop

    # -- pages, one by one ------------------------------------------------------------------------

    async def put(self, pool: int, index: int, page: bytes, *, object_id: int = 1) -> None:
        await self.store.put_many(pool, object_id, [index], page)

    async def get(self, pool: int, index: int, *, object_id: int = 1) -> bytes | None:
        into = bytearray(PAGE_SIZE)
        found = await self.store.get_many(pool, object_id, [index], into)
        return bytes(into) if found == b"\1" else None

    def pool(
        self,
        kind: PoolKind = PoolKind.PERSISTENT,
        *,
        exclusive: bool = False,
        replicas: int | None = None,
        codec: str | None = None,
    ) -> int:
        return self.store.create_pool(
            kind, exclusive_gets=exclusive, replicas=replicas, codec=codec
        )

    def places(self, pool: int, count: int, *, object_id: int = 1) -> dict[int, Place]:
        """Where the pages of a pool are that are away, by index."""
        away = self.cache.peek_away(pool, object_id, range(count))
        return {
            index: self.cluster._table.place(place_of(where))
            for index, where in zip(away.positions, away.wheres, strict=True)
        }

    @property
    def counters(self) -> Any:
        return self.cluster.snapshot().counters

    @property
    def away(self) -> int:
        return self.cache.stats().pages_away

    @property
    def foreign(self) -> int:
        return self.cache.stats().pages_foreign

    def peer(self, name: str) -> Any:
        """This node's view of another."""
        return next(peer for peer in self.cluster.snapshot().peers if peer.address == name)

    def sees(self, name: str) -> bool:
        return bool(self.peer(name).state == "alive")


class FakeCluster:
    """Some nodes that know each other."""

    def __init__(self, names: str = "a b", *, seed: int = 0, **knobs: Any) -> None:
        self.network = FakeNetwork(seed)
        self.names = names.split()
        self.nodes = {
            name: Node(self.network, name, self.names, seed=seed, **self._knobs(name, knobs))
            for name in self.names
        }

    @staticmethod
    def _knobs(name: str, knobs: dict[str, Any]) -> dict[str, Any]:
        """``only_a={...}`` holds for node a alone."""
        common = {key: value for key, value in knobs.items() if not key.startswith("only_")}
        own: dict[str, Any] = knobs.get(f"only_{name}", {})
        return common | own

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    async def __aenter__(self) -> FakeCluster:
        for node in self.nodes.values():
            await node.start()
        await until(self.all_alive)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for node in self.nodes.values():
            await node.stop()

    def all_alive(self) -> bool:
        return all(
            node.sees(peer.address)
            for node in self.nodes.values()
            for peer in node.cluster.snapshot().peers
        )

    def verify(self) -> None:
        """Every cache's sums add up."""
        for node in self.nodes.values():
            node.cache.verify()

    def accounts_agree(self) -> bool:
        """Whether every lender of a place holds what its owner has there and no more, and nothing
        is on its way.

        To the page, except that a lender may have dropped ephemeral ones for its own needs.
        """
        for owner in self.nodes.values():
            view = owner.cluster.snapshot()
            if view.flushes_pending or view.spill_bytes_in_flight:
                return False
            if view.writeback is not None and view.writeback.pages != in_file(owner):
                return False
            for peer in view.peers:
                lender = self.nodes[peer.address]
                if held(lender, owner.name, PoolKind.PERSISTENT) != away_at(owner, peer, 0):
                    return False
                if held(lender, owner.name, PoolKind.EPHEMERAL) > away_at(owner, peer, 1):
                    return False
        return all(self.has_all_copies(owner) for owner in self.nodes.values())

    def has_all_copies(self, owner: Node) -> bool:
        """Whether every persistent page of a node is at each lender that its place names, under its
        name; lives and leases that are over do not count.
        """
        table = owner.cluster._table
        for number in owner.cache.stats().away_by_where:
            place = table.place(number)
            if place.kind is not PoolKind.PERSISTENT:
                continue
            names = names_at(owner, number)
            for lender in place.lenders:
                if owner.cluster._membership.address_of(lender) is None:
                    continue
                if not holds(self.nodes[lender.node], lender.lease, names):
                    return False
        return True


def held(lender: Node, owner: str, kind: PoolKind) -> int:
    """Pages of one kind that a lender holds for an owner."""
    return sum(
        lender.cache.pool_pages(lease.pools[kind])
        for lease in lender.cluster._foreign.leases
        if lease.owner == owner
    )


def holds(lender: Node, number: int, names: set[tuple[int, int]]) -> bool:
    """Whether a lender holds persistent pages, each a (key, generation), under a lease."""
    for lease in lender.cluster._foreign.leases:
        if lease.number == number:
            found, _ = lender.cache.read_adopted(
                lease.pools[PoolKind.PERSISTENT],
                OBJECT_ID,
                [key for key, _ in names],
                [generation for _, generation in names],
            )
            return found.count(BLOB_FOUND) == len(names)
    return not names


def names_at(owner: Node, number: int) -> set[tuple[int, int]]:
    """(key, generation) of the pages that an owner has at a place."""
    names: set[tuple[int, int]] = set()
    cursor = 0
    while True:
        _, away, cursor = owner.cache.scan_away(number, cursor=cursor, pages_max=4096)
        names.update(zip(away.keys, away.generations, strict=True))
        if not cursor:
            return names


def away_at(owner: Node, peer: PeerSnapshot, column: int) -> int:
    """Pages that an owner has at a peer's present life: persistent (0) or ephemeral (1) ones. One
    with copies at several lenders counts at each of them.
    """
    counts = owner.cache.stats().away_by_where
    return sum(
        counts[number][column]
        for number in counts
        for lender in owner.cluster._table.place(number).lenders
        if lender.node == peer.node and lender.lease == peer.lease
    )


def in_file(owner: Node) -> int:
    """Pages that an owner has in its write-back file, by its stubs."""
    counts = owner.cache.stats().away_by_where
    return sum(sum(counts[number]) for number in counts if owner.cluster._table.place(number).disk)


async def fill(node: Node, pool: int, count: int, *, first: int = 0, version: int = 0) -> None:
    """Put ``count`` pages."""
    for index in range(first, first + count):
        await node.put(pool, index, make_page(index, version))
