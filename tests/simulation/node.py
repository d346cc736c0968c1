"""One simulated node over all its lives: the real cache and cluster code, made to start, stop,
crash and pause.

Covers: a node's parts and its life cycle. Does not cover: its programs (``workload.py``), when
something happens to it (``faults.py``).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from ramster.clock import LoopClock
from ramster.cluster import Cluster, ClusterConfig
from ramster.cluster_store import ClusterStore
from ramster.drain import DrainReport
from ramster.no_peers import NoPeers
from ramster.snapshot import ClusterSnapshot
from ramster.writeback import Writeback
from tests.simulation.liars import Liar
from tests.simulation.loop import Life, simulation_loop
from tests.simulation.network import Endpoint, EndpointTransport, SimulatedNetwork
from tests.support.fake_disk import FakeDisk
from tests.zcache.backends import BACKENDS
from zcache import CacheConfig, CacheContract, PoolKind

T = TypeVar("T")

STOP_S = 1.0
"""A node stops within this time, whatever its peers do."""


class SimulatedNode:
    """A node and its present life. Methods are called from outside of any life."""

    cache: CacheContract
    cluster: Cluster
    endpoint: Endpoint
    life: Life
    disk: FakeDisk | None = None
    writeback: Writeback | None = None
    """The present life's file, where it has one."""
    pool_copies: dict[int, int]
    """How many copies its programs want of the persistent pages of each pool."""

    def __init__(
        self,
        network: SimulatedNetwork,
        config: ClusterConfig,
        cache_config: CacheConfig,
        *,
        seed: str,
        liar: bool = False,
        writeback_bytes: int = 0,
        backend: str = "python",
    ) -> None:
        self.name = config.node
        self.config = config
        self.lives = 0
        self.up = False
        """There is a process, be it paused."""
        self.liar: Liar | None = None
        """The present life's, where this node can lie."""
        self._network = network
        self._cache_config = cache_config
        self._random = Random(f"{seed} node {self.name}")
        self._can_lie = liar
        self._writeback_bytes = writeback_bytes
        self._backend = backend
        self.counted: Counter[str] = Counter()
        """What all its former lives counted."""
        self._tasks: dict[asyncio.Task[Any], None] = {}
        """What its programs do."""

    @property
    def store(self) -> ClusterStore:
        """Where its programs keep pages."""
        return self.cluster.store

    @property
    def snapshot(self) -> ClusterSnapshot:
        """Its view of the cluster."""
        return self.life.context.run(self.cluster.snapshot)

    @property
    def programs(self) -> list[str]:
        """What runs in its life beside its own tasks."""
        return [task.get_name() for task in self._tasks]

    def run(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a program (or anything else) in the node's life."""
        loop = simulation_loop()
        task = loop.create_task(work, name=f"{self.name}: {name}", context=self.life.context)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def copies_of_pool(self, pool: int, kind: PoolKind) -> int:
        """How many copies a page that is away should have."""
        return 1 if kind is PoolKind.EPHEMERAL else self.pool_copies[pool]

    # -- life cycle -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin a life: an empty cache, another incarnation, a clock that says anything."""
        assert not self.up
        self.lives += 1
        random = self._random
        self.life = Life(
            simulation_loop(),
            f"{self.name}/{self.lives}",
            rate=random.choice((1.0, 1.0, random.uniform(0.95, 1.05))),
            start_s=random.uniform(0, 1e5),
        )
        self.life.context.run(self._make)
        self._network.up(self.name, self.endpoint)
        self.up = True
        await self.run(self.cluster.start(), "start")

    def _make(self) -> None:
        transport = EndpointTransport(self.name)
        self.pool_copies = {}
        if self._writeback_bytes:
            self.disk = FakeDisk(Random(self._random.getrandbits(64)))
            self.writeback = Writeback(self.disk, self._writeback_bytes, LoopClock())
        self.cache = BACKENDS[self._backend](self._cache_config)
        self.cluster = Cluster(
            self.cache,
            self.config,
            transport if self.config.peers else NoPeers(),
            clock=LoopClock(),
            random=Random(self._random.getrandbits(64)),
            writeback=self.writeback,
        )
        handler = self.cluster.handler
        if self._can_lie:
            handler = self.liar = Liar(handler, Random(self._random.getrandbits(64)))
        self.endpoint = transport.endpoint = Endpoint(self._network, self.life, handler)

    async def crash(self, *, silent: bool) -> None:
        """The process is gone between two instructions: nothing that it still does is seen by
        anybody. ``silent``: the machine went with it.
        """
        self.up = False
        self._count()
        self._network.down(self.name, silent=silent)
        self.life.resume()
        await self._end_programs()
        await self._within(self.cluster.stop(), STOP_S)
        self._check_tasks()

    async def stop(self, *, goodbye_s: float = 0.0) -> None:
        """An orderly stop; the network goes last."""
        self.up = False
        self._count()
        await self._within(self.cluster.stop(goodbye_s=goodbye_s), goodbye_s + STOP_S)
        self._network.down(self.name, silent=False)
        await self._end_programs()
        self._check_tasks()

    async def drain(self, within_s: float) -> DrainReport:
        """Hand over what it holds for others, before a stop."""
        return await self._within(self.cluster.drain(within_s), within_s + STOP_S)

    def _count(self) -> None:
        """Add this life's counters to those of the former ones."""
        view = self.snapshot
        self.counted.update(dataclasses.asdict(view.counters))
        if view.writeback is not None:
            self.counted.update(
                {
                    f"file_{name}": n
                    for name, n in dataclasses.asdict(view.writeback.counters).items()
                }
            )

    def pause(self) -> None:
        """Stop the process, as SIGSTOP does."""
        self.life.pause()

    def resume(self, *, frozen: bool = False) -> None:
        """Let it go on. ``frozen``: its clock stood still, as after a suspended machine."""
        self.life.resume(frozen=frozen)

    async def _within(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        began = simulation_loop().true_time
        result: T = await self.run(work, "life cycle")
        took = simulation_loop().true_time - began
        assert took <= limit_s, f"{self.name} took {took:.2f} s to do what takes {limit_s} s"
        return result

    async def _end_programs(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_tasks(self) -> None:
        failure = self.cluster.tasks.failure
        if failure is not None:
            raise AssertionError(f"a task of {self.name} failed: {failure!r}") from failure

    def check(self) -> None:
        """What holds in every moment: sums add up, bounds are kept, no task has failed."""
        self._check_tasks()
        self.cache.verify()
        stats, view = self.cache.stats(), self.snapshot
        assert stats.frames_used <= stats.frames_max, f"{self.name}: frames over the limit"
        assert view.spill_bytes_in_flight <= self.config.spill_bytes_in_flight_max
        assert view.readahead_bytes <= self.config.readahead_buffer_bytes
        if self.disk is not None:
            assert not self.disk.races, f"{self.name}: {self.disk.races[0]}"
