"""All nodes of a run, the network between them, and what is known of every fault.

Covers: building the nodes, checks of single losses, of moments and of the cluster at rest. Does not
cover: which faults (``faults.py``), in which order (``history.py``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ramster.cluster import ClusterConfig
from ramster.spiller import ROOM_BYTES_MIN
from tests.simulation import audit
from tests.simulation.loop import simulation_loop
from tests.simulation.losses import RECOVERY_S, Explanations, Loss
from tests.simulation.network import Link, SimulatedNetwork
from tests.simulation.node import SimulatedNode
from tests.simulation.trace import Trace
from tests.simulation.troubles import Trouble, Troubles
from tests.simulation.workload import Habits, Writer
from zcache import CacheConfig

QUICK: dict[str, Any] = {
    "heartbeat_interval_s": 0.2,
    "suspect_after_s": 0.5,
    "dead_after_s": 1.2,
    "lease_s": 2.4,
    "call_deadline_s": 0.5,
    "fetch_deadline_s": 0.4,
    "put_wait_s": 0.3,
    "spill_deadline_s": 0.12,
    "hedge_after_s": 0.05,
    "repatriate_after_s": 1.0,
    "reconnect_backoff_min_s": 0.05,
    "reconnect_backoff_max_s": 0.5,
    "spill_batch_bytes": 12 * 1024,
    "spill_bytes_in_flight_max": 48 * 1024,
    "readahead_pages": 8,
    "readahead_buffer_bytes": 32 * 1024,
    "flush_batch_pages": 16,
}
"""Times as short as their proportions allow, so that much happens in a few seconds."""

REST_S = 20.0
"""All books agree within this time after the last fault."""


@dataclass(slots=True, kw_only=True)
class Scenario:
    """The settings of one run."""

    nodes: tuple[str, ...]
    knobs: dict[str, Any] = field(default_factory=dict)
    """Of ``ClusterConfig``."""
    cache: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of ``CacheConfig``, by node."""
    habits: dict[str, list[Habits]] = field(default_factory=dict)
    """The programs of each node."""
    base: Link = field(default_factory=Link)
    """What links are like until all faults end: delays and duplicates that harm nobody."""
    duration_s: float = 6.0
    liars: tuple[str, ...] = ()
    """Nodes that can lie."""
    writeback: dict[str, int] = field(default_factory=dict)
    """Nodes that have a write-back file, and its limit."""
    may_lose: bool = True
    """A persistent page may be lost if a fault explains it."""
    may_refuse: bool = True
    """A put may be refused."""
    refused_only_when_full: bool = False
    """And then only when the file of its node is full, too, or its disk fails."""


class World:
    """One run's nodes and what they are up against."""

    def __init__(
        self, seed: str, scenario: Scenario, *, backend: str = "python", echo: bool = False
    ) -> None:
        loop = simulation_loop()
        self.seed = seed
        self.backend = backend
        """Which implementation of the cache the nodes have."""
        self.scenario = scenario
        self.trace = Trace(lambda: loop.true_time, echo=echo)
        self.troubles = Troubles(lambda: loop.true_time)
        self.disk_troubles = Troubles(lambda: loop.true_time)
        self.network = SimulatedNetwork(Random(f"{seed} network"), self.trace)
        self.network.base = scenario.base
        self.nodes = {name: self._node(name) for name in scenario.nodes}
        self._explanations = Explanations(self.nodes, self.troubles, self.disk_troubles)
        self.writers: dict[str, list[Writer]] = {}
        self.resting = False
        """Programs are to come to an end."""
        self.failed: asyncio.Future[None] = loop.create_future()
        """Gets the first failure of a program or a fault."""
        self.losses = 0
        self._excused: Counter[str] = Counter()
        """Losses where there may be none, that are none: by the life they happened in."""
        self.refusals = 0
        self.longest_s: dict[str, float] = {}
        """The longest operation of each sort."""

    def _node(self, name: str) -> SimulatedNode:
        scenario = self.scenario
        peers = tuple(peer for peer in scenario.nodes if peer != name)
        knobs = QUICK | scenario.knobs
        if not scenario.writeback.get(name):
            knobs.pop("writeback_safety", None)  # there is no file to keep a copy in
        config = ClusterConfig(node=name, peers=peers, **knobs)
        return SimulatedNode(
            self.network,
            config,
            CacheConfig(**scenario.cache[name]),
            seed=self.seed,
            liar=name in scenario.liars,
            writeback_bytes=scenario.writeback.get(name, 0),
            backend=self.backend,
        )

    # -- programs ---------------------------------------------------------------------------------

    def begin_programs(self, node: SimulatedNode) -> None:
        """Start the programs of a node's new life."""
        writers = [
            node.life.context.run(Writer, self, node, number, habits)
            for number, habits in enumerate(self.scenario.habits[node.name], 1)
        ]
        self.writers[node.name] = writers
        for writer in writers:
            node.run(self.guard(writer.run()), f"program {writer.model.program}")
            node.run(self.guard(writer.run_beside()), f"reader {writer.model.program}")

    async def guard(self, work: Any) -> None:
        """Run a part of the simulation; its failure is the run's."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - carried to the run
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The run has failed."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def on_refused(self, node: SimulatedNode, reason: str) -> None:
        """A put found no room."""
        self.refusals += 1
        assert self.scenario.may_refuse, f"{node.name} refused a put: {reason}"
        # Guests hold frames for a while after they were asked to leave.
        if self.scenario.refused_only_when_full and not node.cache.stats().pages_foreign:
            since = simulation_loop().true_time - RECOVERY_S
            excused = (
                self._file_takes_none(node)
                or self.disk_trouble(node, since)
                or self.troubles.between(node.name, node.name, since)
            )
            assert excused, f"{node.name} refused a put, and its file has room: {reason}"

    def _file_takes_none(self, node: SimulatedNode) -> bool:
        file = node.writeback
        return file is None or file.paused or not file.has_room(ROOM_BYTES_MIN)

    def on_took(self, what: str, took_s: float) -> None:
        """An operation took so long."""
        self.longest_s[what] = max(took_s, self.longest_s.get(what, 0.0))

    # -- losses -----------------------------------------------------------------------------------

    def check_loss(self, node: SimulatedNode, loss: Loss) -> None:
        """A get of ``node`` ended with the loss of a page, which must have a reason."""
        self.losses += 1
        if not node.up:
            return  # it is being stopped, and has said goodbye to its lenders
        what = f"{node.name} lost page {loss.handle} without a reason: {loss.reason!r}"
        if not self.scenario.may_lose:
            # The get spent its time on an answer for an older page.
            assert loss.changed, what
            assert loss.out_of_time, what
            self._excused[node.life.name] += 1
            return
        unexplained = self._explanations.missing(node, loss)
        assert unexplained is None, f"{what}; {unexplained}"

    def disk_trouble(self, node: SimulatedNode, since: float) -> Trouble | None:
        """A fault of a node's disk that was there at some time since."""
        return self.disk_troubles.between(node.name, node.name, since)

    # -- checks -----------------------------------------------------------------------------------

    def check(self) -> None:
        """What holds in every moment, faults or not."""
        for node in self.nodes.values():
            if node.up:
                node.check()
                self._check_damage(node)
        missing = audit.missing_copies(self.nodes)
        assert not missing, missing[:3]

    def _check_damage(self, node: SimulatedNode) -> None:
        """Only a lie or a disk makes a copy fail its check, or an answer make no sense. A page that
        nobody asks for is not lost either where none may be.
        """
        view = node.snapshot
        counters = view.counters
        if not self.scenario.may_lose:
            excused = self._excused[node.life.name]
            assert counters.pages_lost == excused, (
                f"{node.name} counts {counters.pages_lost} pages lost, {excused} with a reason"
            )
            assert not view.pages_lost, f"{node.name} has {view.pages_lost} pages without a copy"
        if self.scenario.liars:
            return
        # A slot may belong to another page by the time a slow read comes to look there.
        names = ("pages_corrupt",) if node.disk is None else ()
        for name in ("fetches_bad_answer", *names):
            count = getattr(counters, name)
            assert count == 0, f"{node.name} counts {count} {name}, and nobody lied"

    def out_of_touch(self) -> list[str]:
        """Nodes that do not know each other as alive."""
        return [
            f"{node.name} sees {peer.address} as {peer.state}"
            for node in self.nodes.values()
            for peer in node.snapshot.peers
            if peer.state != "alive"
        ]

    def under_replicated(self) -> list[str]:
        """Nodes with pages that have too few copies, though there is room for more of them."""
        return [
            f"{node.name} has {pages} pages with too few copies"
            for node in self.nodes.values()
            if (pages := audit.could_be_whole(node, self.nodes))
        ]

    def unrest(self) -> list[str]:
        """What is still to be done before the cluster is as it should be without faults."""
        found = self.out_of_touch() + self.under_replicated()
        if self.network.under_way:
            found.append(f"{self.network.under_way} messages under way")
        for node in self.nodes.values():
            found += [f"{task} has not ended" for task in node.programs]
        return found or audit.unbalanced(self.nodes)

    async def flush_all(self, node: SimulatedNode) -> None:
        """Let a node's programs give up all their pages."""
        for writer in self.writers[node.name]:
            await node.run(self.guard(writer.flush_all()), "flush all")

    async def read_all(self) -> None:
        """Let every program read all its pages once more."""
        for name, writers in self.writers.items():
            for writer in writers:
                await self.nodes[name].run(self.guard(writer.read_all()), "read all")
