"""One node: makes the parts, joins them, starts them in order and stops them in the opposite one.

Covers: which parts a mode has, their order, what is listening where. Does not cover: any work on
pages; each part does its own and can be used without this module.

Order: figures (so that /healthz says "starting" and "stopping"), cache, write-back file, store (of
the peer layer in ramster mode, and where there is a write-back file), peers' server, block devices,
housekeeping. They stop in the opposite order, and that never waits for a peer; draining before it
does, within a bound, while everything still runs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ramster.accounting import held_bytes, resident_now
from ramster.chronicle import Chronicle, Counts, counts_of
from ramster.clock import LoopClock
from ramster.cluster_figures import ClusterFigures
from ramster.config import Mode, NodeConfig
from ramster.errors import StoreClosedError
from ramster.figures import Figures, collect
from ramster.history import History
from ramster.nbd.export import Export
from ramster.nbd.server import NbdServer
from ramster.peer_figures import encode_figures
from ramster.stats_server import StatsServer
from ramster.store import LocalStore, PageStore
from ramster.tasks import SupervisedTasks
from ramster.timings import Timings
from ramster.upkeep import Upkeep
from zcache import Cache, CacheContract, PoolKind

if TYPE_CHECKING:
    from ramster.cluster import Cluster
    from ramster.drain import DrainReport
    from ramster.transport import Transport
    from ramster.writeback import Writeback

__all__ = ["Node"]

_RPC_GRACE_S = 0.5
"""How long calls of peers that are under way may take to end when the node stops."""

_GOODBYE_S = 0.5
"""How long lenders may take to hear that this node stops, so that they free its pages."""


class Node:
    """A node in this process, on the running event loop.

    >>> async with Node(NodeConfig(pool_limit=64 * 2**20, http=None)) as node:
    ...     pool = node.store.create_pool(PoolKind.PERSISTENT)

    ``start`` raises OSError (an address cannot be listened on), MissingExtraError (ramster mode
    without its extra) and leaves nothing running. A node is started once.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.endpoints: dict[str, Any] = {}
        """What listens where, with real ports: "peers", "nbd" (a list), "http"."""
        self._state = "starting"
        self._parts = AsyncExitStack()
        self._cache: CacheContract | None = None
        self._store: PageStore | None = None
        self._cluster: Cluster | None = None
        self._nbd: NbdServer | None = None
        self._tasks = SupervisedTasks()
        self._timings = Timings()
        self._history: History | None = None
        self._started_at = 0.0
        self._process_bytes: int | None = None
        """Resident memory of the process when this node had started, its cache not counted."""

    @property
    def state(self) -> str:
        """ "starting", "serving", "draining", "stopping" or "stopped"."""
        return self._state

    @property
    def store(self) -> PageStore:
        """The pages. Raises StoreClosedError while the node does not run."""
        if self._store is None:
            raise StoreClosedError(f"the node is {self._state}")
        return self._store

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every part; returns when the node serves."""
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        async with AsyncExitStack() as parts:
            self._start_figures(parts, loop)
            self._cache = Cache(self.config.cache_config())
            if self.config.mode is Mode.RAMSTER or self.config.writeback is not None:
                await self._start_cluster(parts, self._cache)
            else:
                local = LocalStore(self._cache, timings=self._timings)
                parts.callback(local.close)
                self._store = local
            await self._start_block_devices(parts)
            upkeep = Upkeep(self._cache, LoopClock(), self.config.compact_interval)
            self._tasks.spawn(upkeep.run(), "upkeep")
            chronicle = Chronicle(self._counts, LoopClock())
            self._tasks.spawn(chronicle.run(), "chronicle")
            if self._history is not None:
                self._tasks.spawn(self._history.run(), "history")
            parts.push_async_callback(self._tasks.stop)
            self._parts = parts.pop_all()
        resident = resident_now()
        if resident is not None:
            self._process_bytes = resident.total - held_bytes(self._cache.stats())
        self._state = "serving"

    async def drain(self, limit_s: float) -> DrainReport | None:
        """Hand pages of other nodes over to them, for ``limit_s`` at most; to be stopped after.

        Meanwhile the node serves its own programs, and takes no more pages of others. None: nothing
        to do, in zcache mode or on a node that does not serve (any more).
        """
        if self._state != "serving" or self._cluster is None or self.config.mode is Mode.ZCACHE:
            return None
        self._state = "draining"
        return await self._cluster.drain(limit_s)

    async def stop(self) -> None:
        """Stop every part, the last one started first; harmless on a node that does not run."""
        if self._state != "stopped":
            self._state = "stopping"
            await self._parts.aclose()
            self._store = None
            self._state = "stopped"

    async def failed(self) -> BaseException:
        """Wait until a background task of the node dies; returns what it died of."""
        groups = [self._tasks] if self._cluster is None else [self._tasks, self._cluster.tasks]
        waits = [asyncio.create_task(group.wait_failed()) for group in groups]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    def figures(self) -> Figures:
        """The figures of this moment; on the node's event loop."""
        if self._cache is None:
            raise StoreClosedError(f"the node is {self._state}")
        return collect(
            self.config,
            self._cache,
            state=self._state,
            uptime_s=asyncio.get_running_loop().time() - self._started_at,
            endpoints=self.endpoints,
            cluster=None if self._cluster is None else self._cluster.snapshot(),
            nbd=None if self._nbd is None else self._nbd.snapshot(),
            timings=self._timings,
            process_bytes=self._process_bytes,
        )

    # -- the parts, in their order -----------------------------------------------------------------

    def _start_figures(self, parts: AsyncExitStack, loop: asyncio.AbstractEventLoop) -> None:
        if self.config.http is None:
            return

        def request(look: Callable[[], Figures]) -> Future[Figures]:
            wanted: Future[Figures] = Future()
            loop.call_soon_threadsafe(_deliver, look, wanted)
            return wanted

        self._history = History(self.figures, LoopClock())
        view = ClusterFigures(self.figures, self._ask_figures, LoopClock())
        parts.callback(view.close)
        views: dict[str, Callable[[], Future[Figures]]] = {
            "/cluster": lambda: asyncio.run_coroutine_threadsafe(view.collect(), loop),
            "/history": partial(request, self._history.as_dict),
        }
        server = StatsServer(partial(request, self.figures), lambda: self._state, views)
        self.endpoints["http"] = f"http://{server.start(self.config.http)}"
        parts.callback(server.close)

    async def _ask_figures(self, address: str, deadline_s: float) -> bytes:
        if self._cluster is None:
            raise StoreClosedError(f"the node is {self._state}")
        return await self._cluster.ask_figures(address, deadline_s)

    def _told_figures(self) -> bytes:
        """What peers are told of this node."""
        return encode_figures(self.figures())

    async def _start_cluster(self, parts: AsyncExitStack, cache: CacheContract) -> None:
        # Imported here, so that a node without peers never loads the peer layer or grpc.
        from ramster.cluster import Cluster

        transport = self._make_transport(parts)
        cluster = Cluster(
            cache,
            self.config.cluster_config(),
            transport,
            clock=LoopClock(),
            random=random.Random(),
            writeback=self._open_writeback(parts),
            timings=self._timings,
            figures=self._told_figures,
        )
        parts.push_async_callback(cluster.stop, goodbye_s=_GOODBYE_S)
        await cluster.start()
        self._cluster, self._store = cluster, cluster.store
        if self.config.mode is Mode.RAMSTER:
            await self._start_peer_server(parts, cluster)

    def _make_transport(self, parts: AsyncExitStack) -> Transport:
        if self.config.mode is Mode.ZCACHE:
            from ramster.no_peers import NoPeers

            return NoPeers()
        from ramster.rpc import GrpcTransport

        transport = GrpcTransport()
        parts.push_async_callback(transport.close)
        return transport

    def _open_writeback(self, parts: AsyncExitStack) -> Writeback | None:
        path, limit = self.config.writeback, self.config.writeback_limit
        if path is None or limit is None:
            return None
        from ramster.disk import FileDisk
        from ramster.writeback import Writeback

        writeback = Writeback(FileDisk(path), limit, LoopClock())
        parts.push_async_callback(writeback.close)
        return writeback

    async def _start_peer_server(self, parts: AsyncExitStack, cluster: Cluster) -> None:
        from ramster.rpc import PeerServer

        server = PeerServer(cluster.handler, cluster.store)
        self.endpoints["peers"] = await server.start(str(self.config.listen))
        parts.push_async_callback(server.stop, _RPC_GRACE_S)

    def _counts(self) -> Counts:
        """What the log tells of by its rises."""
        if self._cluster is not None:
            return counts_of(self._cluster.counters, self._cluster.writeback_counters)
        assert self._cache is not None
        return Counts(puts_refused=self._cache.stats().puts_refused_full)

    async def _start_block_devices(self, parts: AsyncExitStack) -> None:
        if not self.config.nbd:
            return
        specs = self.config.export
        alone = self.config.mode is Mode.ZCACHE
        pools = {
            (replicas, codec): self.store.create_pool(
                PoolKind.PERSISTENT, replicas=None if alone else replicas, codec=codec
            )
            for replicas, codec in dict.fromkeys((spec.replicas, spec.codec) for spec in specs)
        }
        exports = [
            Export(spec.name, spec.size_bytes, pools[spec.replicas, spec.codec], number)
            for number, spec in enumerate(specs, start=1)
        ]
        self._nbd = NbdServer(self.store, exports, timings=self._timings)
        parts.push_async_callback(self._nbd.close)
        self.endpoints["nbd"] = [await self._nbd.start(url) for url in self.config.nbd]


def _deliver(look: Callable[[], Figures], wanted: Future[Figures]) -> None:
    if not wanted.set_running_or_notify_cancel():
        return
    try:
        wanted.set_result(look())
    except BaseException as error:  # noqa: BLE001  carried to whoever waits for the answer
        wanted.set_exception(error)
