"""An owner in this process and its lenders, each a process: what ``cluster-*`` workloads run on.

Covers: starting and stopping them, pages of real files in a pool that holds a part of them, waiting
for spills to end. Does not cover: what is measured (the workloads).

The owner's page store is called without a front-end, on the event loop that the node works on, so
that its figures are those of the cluster alone.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ramster.addresses import PEER_PORT, parse_address
from ramster.bench.model import WorkloadUnavailable
from ramster.bench.pages import corpus
from ramster.cluster_store import ClusterStore
from ramster.config import Mode, NodeConfig
from ramster.demo.nodes import NodeProcess
from ramster.demo.sample import compression_of
from ramster.figures import Figures
from ramster.node import Node
from zcache import PAGE_SIZE, PoolKind

__all__ = [
    "BATCH_PAGES",
    "OBJECT",
    "Owner",
    "Timing",
    "check_cluster_extra",
    "lender_flags",
    "open_owner",
    "pool_for",
    "start_lenders",
    "wait_until",
]

BATCH_PAGES = 32
"""Pages of one put and of one read in order: a request of 128 KiB."""
OBJECT = 1
"""The object that the pages belong to; page n has index n."""
_WAIT_S = 30.0
_WATCH_S = 0.001
_HIGH_WATERMARK = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Settings of membership, in seconds; a node's defaults."""

    heartbeat_s: float = 1.0
    suspect_s: float = 3.0
    dead_s: float = 10.0

    @property
    def flags(self) -> list[str]:
        """For ``ramster serve``."""
        flags = ["--heartbeat-interval", f"{self.heartbeat_s}s"]
        flags += ["--suspect-after", f"{self.suspect_s}s", "--dead-after", f"{self.dead_s}s"]
        return flags


_DEFAULT_TIMING = Timing()


@dataclass(slots=True)
class Owner:
    """A node in this process, with the pages that it is to hold."""

    node: Node
    lenders: list[NodeProcess]
    pool: int
    data: bytes
    """Page n is ``data[n * 4096:]``."""

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return len(self.data) // PAGE_SIZE

    @property
    def remote_hits(self) -> int:
        """Pages got so far that were away. Costs nothing, unlike ``figures``."""
        store = self.node.store
        assert isinstance(store, ClusterStore)
        return store.counters.remote_hits

    def figures(self) -> Figures:
        """Of the owner."""
        return self.node.figures()

    def check(self) -> None:
        """Raises NodeProcessError if a lender has ended, AssertionError if the cache's books do
        not add up."""
        for lender in self.lenders:
            lender.check()
        self.node.store.cache.verify()

    async def put_all(self) -> None:
        """Put every page, in batches; as fast as the store takes them."""
        view = memoryview(self.data)
        for start in range(0, self.pages, BATCH_PAGES):
            run = range(start, min(start + BATCH_PAGES, self.pages))
            part = view[run.start * PAGE_SIZE : run.stop * PAGE_SIZE]
            await self.node.store.put_many(self.pool, OBJECT, run, part)

    async def get(self, run: Sequence[int]) -> bytearray:
        """Consecutive pages. Raises AssertionError: absent, PageLostError."""
        into = bytearray(len(run) * PAGE_SIZE)
        states = await self.node.store.get_many(self.pool, OBJECT, run, into)
        assert 0 not in states, f"pages {run} are absent"
        return into

    def compare(self, run: Sequence[int], found: bytearray | bytes) -> None:
        """Raises AssertionError for wrong bytes."""
        start = run[0] * PAGE_SIZE
        assert found == self.data[start : start + len(found)], f"pages {run} came back wrong"

    def away(self) -> list[int]:
        """Pages that are at lenders, in order."""
        everything = range(self.pages)
        return list(self.node.store.cache.peek_away(self.pool, OBJECT, everything).positions)

    def away_shuffled(self, chance: random.Random) -> list[int]:
        """The same at random."""
        away = self.away()
        chance.shuffle(away)
        return away

    async def settle(self, share: float = _HIGH_WATERMARK) -> None:
        """Wait until at most ``share`` of the pool is used (default: the high watermark, up to
        which nothing is spilled) and nothing is on its way to a lender."""

        def settled() -> bool:
            figures = self.figures()
            used = figures["pool"]["used_bytes"] <= share * figures["pool"]["limit_bytes"]
            return bool(used and figures["pages"]["in_transit"] == 0)

        await wait_until(settled, f"the pool does not fall to {share:.0%}")

    async def fetch(
        self, runs: Iterable[range], at_once: int, seconds: list[float], now: Callable[[], float]
    ) -> None:
        """Get runs of pages, ``at_once`` under way, compare each; appends what each get took."""
        waiting = iter(runs)

        async def work() -> None:
            for run in waiting:
                start = now()
                found = await self.get(run)
                seconds.append(now() - start)
                self.compare(run, found)

        await asyncio.gather(*(work() for _ in range(at_once)))


def check_cluster_extra() -> None:
    """Raises WorkloadUnavailable where ramster mode cannot run."""
    if importlib.util.find_spec("grpc") is None:
        raise WorkloadUnavailable("ramster mode needs grpcio: pip install 'ramster[cluster]'")


def pool_for(data: bytes, times: float) -> int:
    """Bytes of a pool that the data need ``times`` as much as, compressed."""
    return round(compression_of(bytearray(data)) * len(data) / times) // PAGE_SIZE * PAGE_SIZE


def lender_flags(lent_bytes: int, timing: Timing = _DEFAULT_TIMING) -> list[str]:
    """Of a node whose pool is large enough that what it lends stays under its high watermark."""
    flags = ["--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "off"]
    flags += ["--pool-limit", str(lent_bytes * 3 // 2), "--lend-limit", str(lent_bytes)]
    flags += ["--drain-timeout", "0", *timing.flags]
    return flags


async def start_lenders(
    stack: AsyncExitStack, count: int, lent_bytes: int, timing: Timing = _DEFAULT_TIMING
) -> list[NodeProcess]:
    """Lenders of ``lent_bytes`` each, started side by side, stopped with the stack."""
    flags = lender_flags(lent_bytes, timing)
    started = [NodeProcess(f"lender{number}", *flags) for number in range(count)]
    return list(await asyncio.gather(*(stack.enter_async_context(lender) for lender in started)))


@asynccontextmanager
async def open_owner(
    pages: int,
    times: float,
    *,
    seed: int,
    lenders: int = 1,
    replicas: int = 1,
    timing: Timing = _DEFAULT_TIMING,
) -> AsyncIterator[Owner]:
    """An owner whose pool the data are ``times`` as large as, and that knows its lenders.

    Each lender has room for all of the data. The pages are not there yet (``put_all``). Raises
    WorkloadUnavailable (no grpcio), NodeProcessError (a lender does not start).
    """
    check_cluster_extra()
    data = corpus(pages, seed=seed)
    async with AsyncExitStack() as stack:
        lent = pool_for(data, 1) * 5 // 4
        started = await start_lenders(stack, lenders, lent, timing)
        config = NodeConfig(
            mode=Mode.RAMSTER,
            name="owner",
            pool_limit=pool_for(data, times),
            lend_limit=0,
            replicas=replicas,
            replicas_min=replicas,
            listen=parse_address("127.0.0.1:0", PEER_PORT),
            peer=tuple(parse_address(one.endpoints["peers"], PEER_PORT) for one in started),
            heartbeat_interval=timing.heartbeat_s,
            suspect_after=timing.suspect_s,
            dead_after=timing.dead_s,
            http=None,
        )
        node = await stack.enter_async_context(Node(config))
        await wait_until(
            lambda: all(peer["state"] == "alive" for peer in node.figures()["peers"]),
            "the owner does not reach its lenders",
        )
        yield Owner(node, started, node.store.create_pool(PoolKind.PERSISTENT), data)


async def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    """Raises AssertionError with the text ``otherwise`` if it does not come to hold in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_S
    while not holds():
        assert loop.time() < deadline, f"{otherwise} within {_WAIT_S:g} s"
        await asyncio.sleep(_WATCH_S)
