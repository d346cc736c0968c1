"""What can be done to a simulated cluster, and undone.

Covers: the faults one by one, each with its trouble on record from beginning to end. Does not
cover: which ones, when, and how many at a time (``profiles``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any

from ramster.drain import DrainReport
from tests.simulation import audit
from tests.simulation.liars import LIES
from tests.simulation.loop import simulation_loop
from tests.simulation.network import QUICK_S
from tests.simulation.node import SimulatedNode
from tests.simulation.world import World

GOODBYE_S = 0.1

DISK_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("slow disk", {"delay_s": (0.02, 0.3)}),
    ("hung disk", {}),
    ("full disk", {"capacity_bytes": 0}),
    ("short writes", {"short_writes": 0.3}),
    ("write errors", {"write_errors": 0.3}),
    ("read errors", {"read_errors": 0.3}),
    ("corrupting reads", {"corrupt_reads": 0.3}),
)
"""What a disk is like meanwhile: attributes of ``FakeDisk``."""

DRAIN_S = 10.0
"""A node has handed over what it holds within this time, where there is room for it."""


class Faults:
    """Faults of one run. Each method is one fault: it begins, lasts ``lasts_s`` and is undone."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._running: dict[asyncio.Task[None], None] = {}
        self._changing: set[str] = set()
        """Nodes that are being stopped or started, or are paused."""
        self._failing: set[str] = set()
        """Nodes whose disks have a fault."""
        self.drains: list[DrainReport] = []
        """How each drain before a restart ended."""

    # -- running them -----------------------------------------------------------------------------

    def start(self, fault: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let a fault happen beside others."""
        task = simulation_loop().create_task(self._world.guard(fault))
        self._running[task] = None
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    async def end_all(self) -> None:
        """Undo everything: all nodes are up, all links are as they should be."""
        world = self._world
        # Each ends in its own time: none lasts long.
        while self._running:
            await asyncio.gather(*self._running)
        world.network.heal()
        for node in world.nodes.values():
            if not node.up:
                await self._start(node)
            node.resume()
            node.endpoint.slow_s = 0.0
            if node.liar is not None:
                node.liar.lie = None
        world.troubles.end_all()
        world.disk_troubles.end_all()
        world.trace.add("all faults ended")

    def any_node(self, names: Sequence[str] = ()) -> SimulatedNode | None:
        """A node, of those named, that runs and to which nothing is being done; never the last one
        of several.
        """
        nodes = self._world.nodes
        if names:
            nodes = {name: nodes[name] for name in names}
        steady = [node for node in nodes.values() if node.up and node.name not in self._changing]
        may = len(steady) > 1 or names or len(nodes) == 1
        return self._random.choice(steady) if steady and may else None

    def any_pair(self) -> tuple[str, str]:
        """Two nodes."""
        one, other = self._random.sample(list(self._world.nodes), 2)
        return one, other

    # -- links ------------------------------------------------------------------------------------

    async def _link_trouble(
        self, what: str, pairs: list[tuple[str, str]], lasts_s: float, **changes: Any
    ) -> None:
        """Change directed links for a while."""
        world = self._world
        world.trace.add("fault", what, pairs, changes, round(lasts_s, 3))
        troubles = [world.troubles.begin(what, *pair) for pair in pairs]
        for pair in pairs:
            for name, value in changes.items():
                setattr(world.network.link(*pair), name, value)
        await asyncio.sleep(lasts_s)
        for pair in pairs:
            for name in changes:
                setattr(world.network.link(*pair), name, getattr(world.network.base, name))
        for trouble in troubles:
            world.troubles.end(trouble)
        world.trace.add("fault over", what, pairs)

    async def cut(self, one: str, other: str, lasts_s: float) -> None:
        """Nothing passes between two nodes."""
        await self._link_trouble("cut", [(one, other), (other, one)], lasts_s, cut=True)

    async def cut_one_way(self, source: str, destination: str, lasts_s: float) -> None:
        """Nothing passes from one node to another; the other way is open."""
        await self._link_trouble("one-way cut", [(source, destination)], lasts_s, cut=True)

    async def isolate(self, name: str, lasts_s: float) -> None:
        """Nothing passes to or from a node."""
        others = [other for other in self._world.nodes if other != name]
        pairs = [pair for other in others for pair in ((name, other), (other, name))]
        await self._link_trouble("isolation", pairs, lasts_s, cut=True)

    async def lossy(self, one: str, other: str, loss: float, lasts_s: float) -> None:
        """A link loses messages, both ways."""
        await self._link_trouble("loss", [(one, other), (other, one)], lasts_s, loss=loss)

    async def slow_link(
        self, source: str, destination: str, delay_s: tuple[float, float], lasts_s: float
    ) -> None:
        """Messages take long one way, each as long as it likes: they overtake each other."""
        await self._link_trouble("slow link", [(source, destination)], lasts_s, delay_s=delay_s)

    async def thin_link(
        self, source: str, destination: str, bytes_per_s: float, lasts_s: float
    ) -> None:
        """Pages take long one way, short messages do not."""
        await self._link_trouble(
            "thin link", [(source, destination)], lasts_s, bytes_per_s=bytes_per_s
        )

    # -- nodes ------------------------------------------------------------------------------------

    async def _start(self, node: SimulatedNode) -> None:
        await node.start()
        self._world.trace.add("start", node.life.name)
        self._world.begin_programs(node)

    async def _out_of_order(
        self, what: str, node: SimulatedNode, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do something to a node alone; others leave it in peace till then."""
        world = self._world
        world.trace.add("fault", what, node.life.name)
        self._changing.add(node.name)
        trouble = world.troubles.begin(what, node.name)
        await work()
        world.troubles.end(trouble)
        self._changing.discard(node.name)
        world.trace.add("fault over", what, node.name)

    async def crash(self, node: SimulatedNode, *, silent: bool, lasts_s: float) -> None:
        """A process is killed (or its machine fails), and starts again later."""

        async def work() -> None:
            await node.crash(silent=silent)
            await asyncio.sleep(lasts_s)
            await self._start(node)

        await self._out_of_order("silent crash" if silent else "crash", node, work)

    async def restart(
        self, node: SimulatedNode, *, drain: bool, goodbye: bool, lasts_s: float
    ) -> None:
        """A node stops in good order, after handing over what it holds if ``drain``, and with a
        word to its lenders if ``goodbye``.
        """

        async def work() -> None:
            if drain:
                self.drains.append(await node.drain(DRAIN_S))
                self._world.trace.add("drained", node.name, self.drains[-1])
            if goodbye:
                await self.leave(node)
            else:
                await node.stop()
            await asyncio.sleep(lasts_s)
            await self._start(node)

        await self._out_of_order("drain and restart" if drain else "restart", node, work)

    async def leave(self, node: SimulatedNode) -> None:
        """Stop a node in good order. Lenders that hear it do not wait for the end of its lease."""
        owner = (node.name, node.cluster.incarnation)
        known = {peer.address for peer in node.snapshot.peers if peer.state == "alive"}
        told = [name for name in self._hearing(node) if name in known]
        await node.stop(goodbye_s=GOODBYE_S)
        hear = {name: self._world.nodes[name] for name in self._hearing(node) if name in told}
        left = audit.left_of([owner], hear)
        assert not left, f"{node.name} said goodbye, and {left}"

    def _hearing(self, node: SimulatedNode) -> list[str]:
        """Nodes that hear another one at once, and whom it hears."""
        network = self._world.network

        def quick(source: str, destination: str) -> bool:
            link = network.link(source, destination)
            return not (
                link.cut or link.loss or link.bytes_per_s < 1e9 or link.delay_s[1] > QUICK_S[1]
            )

        return [
            other.name
            for other in self._world.nodes.values()
            if other is not node
            and other.up
            and not other.life.paused
            and not other.endpoint.slow_s
            and quick(node.name, other.name)
            and quick(other.name, node.name)
        ]

    async def pause(self, node: SimulatedNode, *, frozen: bool, lasts_s: float) -> None:
        """A process is stopped for a while (or its machine is suspended, clock and all)."""

        async def work() -> None:
            node.pause()
            await asyncio.sleep(lasts_s)
            node.resume(frozen=frozen)

        await self._out_of_order("suspension" if frozen else "pause", node, work)

    async def slow_node(self, node: SimulatedNode, slow_s: float, lasts_s: float) -> None:
        """A node takes long to look at each call."""
        world, endpoint = self._world, node.endpoint
        world.trace.add("fault", "slow node", node.life.name, round(slow_s, 3))
        trouble = world.troubles.begin("slow node", node.name)
        endpoint.slow_s = slow_s
        await asyncio.sleep(lasts_s)
        endpoint.slow_s = 0.0
        world.troubles.end(trouble)

    async def disk_fails(self, node: SimulatedNode, lasts_s: float) -> None:
        """The disk of a node's file is slow, full, stuck or broken for a while; one of these at a
        time.
        """
        world, disk, random = self._world, node.disk, self._random
        if disk is None or node.name in self._failing:
            return
        what, changes = random.choice(DISK_FAULTS)
        if what == "full disk":
            changes = {"capacity_bytes": random.randrange(len(disk.content) + 1)}
        before = {name: getattr(disk, name) for name in changes}
        world.trace.add("fault", what, node.life.name, changes, round(lasts_s, 3))
        trouble = world.disk_troubles.begin(what, node.name)
        self._failing.add(node.name)
        for name, value in changes.items():
            setattr(disk, name, value)
        if what == "hung disk":
            disk.hang()
        await asyncio.sleep(lasts_s)
        disk.go_on()
        for name, value in before.items():
            setattr(disk, name, value)
        self._failing.discard(node.name)
        world.disk_troubles.end(trouble)
        world.trace.add("fault over", what, node.name)

    async def lie(self, node: SimulatedNode, lasts_s: float) -> None:
        """A node that can lie does."""
        liar = node.liar
        assert liar is not None, f"{node.name} cannot lie"
        liar.lie, liar.share = self._random.choice(LIES), self._random.choice((0.1, 0.5, 1.0))
        self._world.trace.add("fault", "lies", node.life.name, liar.lie, liar.share)
        await asyncio.sleep(lasts_s)
        liar.lie = None

    async def squeeze(self, node: SimulatedNode, lasts_s: float) -> None:
        """A node has next to no room for others for a while: no fault, but a change."""
        cache, quota = node.cache, node.cache.config.foreign_bytes_max
        self._world.trace.add("squeeze", node.life.name)
        cache.reconfigure(foreign_bytes_max=quota // 8)
        await asyncio.sleep(lasts_s)
        cache.reconfigure(foreign_bytes_max=quota)
        self._world.trace.add("squeeze over", node.name)

    async def retarget(self, node: SimulatedNode, target: str, lasts_s: float) -> None:
        """An operator sends a node's pages elsewhere for a while: no fault, but a change."""
        cluster, context = node.cluster, node.life.context
        if target not in ("auto", "none") and all(
            peer.node != target for peer in node.snapshot.peers
        ):
            return  # it has not met that node yet
        self._world.trace.add("target", node.life.name, target)
        context.run(cluster.set_spill_target, target)
        await asyncio.sleep(lasts_s)
        if node.up and node.cluster is cluster:
            node.life.context.run(cluster.set_spill_target, "auto")
