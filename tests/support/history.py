"""Random histories of a small cluster under faults, checked page by page.

Each node runs writers; each writer has pages of its own and remembers what they may contain.
Meanwhile nodes crash and come back, links are cut, messages are lost, late, twice, out of order.
What is checked:

- a get returns what the last accepted put stored, or nothing, or a loss error; never anything else;
- a persistent page is lost or missing only if a fault can explain it;
- when all is healed: lenders hold exactly what their owners have away, and all caches' sums add up.

The same seed gives the same history.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from ramster.errors import PageLostError, StoreClosedError, StoreFullError
from tests.support.fake_cluster import FakeCluster, Node, make_page
from tests.support.virtual_time import until
from zcache import PAGE_SIZE, GetFree, PoolKind

PAGES_A_WRITER = 60
BATCH_MAX = 8
QUICK: dict[str, Any] = {
    "heartbeat_interval_s": 0.2,
    "suspect_after_s": 0.6,
    "dead_after_s": 2.0,
    "lease_s": 4.0,
    "call_deadline_s": 1.0,
    "fetch_deadline_s": 0.8,
    "put_wait_s": 0.5,
    "reconnect_backoff_max_s": 1.0,
    "spill_batch_bytes": 16 * 1024,
    "spill_bytes_in_flight_max": 64 * 1024,
    "readahead_buffer_bytes": 64 * 1024,
    "flush_batch_pages": 16,
}


class Writer:
    """One client of one node: a model of its pages, checked against every answer."""

    def __init__(self, history: History, node: Node, number: int, kind: PoolKind) -> None:
        self._history = history
        self._node = node
        self._random = Random(f"{history.seed} writer {node.name} {number}")
        self._kind = kind
        self._pool = node.pool(kind)
        self._object = number
        self._version = 0
        self._may_be: dict[int, set[int | None]] = {}
        """What a page may contain: versions, or None for nothing."""
        self._log: list[tuple[int, set[int | None]]] = []
        """Every change of ``_may_be``, for readers beside this writer."""

    def _set(self, index: int, versions: set[int | None]) -> None:
        self._may_be[index] = versions
        self._log.append((index, versions))

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            try:
                await self._step()
            except StoreClosedError:
                return
            await asyncio.sleep(self._random.choice((0, 0, 0.001, 0.02, 0.1)))

    async def read_beside(self, steps: int) -> None:
        """Read pages that the writer may change at this very moment."""
        random = Random(f"{self._history.seed} reader {self._node.name} {self._object}")
        for _ in range(steps):
            index, begin = random.randrange(PAGES_A_WRITER), len(self._log)
            may_be = set(self._may_be.get(index, {None}))
            into = bytearray(PAGE_SIZE)
            try:
                found = await self._node.store.get_many(
                    self._pool, self._object, [index], into, free=GetFree.NEVER
                )
            except StoreClosedError:
                return
            except PageLostError as error:
                self._check_loss(error, [index])
                continue
            for changed, versions in self._log[begin:]:
                if changed == index:
                    may_be |= versions
            if found == b"\1":
                right = [v for v in may_be if v is not None and self._page(index, v) == into]
                assert right, f"{self._where(index)}: not one of {may_be}"
            else:
                assert None in may_be or self._kind is PoolKind.EPHEMERAL, self._where(index)
            await asyncio.sleep(random.choice((0, 0.001, 0.05)))

    async def read_all(self) -> None:
        """Read every page once more."""
        for first in range(0, PAGES_A_WRITER, BATCH_MAX):
            await self._get(
                list(range(first, min(first + BATCH_MAX, PAGES_A_WRITER))), GetFree.NEVER
            )

    async def _step(self) -> None:
        random = self._random
        first = random.randrange(PAGES_A_WRITER)
        count = random.choice((1, 1, 2, BATCH_MAX))
        indexes = [(first + i) % PAGES_A_WRITER for i in range(count)]
        kind = random.random()
        if kind < 0.45:
            await self._put(indexes, keep_old=random.random() < 0.3)
        elif kind < 0.85:
            free = GetFree.ALWAYS if random.random() < 0.1 else GetFree.BY_KIND
            await self._get(indexes, free)
        elif kind < 0.97:
            for index in indexes:
                await self._node.store.flush(self._pool, self._object, index)
                self._set(index, {None})
        else:
            await self._node.store.flush_object(self._pool, self._object)
            for index in range(PAGES_A_WRITER):
                self._set(index, {None})

    def _page(self, index: int, version: int) -> bytes:
        if version % 13 == 0:
            return bytes([version % 256]) * PAGE_SIZE
        return make_page(self._object * 1000 + index, version)

    async def _put(self, indexes: list[int], *, keep_old: bool) -> None:
        self._version += 1
        version = self._version
        payload = b"".join(self._page(index, version) for index in indexes)
        before = {index: self._may_be.get(index, {None}) for index in indexes}
        for index in indexes:  # a put that is cut off may have stored any of its pages
            self._set(index, before[index] | {version, None})
        try:
            await self._node.store.put_many(
                self._pool, self._object, indexes, payload, keep_old=keep_old
            )
        except StoreFullError:
            for index in indexes:
                # Stored, or refused (absent, or kept), or behind the refused one and as before.
                self._set(index, {version} | before[index] | (set() if keep_old else {None}))
            return
        for index in indexes:
            self._set(index, {version})

    async def _get(self, indexes: list[int], free: GetFree) -> None:
        into = bytearray(b"\xa5" * (PAGE_SIZE * len(indexes)))
        frees = free is GetFree.ALWAYS or (
            free is GetFree.BY_KIND and self._kind is PoolKind.EPHEMERAL
        )
        before = {index: self._may_be.get(index, {None}) for index in indexes}
        if frees:
            for index in indexes:
                self._set(index, before[index] | {None})
        try:
            found = await self._node.store.get_many(
                self._pool, self._object, indexes, into, free=free
            )
        except PageLostError as error:
            self._check_loss(error, indexes)
            return
        for row, index in enumerate(indexes):
            page = bytes(into[row * PAGE_SIZE : (row + 1) * PAGE_SIZE])
            may_be = before[index]
            if found[row]:
                versions = {version for version in may_be if version is not None}
                right = [v for v in sorted(versions) if self._page(index, v) == page]
                assert right, f"{self._where(index)}: not one of versions {sorted(versions)}"
                self._set(index, {None} if frees else set(right))
            else:
                assert page == b"\xa5" * PAGE_SIZE, "an absent page was written"
                assert None in may_be or self._kind is PoolKind.EPHEMERAL, (
                    f"{self._where(index)}: missing, should be one of {may_be}"
                )
                self._set(index, {None})

    def _check_loss(self, error: PageLostError, indexes: list[int]) -> None:
        assert self._kind is PoolKind.PERSISTENT, "an ephemeral page is a miss, not an error"
        assert self._history.explains_loss(self._node), f"lost without a fault: {error}"
        assert set(error.indexes) <= set(indexes)

    def _where(self, index: int) -> str:
        return f"node {self._node.name} life {self._node.life} object {self._object} page {index}"


class History:
    """One run."""

    def __init__(self, seed: int, *, faults: bool = True, steps: int = 300, **knobs: Any) -> None:
        self.seed = seed
        self._random = Random(f"{seed} faults")
        self._faults = faults
        self._steps = steps
        ephemeral = self._random.random() < 0.5
        sizes = {
            f"only_{name}": {"pool_bytes": 1024 * self._random.choice((96, 160, 320, 1024))}
            for name in "abc"
        }
        common = QUICK | {"spill_ephemeral": ephemeral} | knobs
        self.cluster = FakeCluster("a b c", seed=seed, **common, **sizes)
        self._trouble_until = 0.0
        """Losses that pass with time are explained up to here."""
        self._crashes = 0
        self._writers: dict[str, list[Writer]] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def explains_loss(self, node: Node) -> bool:
        """Whether a page of this node can be gone, or out of reach for now."""
        return (
            self._crashes > 0
            or asyncio.get_running_loop().time() < self._trouble_until
            or any(
                other.counters.leases_expired
                for other in self.cluster.nodes.values()
                if other is not node
            )
        )

    async def run(self) -> None:
        network = self.cluster.network
        if self._faults:
            network.delay_s = self._random.choice(((0.0001, 0.001), (0.001, 0.2)))
            network.duplicate = self._random.choice((0.0, 0.05))
        async with self.cluster:
            for node in self.cluster.nodes.values():
                self._begin(node)
            if self._faults:
                await self._break_things()
            for tasks in list(self._tasks.values()):
                await asyncio.gather(*tasks)
            await self._heal()
            await until(self.cluster.accounts_agree, within_s=120.0, every_s=0.1)
            for writers in self._writers.values():
                for writer in writers:
                    await writer.read_all()
            await until(self.cluster.accounts_agree, within_s=120.0, every_s=0.1)
            self.cluster.verify()

    def _begin(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        kinds = (PoolKind.PERSISTENT, PoolKind.PERSISTENT, PoolKind.EPHEMERAL)
        writers = [Writer(self, node, number, kind) for number, kind in enumerate(kinds, 1)]
        self._writers[node.name] = writers
        self._tasks[node.name] = [
            loop.create_task(work)
            for writer in writers
            for work in (writer.run(self._steps), writer.read_beside(self._steps // 2))
        ]

    async def _break_things(self) -> None:
        network, random = self.cluster.network, self._random
        names = self.cluster.names
        for _ in range(random.randrange(1, 8)):
            await asyncio.sleep(random.choice((0.05, 0.3, 1.0, 3.0)))
            kind = random.choice(("cut", "cut", "loss", "crash", "heal"))
            now = asyncio.get_running_loop().time()
            if kind == "cut":
                network.cut(*random.sample(names, 2))
                self._trouble_until = float("inf")
            elif kind == "loss":
                network.loss = random.choice((0.02, 0.3))
                self._trouble_until = float("inf")
            elif kind == "heal":
                network.heal()
                network.loss = 0.0
                self._trouble_until = now + 5.0
            else:
                await self._restart(random.choice(names))

    async def _restart(self, name: str) -> None:
        node = self.cluster[name]
        self._crashes += 1
        await node.crash()
        await asyncio.gather(*self._tasks[name])
        await asyncio.sleep(self._random.choice((0.0, 0.5, 3.0)))
        await node.start()
        self._begin(node)

    async def _heal(self) -> None:
        self.cluster.network.heal()
        self.cluster.network.loss = 0.0
        self.cluster.network.duplicate = 0.0
        await self.cluster.network.settle()
        await until(self.cluster.all_alive, within_s=60.0)
        self._trouble_until = asyncio.get_running_loop().time() + 1.0
        await asyncio.sleep(1.5)
