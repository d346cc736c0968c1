"""The nodes of a run: an owner with a small pool and its lenders, each in a container.

Covers: their settings, whether the cluster is whole, whether a node died by itself, their memory.
Does not cover: faults (``faults.py``).

A container may use its node's pool limit and ``SPARE_MIB`` beside it; the kernel kills a node that
wants more, which breaks the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker

from ramster.config import SETTINGS_BY_KEY
from tests.chaos.schedule import LENDERS, OWNER
from tests.chaos.verdict import Findings
from tests.support.containers import ContainerCluster, ContainerNode, MemoryPeaks

__all__ = ["DISK", "MIB", "SPARE_MIB", "TIMES", "Fleet", "FleetPlan", "NodeMemory", "PeerView"]

MIB = 1024 * 1024
SPARE_MIB = 128
"""For the interpreter, the index and buffers in flight: the constant that nodes promise."""
DISK = "disk"
"""The name of every node's export."""
_POLL_S = 0.2
_SPILL_DEADLINE_S = 1.0

TIMES = {
    "heartbeat_interval": "0.3",
    "suspect_after": "1",
    "dead_after": "3",
    "lease": "8",
    "reconnect_backoff_max": "1",
    "call_deadline": "2",
    "spill_deadline": str(_SPILL_DEADLINE_S),
    "fetch_deadline": "3",
    "put_wait": "5",
}
"""Short, so that faults are noticed and over within a run's patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Sizes and settings."""

    replicas: int = 1
    lenders: Sequence[str] = LENDERS
    pool_mib: int = 32
    """The owner's."""
    lender_pool_mib: int = 96
    region_mib: int = 160
    """The owner's export: what the workload writes."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of them, for every node."""

    def pool_mib_of(self, name: str) -> int:
        return self.pool_mib if name == OWNER else self.lender_pool_mib

    def drain_s(self) -> int:
        """Within what time a node that is told to stop must be gone; whole seconds."""
        setting = SETTINGS_BY_KEY.get("drain_timeout")
        drain_s = setting.parse(self.settings.get("drain_timeout", "15s")) if setting else 15.0
        return int(drain_s) + 10

    def settings_of(self, name: str) -> dict[str, str]:
        """Of one node. Raises ValueError for a setting that this tree's nodes do not have."""
        pool_mib = self.pool_mib_of(name)
        values = {
            "mode": "ramster",
            "pool_limit": f"{pool_mib}MiB",
            "nbd": "tcp://0.0.0.0:10809",
            **TIMES,
        }
        if name == OWNER:
            values["lend_limit"] = "0"
            values["peer"] = ",".join(f"{lender}:7777" for lender in self.lenders)
            values["export"] = f"{DISK}={self.region_mib}MiB"
        else:
            # It knows the owner alone: its own pages stay here, and press on those of others.
            values["lend_limit"] = f"{pool_mib}MiB"
            values["peer"] = f"{OWNER}:7777"
            values["export"] = f"{DISK}={pool_mib}MiB"
        if self.replicas != 1:
            values["replicas"] = str(self.replicas)
        values.update(self.settings)
        unknown = sorted(set(values) - set(SETTINGS_BY_KEY))
        if unknown:
            raise ValueError(f"this build has no setting {', '.join(unknown)}")
        return values


@dataclass
class NodeMemory:
    """The most over all lives of a node, in bytes; 0 where it could not be read."""

    pool: int
    resident: int = 0
    container: int = 0
    oom_kills: int = 0

    @property
    def bound(self) -> int:
        return self.pool + SPARE_MIB * MIB


@dataclass(frozen=True, slots=True)
class PeerView:
    """A lender as the owner sees it."""

    alive: bool
    incarnation: str | None
    lease: str | None
    pages_away: int


class Fleet:
    """``with Fleet(...) as fleet`` starts the nodes and removes them, come what may."""

    def __init__(
        self, engine: docker.DockerClient, image: str, plan: FleetPlan, findings: Findings
    ) -> None:
        self.plan = plan
        self.findings = findings
        self._settings = {name: plan.settings_of(name) for name in (OWNER, *plan.lenders)}
        self._cluster = ContainerCluster(engine, image)
        self.memory = {
            name: NodeMemory(plan.pool_mib_of(name) * MIB) for name in (OWNER, *plan.lenders)
        }
        self.struck: set[str] = set()
        """Nodes that the harness has stopped or killed itself."""
        self._dead: set[str] = set()
        self._clock = threading.Event()

    def __enter__(self) -> Fleet:
        try:
            # Lenders first: the owner finds them at its first try.
            for name in (*self.plan.lenders, OWNER):
                memory = f"{self.plan.pool_mib_of(name) + SPARE_MIB}m"
                self._cluster.start(name, memory=memory, healthcheck=False, **self._settings[name])
            self._cluster.wait_healthy()
        except BaseException:
            self._cluster.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    @property
    def owner(self) -> ContainerNode:
        return self._cluster.nodes[OWNER]

    def node(self, name: str) -> ContainerNode:
        return self._cluster.nodes[name]

    # -- whole or not ------------------------------------------------------------------------------

    def view(self, name: str) -> PeerView | None:
        """A lender as the owner sees it; None if it does not, or does not answer."""
        try:
            return _views(self.owner.stats_from_host()).get(name)
        except (OSError, ValueError):
            return None

    def is_whole(self) -> bool:
        """Every lender is alive, in its present life, and no page lacks a copy."""
        try:
            figures = self.owner.stats_from_host()
            views = _views(figures)
            for name in self.plan.lenders:
                life = self.node(name).stats_from_host()["cluster"]["incarnation"]
                view = views.get(name)
                if view is None or not view.alive or view.incarnation != life:
                    return False
        except (OSError, ValueError):
            return False
        return under_replicated(figures) == 0

    def wait_whole(self, within_s: float) -> bool:
        """Wait until it is so, and still is when every spill that was sent before has been
        answered or given up; False if it took too long or a node died meanwhile.
        """
        end = time.monotonic() + within_s
        since: float | None = None
        while since is None or time.monotonic() - since < _SPILL_DEADLINE_S:
            if not self.is_whole():
                since = None
            elif since is None:
                since = time.monotonic()
            if time.monotonic() > end or not self.look_after():
                return False
            self._clock.wait(_POLL_S)
        return self.is_whole()

    def hold(self, seconds: float) -> None:
        """Let this time pass, looking after the nodes meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.look_after()
            self._clock.wait(min(left, 1.0))

    # -- health and memory -------------------------------------------------------------------------

    def look_after(self) -> bool:
        """Read every node's memory; False when one is gone that nobody stopped.

        To be called before a node's life is ended, too.
        """
        for name in set(self.memory) - self.struck - self._dead:
            state = self.node(name).state()
            peaks = MemoryPeaks.of(state["Pid"])
            kept = self.memory[name]
            kept.resident = max(kept.resident, peaks.resident or 0)
            kept.container = max(kept.container, peaks.container or 0)
            self._check_life(name, state)
        return not self._dead

    def _check_life(self, name: str, state: Mapping[str, Any]) -> None:
        if state["OOMKilled"]:
            self.memory[name].oom_kills += 1
        if state["OOMKilled"] or not state["Running"]:
            self._dead.add(name)
            cause = "was killed for want of memory" if state["OOMKilled"] else "ended by itself"
            self.findings.add(
                "node died",
                f"{name} {cause}, exit code {state['ExitCode']}:\n{self.node(name).logs()}",
            )

    def check_memory(self) -> None:
        """At the end of a run."""
        for name, memory in self.memory.items():
            if memory.resident > memory.bound:
                self.findings.add(
                    "memory",
                    f"{name} had {memory.resident / MIB:.0f} MiB resident, "
                    f"more than {memory.bound / MIB:.0f}",
                )


def under_replicated(figures: Mapping[str, Any]) -> int:
    """Pages with fewer copies than wanted; 0 where the build does not count them."""
    for section in ("pages", "cluster"):
        count = (figures.get(section) or {}).get("pages_under_replicated")
        count = (figures.get(section) or {}).get("under_replicated") if count is None else count
        if count is not None:
            return int(count)
    return 0


def _views(figures: Mapping[str, Any]) -> dict[str, PeerView]:
    return {
        peer["node"]: PeerView(
            alive=peer["state"] == "alive" and not peer.get("draining", False),
            incarnation=peer["incarnation"],
            lease=peer["lease"],
            pages_away=int(peer["pages_away"]),
        )
        for peer in figures["peers"]
        if peer["node"] is not None
    }
